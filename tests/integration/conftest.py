"""Object stores, started once for all the tests that ask for them."""

from collections.abc import Iterator

import pytest

from tests.helpers.object_stores import ObjectServer, azure_server, azurite, moto, s3_server


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
