import pytest

from pipeline.errors import UserError
from pipeline.objects import Location, find_location, without_secrets

SAS = "sv=2022-11-02&sr=c&sp=rl&sig=ab%2Bc%3D"


@pytest.mark.parametrize(
    ("url", "kind", "bucket", "path", "base"),
    [
        ("s3://photos", "s3", "photos", "", "s3://photos/"),
        ("S3://photos/2024/*.jpg", "s3", "photos", "2024/*.jpg", "s3://photos/"),
        ("gs://photos/a b/", "gs", "photos", "a b", "gs://photos/"),
        ("az://photos/2024?/x#y", "az", "photos", "2024?/x#y", "az://photos/"),
        ("memory://photos/x", "memory", "photos", "x", "memory://photos/"),
    ],
)
def test_a_bucket_by_name(url: str, kind: str, bucket: str, path: str, base: str) -> None:
    found = find_location(url)
    assert found is not None
    assert (found.kind, found.bucket, found.path, found.base, found.sas) == (kind, bucket, path, base, None)


@pytest.mark.parametrize(
    ("url", "account", "bucket", "path", "base"),
    [
        (
            f"https://acme.blob.core.windows.net/photos/2024?{SAS}",
            "acme", "photos", "2024", "https://acme.blob.core.windows.net/photos/",
        ),
        (
            f"https://acme.blob.core.windows.net/my%20photos/a%20b?{SAS}",
            "acme", "my photos", "a b", "https://acme.blob.core.windows.net/my%20photos/",
        ),
        (
            f"http://127.0.0.1:10000/devstoreaccount1/photos?{SAS}",
            "devstoreaccount1", "photos", "", "http://127.0.0.1:10000/devstoreaccount1/photos/",
        ),
        (
            f"https://acme.dfs.core.windows.net/photos/a?{SAS}",
            "acme", "photos", "a", "https://acme.blob.core.windows.net/photos/",
        ),
        (
            "https://acme.blob.core.chinacloudapi.cn/photos/?sv=1&ss=b&srt=co&sig=x",
            "acme", "photos", "", "https://acme.blob.core.chinacloudapi.cn/photos/",
        ),
    ],
)  # fmt: skip
def test_a_container_with_a_signature(url: str, account: str, bucket: str, path: str, base: str) -> None:
    found = find_location(url)
    assert found is not None
    assert (found.kind, found.account, found.bucket, found.path, found.base) == ("az", account, bucket, path, base)
    assert found.sas == url.partition("?")[2]
    assert found.sas not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "photos/2024",
        "file:///photos",
        "https://example.com/photos/cat.jpg",
        "https://acme.blob.core.windows.net/photos/cat.jpg?sv=2022-11-02&sr=b&sp=r&sig=x",
        "https://bucket.s3.amazonaws.com/cat.jpg?X-Amz-Signature=x",
    ],
)
def test_what_is_no_container(url: str) -> None:
    assert find_location(url) is None


@pytest.mark.parametrize("url", ["s3://", "az:///x", f"https://acme.blob.core.windows.net/?{SAS}"])
def test_a_missing_name_is_told_without_the_signature(url: str) -> None:
    with pytest.raises(UserError) as caught:
        find_location(url)
    assert "sig" not in str(caught.value)


@pytest.mark.parametrize("name", ["a/b c.jpg", "a/50%25.jpg", "q?#é.jpg"])
@pytest.mark.parametrize("url", ["s3://photos/a", f"https://acme.blob.core.windows.net/photos/a?{SAS}"])
def test_an_object_is_found_again_by_its_uri(url: str, name: str) -> None:
    found = find_location(url)
    assert isinstance(found, Location)
    assert found.name(found.uri(name)) == name
    assert "sig=" not in found.uri(name)


def test_secrets_are_cut_out_of_any_text() -> None:
    text = f"cannot read https://user:pass@acme.blob.core.windows.net/c/x.jpg?{SAS}, nor s3://b/what?.jpg"
    assert without_secrets(text) == "cannot read https://acme.blob.core.windows.net/c/x.jpg nor s3://b/what?.jpg"
    assert without_secrets("https://host?sig=abc") == "https://host"


@pytest.mark.parametrize("scheme", ["az", "s3", "gs"])
def test_a_signature_behind_a_bucket_is_refused_before_it_is_written_anywhere(scheme: str) -> None:
    with pytest.raises(UserError, match="signature") as told:
        find_location(f"{scheme}://photos/2024?sv=1&sig=SECRET")
    assert "SECRET" not in str(told.value)
