import logging
import os
from pathlib import Path

import pytest

from pipeline.errors import ImageError, UserError
from pipeline.items import SourceImage
from pipeline.sources import SourceOptions, open_source
from tests.sources.making import make


def keys(root: Path | str, **options: object) -> list[str]:
    return [image.key for image in open_source(SourceOptions((str(root),), **options)).list()]  # type: ignore[arg-type]


def test_everything_that_looks_like_an_image_in_stable_order(tmp_path: Path) -> None:
    make(
        tmp_path, "b/z.jpeg", "b/a/deep.TIFF", "a.jpg", "c.PNG", "a/1.heic", "notes.txt", "jpg", "b.jpg.part", "x.avif"
    )
    assert keys(tmp_path) == ["a.jpg", "c.PNG", "x.avif", "a/1.heic", "b/z.jpeg", "b/a/deep.TIFF"]


def test_an_image_says_where_it_is_and_when_it_changed(tmp_path: Path) -> None:
    make(tmp_path, "sub dir/é.jpg")
    os.utime(tmp_path / "sub dir/é.jpg", ns=(0, 1_700_000_000_123_456_789))
    source = open_source(SourceOptions((str(tmp_path),)))
    (image,) = source.list()
    assert image == SourceImage(
        "sub dir/é.jpg", f"file://{tmp_path}/sub%20dir/%C3%A9.jpg", "14-1700000000123456789", bytes=14
    )
    assert source.read(image) == "sub dir/é.jpg".encode()
    assert source.read_head(image, 3) == b"sub"


def test_empty_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (image,) = open_source(SourceOptions((str(tmp_path),))).list()
    assert image.bytes == 0


def test_hidden_files_and_folders(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg")
    assert keys(tmp_path) == ["a.jpg"]
    assert keys(tmp_path, hidden=True) == [".b.jpg", "a.jpg", ".git/c.jpg"]


def test_include_and_exclude(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.dat", "thumbs/a.jpg", "x/thumbs/b.jpg", "x/b.jpg", "x/b_small.jpg")
    assert keys(tmp_path, include=("*.dat", "/x/*.jpg")) == ["a.dat", "x/b.jpg", "x/b_small.jpg"]
    assert keys(tmp_path, exclude=("thumbs", "*_small.*")) == ["a.jpg", "x/b.jpg"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg", "photos/deep/b.jpg", "elsewhere/c.jpg")
    (tmp_path / "photos/circle").symlink_to("..", target_is_directory=True)
    (tmp_path / "photos/deep/self").symlink_to(".", target_is_directory=True)
    (tmp_path / "photos/link").symlink_to("../elsewhere", target_is_directory=True)
    (tmp_path / "photos/link.jpg").symlink_to("a.jpg")
    assert keys(tmp_path / "photos") == [
        "a.jpg",
        "link.jpg",
        "circle/elsewhere/c.jpg",
        "deep/b.jpg",
        "link/c.jpg",
    ]


def test_a_link_that_leads_nowhere_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nothing")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    source = open_source(SourceOptions((str(tmp_path),)))
    images = list(source.list())
    assert [(image.key, image.bytes) for image in images] == [("gone.jpg", None), ("loop.jpg", None)]
    for image in images:
        with pytest.raises(ImageError):
            source.read(image)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/Z\xfcrich"
    os.mkdir(path)
    Path(os.fsdecode(path + b"/\xff\xfe 1.jpg")).write_bytes(b"content")
    source = open_source(SourceOptions((str(tmp_path),)))
    (image,) = source.list()
    assert image.key == r"Z\xfcrich/\xff\xfe 1.jpg"
    assert source.read(image) == b"content"


def test_output_beside_pictures_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "a.jpg", "captions/part-0.png", "captions/_nightcap/thumb.jpg")
    with caplog.at_level(logging.WARNING):
        assert keys(tmp_path) == ["a.jpg"]
    assert "captions" in caplog.text


def test_a_source_that_is_its_own_output(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "_nightcap/thumb.jpg")
    assert keys(tmp_path) == ["a.jpg"]


def test_a_folder_that_cannot_be_listed_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    for _ in range(20):  # no longer path than 4,096 bytes can be listed
        os.mkdir("n" * 250)
        os.chdir("n" * 250)
    source = open_source(SourceOptions((str(tmp_path),)))
    first, folder = source.list()
    assert first.key == "a.jpg"
    assert folder.key.endswith("n/")
    with pytest.raises(ImageError) as failure:
        source.read(folder)
    assert failure.value.reason == "unreadable"
    assert caplog.text.count("cannot be listed") == 1


def test_a_folder_without_permission_is_a_row(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "closed/b.jpg")
    (tmp_path / "closed").chmod(0)
    if os.access(tmp_path / "closed", os.R_OK):
        pytest.skip("this account may read everything")
    try:
        source = open_source(SourceOptions((str(tmp_path),)))
        _, folder = source.list()
        assert folder.key == "closed/"
        with pytest.raises(ImageError, match="ermission"):
            source.read(folder)
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_the_listing_is_a_stream(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "later/b.jpg")
    images = open_source(SourceOptions((str(tmp_path),))).list()
    assert next(images).key == "a.jpg"
    make(tmp_path, "later/c.jpg")
    assert [image.key for image in images] == ["later/b.jpg", "later/c.jpg"]


def test_a_folder_that_is_gone_when_the_listing_begins(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    source = open_source(SourceOptions((str(root),)))
    root.rmdir()
    with pytest.raises(UserError, match="photos"):
        list(source.list())
