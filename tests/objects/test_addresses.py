from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.errors import UserError
from pipeline.objects import BlobAddresses, find_location
from tests.helpers.object_stores import KEY

ACCOUNT = {"AZURE_STORAGE_ACCOUNT_NAME": "acme"}
SAS = "sv=2022-11-02&sr=c&sig=SECRET%2B"


def addresses(environ: dict[str, str], *uris: str, signed: bool = True) -> list[str]:
    return BlobAddresses([], environ, signed=signed).of(uris)


def test_a_signature_made_of_the_accounts_key() -> None:
    [address] = addresses({**ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}, "az://videos/2024/a b.mp4")
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://acme.blob.core.windows.net/videos/2024/a%20b.mp4"
    query = parse_qs(parts.query)
    assert (query["sp"], query["sr"]) == (["r"], ["b"]), "for reading this blob, and nothing else"


def test_the_environments_signature() -> None:
    environ = {**ACCOUNT, "AZURE_STORAGE_SAS_TOKEN": f"?{SAS}"}
    assert addresses(environ, "az://videos/a.mp4") == [f"https://acme.blob.core.windows.net/videos/a.mp4?{SAS}"]


def test_the_signature_of_a_container_that_was_given() -> None:
    given = find_location(f"https://acme.blob.core.windows.net/videos/2024?{SAS}")
    assert given
    uri = "https://acme.blob.core.windows.net/videos/2024/a.mp4"
    assert BlobAddresses([given], {}).of([uri, "https://other/b.mp4"]) == [f"{uri}?{SAS}", "https://other/b.mp4"]
    assert BlobAddresses([given], {}, signed=False).of([uri]) == [uri]


def test_without_a_signature_for_a_managed_identity() -> None:
    assert addresses({**ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}, "az://videos/a.mp4", signed=False) == [
        "https://acme.blob.core.windows.net/videos/a.mp4"
    ]


def test_a_storage_emulator() -> None:
    environ = {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"}
    [address] = addresses(environ, "az://videos/a.mp4", signed=False)
    assert address == "http://127.0.0.1:10000/devstoreaccount1/videos/a.mp4"


@pytest.mark.parametrize("uri", ["file:///a.mp4", "s3://videos/a.mp4"])
def test_what_no_service_can_fetch(uri: str) -> None:
    with pytest.raises(UserError, match="no Azure container"):
        addresses(ACCOUNT, uri)


def test_an_account_that_nobody_names() -> None:
    with pytest.raises(UserError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        addresses({}, "az://videos/a.mp4")
