import obstore
import pytest

from pipeline.errors import UserError
from pipeline.objects import open_objects
from pipeline.objects.location import Location
from pipeline.objects.opening import _azure, _connection, _gcs

AZ = Location("az", "photos", "", "az://photos/")


def test_memory_is_the_same_for_everybody_in_this_process() -> None:
    obstore.put(open_objects("memory://test-opening/x").store, "a/b.jpg", b"123")
    again = open_objects("memory://test-opening")
    assert obstore.get(again.store, "a/b.jpg").bytes() == b"123"
    assert again.location.uri("a/b.jpg") == "memory://test-opening/a/b.jpg"


def test_a_container_needs_an_account() -> None:
    with pytest.raises(UserError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        open_objects("az://photos", {})


def test_what_is_no_store_is_told_without_its_signature() -> None:
    with pytest.raises(UserError, match=r"'https://example\.com/a\.jpg' is not") as caught:
        open_objects("https://example.com/a.jpg?sig=secret", {})
    assert "secret" not in str(caught.value)


def test_an_account_key_that_is_none() -> None:
    environ = {"AZURE_STORAGE_ACCOUNT_NAME": "acme", "AZURE_STORAGE_ACCOUNT_KEY": "not base64!"}
    with pytest.raises(UserError, match="is not base64") as caught:
        open_objects("az://photos", environ)
    assert "not base64!" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a2V5==;EndpointSuffix=core.windows.net",
            {"account_name": "acme", "account_key": "a2V5==", "endpoint": "https://acme.blob.core.windows.net"},
        ),
        (
            "BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x%3D",
            {"account_name": "acme", "sas_key": "sv=1&sig=x%3D", "endpoint": "https://acme.blob.core.windows.net"},
        ),
        ("UseDevelopmentStorage=true", {"use_emulator": "true"}),
    ],
)
def test_connection_strings(text: str, found: dict[str, str]) -> None:
    assert _connection(text) == found


def test_the_command_line_tools_names_are_known_too() -> None:
    environ = {"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": "a2V5"}
    assert _azure(AZ, environ) == {"account_name": "acme", "account_key": "a2V5"}
    assert _gcs({"STORAGE_EMULATOR_HOST": "localhost:9023"}) == {
        "base_url": "http://localhost:9023",
        "skip_signature": "true",
    }


def test_the_urls_own_signature_and_account_count() -> None:
    environ = {
        "AZURE_STORAGE_CONNECTION_STRING": "AccountName=other;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/other",
        "AZURE_STORAGE_ACCOUNT_KEY": "a2V5",
    }
    place = Location("az", "c", "", "https://acme/c/", account="acme", endpoint="https://acme", sas="sig=x")
    assert _azure(place, environ) == {
        "account_name": "acme",
        "endpoint": "https://acme",
        "sas_key": "sig=x",
        "credential_type": "sas_token",
    }
