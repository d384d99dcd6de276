"""What holds for every test: no network but this machine, no credentials, and an emulator for who asks for one."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from pipeline.api.http import plain, session
from pipeline.emulator.app import Running
from tests.helpers.object_stores import ObjectServer, azure_server, azurite, moto, s3_server
from tests.helpers.servers import emulate

# The same examples on every run, and as much time for each as a busy machine needs.
settings.register_profile("nightcap", deadline=None, derandomize=True)
settings.load_profile("nightcap")

CREDENTIALS = ("OPENAI_", "AZURE_", "AWS_", "GOOGLE_", "STORAGE_", "VISION_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
HERE = ("127.0.0.1", "::1", "localhost", "", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="How often the crash test kills the command.")
    parser.addoption("--fetch", action="store_true", help="Let a test fetch files from the package index.")


@pytest.fixture(scope="session", autouse=True)
def _no_other_machine() -> Iterator[None]:
    """Fail a test that connects to, or looks up, another machine.

    asyncio, and so aiohttp, connects through `socket.socket.connect` and looks names up through `socket.getaddrinfo`,
    as every pure Python client does. Our own asks `proxy_for` whom to connect to. Not covered: other native code
    (obstore, pyarrow, uvloop) and other processes.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded_connect(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        guarded = _guarded_proxy(session.proxy_for)
        for module in (session, plain):
            patch.setattr(module, "proxy_for", guarded)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_credentials() -> Iterator[None]:
    """Neither the developer's accounts nor a proxy; other processes inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(CREDENTIALS) or name.upper() in PROXIES:
                patch.delenv(name)
        yield


@pytest.fixture
async def emulator() -> AsyncIterator[Running]:
    """A patient emulator that knows no limits and makes no faults; `helpers.servers.emulate` starts any other."""
    async with emulate() as running:
        yield running


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def azurite_endpoint() -> Iterator[str]:
    with azurite() as endpoint:
        yield endpoint


@pytest.fixture
def s3(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    return _used(s3_server(moto_endpoint), monkeypatch)


@pytest.fixture
def azure(azurite_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    return _used(azure_server(azurite_endpoint), monkeypatch)


@pytest.fixture(params=["s3", "az"])
def store(request: pytest.FixtureRequest) -> ObjectServer:
    """Each of those that are told apart by more than their name."""
    found: ObjectServer = request.getfixturevalue({"s3": "s3", "az": "azure"}[request.param])
    return found


def _used(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return server


def _guarded_connect(connect: Callable[..., object]) -> Callable[..., object]:
    def guarded(self: socket.socket, address: object) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert isinstance(address, tuple)
            _check_host(address[0])
        return connect(self, address)

    return guarded


def _guarded_lookup(lookup: Callable[..., object]) -> Callable[..., object]:
    def guarded(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        _check_host(host.decode() if isinstance(host, bytes) else host)
        return lookup(host, *args, **kwargs)

    return guarded


def _guarded_proxy(proxy_for: Callable[[str], str | None]) -> Callable[[str], str | None]:
    def guarded(url: str) -> str | None:
        proxy = proxy_for(url)
        _check_host(urlsplit(proxy or url).hostname)
        return proxy

    return guarded


def _check_host(host: str | None) -> None:
    if host not in HERE:
        # Not an OSError: code that treats an unreachable server as an ordinary event must not hide this.
        pytest.fail(f"This test tried to reach {host}; tests reach only 127.0.0.1.")
