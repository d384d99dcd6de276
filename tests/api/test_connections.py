"""What becomes of a client's connections: used again, closed by others, abandoned, encrypted."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline.api.client import Client, Response
from pipeline.api.endpoint import Endpoint
from pipeline.errors import UserError
from pipeline.items import Failure
from tests.helpers.scripted_server import ScriptedServer, http


@pytest.fixture(autouse=True, params=["in the loop", "by pyreqwest"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with either; an address that `plain_http` does not take goes by the library."""
    if request.param == "by pyreqwest":
        monkeypatch.setattr("pipeline.api.client.plain_http", lambda *_: None)


def endpoint(address: str) -> Endpoint:
    return Endpoint("openai", f"{address}/chat/completions", f"{address}/models", {}, "m")


async def until_none_is_open(server: ScriptedServer) -> None:
    async with asyncio.timeout(3.0):
        while server.open:
            await asyncio.sleep(0.01)


def until_closed(begins: bytes, goes_on: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """An answer without end, which notices when nobody listens any more."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        while True:
            writer.write(goes_on)
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


async def test_one_connection_serves_one_after_the_other(server: ScriptedServer) -> None:
    server.answers.append(http(200, b"{}"))
    async with Client(endpoint(server.address), 5.0) as client:
        for _ in range(5):
            await client.post(b"{}")
        assert (server.opened, server.open) == (1, 1)
    await until_none_is_open(server)


async def test_a_request_that_was_read_and_not_answered_is_not_sent_again(server: ScriptedServer) -> None:
    server.answers.append(b"")
    async with Client(endpoint(server.address), 5.0) as client:
        assert isinstance(await client.post(b"{}"), Failure)
        server.answers.clear()
        server.answers.extend([http(200, b"{}"), b"", http(200, b"{}")])
        assert isinstance(await client.post(b"{}"), Response)
        assert isinstance(await client.post(b"{}"), Failure), "on a connection that was used before, too"
        assert isinstance(await client.post(b"{}"), Response)
    assert len(server.requests) == 4


@pytest.mark.parametrize("pause", [0.0, 0.0005, 0.002])
async def test_a_server_that_closes_what_is_idle_sees_no_request_twice(server: ScriptedServer, pause: float) -> None:
    async def answer_and_close(writer: asyncio.StreamWriter) -> None:
        writer.write(http(200, b"{}"))
        await writer.drain()
        await asyncio.sleep(pause)
        writer.close()

    server.answers.append(answer_and_close)
    answered = 0
    async with Client(endpoint(server.address), 5.0) as client:
        for number in range(100):
            answered += isinstance(await client.post(f"{number} ".encode() * 5000), Response)
            await asyncio.sleep(pause)
    bodies = [request.body for request in server.requests]
    assert len(bodies) == len(set(bodies))
    assert answered <= len(bodies) <= 100


async def test_an_answer_that_meets_a_cancellation_does_not_swallow_it(server: ScriptedServer) -> None:
    server.answers.append(http(200, b"{}"))

    async def ask_for_ever(client: Client) -> None:
        while True:
            await client.post(b"{}")

    async with Client(endpoint(server.address), 5.0) as client:
        for _ in range(20):
            tasks = [asyncio.create_task(ask_for_ever(client)) for _ in range(32)]
            await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            _, pending = await asyncio.wait(tasks, timeout=3.0)
            assert not pending
            assert all(task.cancelled() for task in tasks)


async def test_a_cancelled_wait_for_the_body_closes_the_connection(server: ScriptedServer) -> None:
    server.answers.append(until_closed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b" " * 65536, b" "))
    async with Client(endpoint(server.address), 60.0) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.post(b"{}")
        await until_none_is_open(server)


async def test_a_cancelled_request_ends_at_its_timeout(server: ScriptedServer) -> None:
    server.answers.append(until_closed(b"", b"HTTP/1.1 100 Continue\r\n\r\n"))
    async with Client(endpoint(server.address), 0.5) as client:
        task = asyncio.create_task(client.post(b"{}"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await until_none_is_open(server)
    assert len(server.requests) == 1


def test_event_loops_one_after_the_other() -> None:
    async def ask() -> None:
        server = ScriptedServer()
        await server.start()
        server.answers.append(http(200, b"{}"))
        async with Client(endpoint(server.address), 5.0) as client:
            assert isinstance(await client.post(b"{}"), Response)
            left = asyncio.create_task(client.post(b"{}"))
            await asyncio.sleep(0)
        await asyncio.gather(left, return_exceptions=True)
        await server.stop()

    for _ in range(3):
        asyncio.run(ask())


ABANDON = """
import asyncio, sys
from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint

async def ask_for_ever(client):
    while True:
        await client.post(b"x" * 20_000)

async def main():
    async with Client(Endpoint("openai", sys.argv[1], "", {}, "m"), 60.0) as client:
        tasks = [asyncio.create_task(ask_for_ever(client)) for _ in range(32)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

asyncio.run(main())
"""


@pytest.mark.integration
async def test_python_exits_with_requests_abandoned(server: ScriptedServer) -> None:
    server.answers.append(http(200, b"{}"))
    for _ in range(10):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ABANDON, server.address, stderr=asyncio.subprocess.PIPE
        )
        _, told = await asyncio.wait_for(process.communicate(), 20.0)
        assert (process.returncode, told) == (0, b"")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem`, `here` and `elsewhere` that it signed for this machine and another, and two that signed themselves."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    openssl(f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Test")
    for name, is_authority in (("alone", "FALSE"), ("its-own-authority", "TRUE")):
        constraints = f"-addext basicConstraints=critical,CA:{is_authority} -addext subjectAltName=DNS:localhost"
        openssl(f"req -x509 {key} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name} {constraints}")
    for name, host in (("here", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.example")):
        openssl(f"req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        (folder / "extensions").write_text(f"subjectAltName={host}\n")
        signed = f"-CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -days 2 -out {name}.pem"
        openssl(f"x509 -req -in {name}.csr {signed}")
    return folder


@asynccontextmanager
async def encrypted(folder: Path, name: str) -> AsyncIterator[str]:
    """A server that shows this certificate; its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(http(200, b"{}"))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):  # who does not trust us says nothing more
            pass
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def ask(address: str) -> Response | Failure:
    async with Client(endpoint(address), 5.0) as client:
        return await client.post(b"{}")


async def test_a_certificate_of_an_authority_that_the_environment_names(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with encrypted(authority, "here") as address:
        failure = await ask(address)
        assert isinstance(failure, Failure)
        assert failure.reason == "wrong_address"
        assert failure.message.startswith("invalid peer certificate: UnknownIssuer; SSL_CERT_FILE can name")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        assert isinstance(await ask(address), Response)


async def test_a_certificate_that_signed_itself(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "alone.pem"))
    async with encrypted(authority, "alone") as address:
        assert isinstance(await ask(address), Response)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "its-own-authority.pem"))
    async with encrypted(authority, "its-own-authority") as address:
        failure = await ask(address)
    assert isinstance(failure, Failure)
    assert failure.reason == "wrong_address"
    assert "must say CA:FALSE" in failure.message


async def test_a_certificate_of_somebody_else(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    async with encrypted(authority, "elsewhere") as address:
        failure = await ask(address)
    assert isinstance(failure, Failure)
    assert failure.reason == "wrong_address"
    assert "elsewhere.example" in failure.message


async def test_a_machine_without_certificates(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    server.answers.append(http(200, b"{}"))
    assert isinstance(await ask(server.address), Response), "which needs none"
    with pytest.raises(UserError, match="This machine has no certificates to trust"):
        await ask("https://localhost:9")
    monkeypatch.setenv("HTTP_PROXY", "https://localhost:9")
    with pytest.raises(UserError, match="This machine has no certificates to trust"):
        await ask("http://api.example")
