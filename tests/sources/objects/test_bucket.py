"""A bucket's listing and reading, in memory; the stores themselves are in tests/integration."""

from collections.abc import Mapping

import obstore
import pytest

from pipeline.errors import ImageError, UserError
from pipeline.items import SourceImage
from pipeline.objects import open_objects
from pipeline.sources import SourceOptions, has_remote, open_source
from pipeline.sources.objects import bucket as module


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """One that no other test uses."""
    return f"memory://{request.node.name.replace('/', '-')}"


def fill(bucket: str, files: Mapping[str, bytes]) -> None:
    store = open_objects(bucket).store
    for name, data in files.items():
        obstore.put(store, name, data)


def keys(*paths: str, **options: object) -> list[str]:
    return [image.key for image in open_source(SourceOptions(paths, **options)).list()]  # type: ignore[arg-type]


def test_images_are_listed_with_their_whole_name(bucket: str) -> None:
    fill(bucket, {"a.jpg": b"1", "2024/b c.PNG": b"12", "2024/notes.txt": b"1", "2024/deep/c.webp": b"123"})
    found = {image.key: image for image in open_source(SourceOptions((f"{bucket}/2024",))).list()}
    assert sorted(found) == ["2024/b c.PNG", "2024/deep/c.webp"]
    image = found["2024/b c.PNG"]
    assert image.uri == f"{bucket}/2024/b c.PNG"
    assert image.bytes == 2
    etag = obstore.head(open_objects(bucket).store, "2024/b c.PNG")["e_tag"]
    assert etag is not None
    assert image.version == etag.strip('"')


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", ["a/1.jpg", "a/b/2.jpg", "a/b/3.png", "top.jpg"]),
        ("/a", ["a/1.jpg", "a/b/2.jpg", "a/b/3.png"]),
        ("/a/", ["a/1.jpg", "a/b/2.jpg", "a/b/3.png"]),
        ("/*.jpg", ["top.jpg"]),
        ("/a/*.jpg", ["a/1.jpg"]),
        ("/a/**/*.jpg", ["a/1.jpg", "a/b/2.jpg"]),
        ("/**/*.png", ["a/b/3.png"]),
        ("/a/b/2.jpg", ["a/b/2.jpg"]),
    ],
)
def test_prefix_glob_or_one_object(bucket: str, path: str, expected: list[str]) -> None:
    fill(bucket, dict.fromkeys(["top.jpg", "a/1.jpg", "a/b/2.jpg", "a/b/3.png", "a/list.txt"], b"1"))
    assert keys(bucket + path) == expected


def test_include_exclude_and_hidden_are_those_of_a_folder(bucket: str) -> None:
    names = ["p/x.jpg", "p/y.png", "p/old/x.jpg", "p/.cache/x.jpg", "p/_nightcap/x.jpg", "p/sub/.x.jpg", "p/z.dat"]
    fill(bucket, dict.fromkeys(names, b"1"))
    assert keys(f"{bucket}/p") == ["p/old/x.jpg", "p/x.jpg", "p/y.png"]
    assert keys(f"{bucket}/p", include=("*.jpg",), exclude=("old",)) == ["p/x.jpg"]
    assert keys(f"{bucket}/p", include=("*.dat",)) == ["p/z.dat"]
    assert "p/.cache/x.jpg" in keys(f"{bucket}/p", hidden=True)


def test_what_stands_for_a_folder_is_no_image(bucket: str) -> None:
    fill(bucket, {"p/2024": b"", "p/2024/x.jpg": b"1", "p/raw": b"1", "p/empty.jpg": b""})
    assert keys(f"{bucket}/p", include=("**",)) == ["p/2024/x.jpg", "p/empty.jpg", "p/raw"]


def test_nothing_below_a_prefix_is_a_mistake_an_empty_bucket_is_not(bucket: str) -> None:
    assert keys(bucket) == []
    fill(bucket, {"photos/x.jpg": b"1"})
    with pytest.raises(UserError, match=f"no object at or below {bucket}/phtos"):
        keys(f"{bucket}/phtos")


def test_one_page_is_in_memory_at_a_time(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_OBJECTS", 10)
    fill(bucket, {f"{number:03}.jpg": b"1" for number in range(35)})
    source = open_source(SourceOptions((bucket,)))
    assert isinstance(source, module.Bucket)
    assert [len(page) for page in source._pages()] == [10, 10, 10, 5]
    assert len(list(source.list())) == 35


async def test_reading_whole_and_head(bucket: str) -> None:
    fill(bucket, {"a b/é%20.jpg": b"0123456789", "empty.jpg": b""})
    source = open_source(SourceOptions((bucket,)))
    assert isinstance(source, module.Bucket)
    assert has_remote(source)
    images = {image.key: image for image in source.list()}
    image, empty = images["a b/é%20.jpg"], images["empty.jpg"]
    assert await source.fetch(image) == b"0123456789"
    assert await source.fetch_head(image, 4) == b"0123"
    assert await source.fetch_head(image, 400) == b"0123456789"
    assert await source.fetch(empty) == await source.fetch_head(empty, 10) == b""


def test_blocking_reads(bucket: str) -> None:
    fill(bucket, {"a.jpg": b"0123456789"})
    source = open_source(SourceOptions((bucket,)))
    (image,) = source.list()
    assert (source.read(image), source.read_head(image, 3)) == (b"0123456789", b"012")


async def test_an_object_that_is_gone_changed_or_too_large_is_a_row(bucket: str) -> None:
    fill(bucket, {"gone.jpg": b"1", "grown.jpg": b"1", "large.jpg": bytes(1000)})
    source = open_source(SourceOptions((bucket,), max_bytes=100))
    assert isinstance(source, module.Bucket)
    images = {image.key: image for image in source.list()}
    obstore.delete(open_objects(bucket).store, "gone.jpg")
    fill(bucket, {"grown.jpg": b"22"})

    async def reason(image: SourceImage) -> str:
        with pytest.raises(ImageError) as caught:
            await source.fetch(image)
        return caught.value.reason

    assert await reason(images["gone.jpg"]) == "unreadable"
    assert await reason(images["grown.jpg"]) == "unreadable"
    assert await reason(images["large.jpg"]) == "too_large"


def test_a_signature_is_in_no_image() -> None:
    url = "https://acme.blob.core.windows.net/photos/2024?sv=1&sr=c&sig=secret"
    source = open_source(SourceOptions((url,)))
    assert isinstance(source, module.Bucket)
    image = source._image({"path": "2024/a b.jpg", "size": 1, "e_tag": 'W/"x"', "version": None, "last_modified": None})
    assert image.uri == "https://acme.blob.core.windows.net/photos/2024/a%20b.jpg"
    assert image.version == "x"
    assert source._bucket(image.uri).location.name(image.uri) == "2024/a b.jpg"
