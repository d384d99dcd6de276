from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.sources import Source, SourceOptions, open_source, split_source
from tests.helpers.collections import zip_of
from tests.sources.making import make


def keys(*paths: Path | str) -> list[str]:
    return [image.key for image in source_of(*paths).list()]


def source_of(*paths: Path | str) -> Source:
    return open_source(SourceOptions(tuple(map(str, paths))))


def test_one_file_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, "photo.dat")
    source = source_of(tmp_path / "photo.dat")
    (image,) = source.list()
    assert image.key == "photo.dat"
    assert source.read(image) == b"photo.dat"


def test_a_file_uri(tmp_path: Path) -> None:
    make(tmp_path, "a b.jpg")
    assert keys(f"file://{tmp_path}/a%20b.jpg") == ["a b.jpg"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("**/*.jpg", ["a.jpg", "2023/c.jpg", "2024/b.jpg", "2024/deep/d.jpg"]),
        ("202?/*.jpg", ["2023/c.jpg", "2024/b.jpg"]),
        ("*.dat", ["x.dat"]),
    ],
)
def test_globs(tmp_path: Path, glob: str, expected: list[str]) -> None:
    make(tmp_path, "a.jpg", "x.dat", "2024/b.jpg", "2023/c.jpg", "2024/deep/d.jpg")
    assert keys(f"{tmp_path}/{glob}") == expected


def test_what_exists_is_not_a_pattern(tmp_path: Path) -> None:
    make(tmp_path, "a[1].jpg", "a1.jpg")
    assert keys(tmp_path / "a[1].jpg") == ["a[1].jpg"]


def test_several_sources_are_told_apart_by_name(tmp_path: Path) -> None:
    make(tmp_path, "one/a.jpg", "two/a.jpg", "c.jpg")
    source = source_of(tmp_path / "one", f"{tmp_path}/two/*.jpg", tmp_path / "c.jpg")
    images = list(source.list())
    assert [image.key for image in images] == ["one/a.jpg", "two/a.jpg", "c.jpg"]
    assert [source.read(image) for image in images] == [b"one/a.jpg", b"two/a.jpg", b"c.jpg"]
    assert [source.read_head(image, 1) for image in images] == [b"o", b"t", b"c"]


@pytest.mark.parametrize(
    "paths", [("x/photos", "y/photos"), ("x/photos", "x/photos"), ("x/photos/a.jpg", "y/photos/a.jpg")]
)
def test_sources_that_cannot_be_told_apart_are_both_named(tmp_path: Path, paths: tuple[str, str]) -> None:
    make(tmp_path, "x/photos/a.jpg", "y/photos/a.jpg")
    one, other = (f"{tmp_path}/{path}" for path in paths)
    with pytest.raises(UserError) as failure:
        source_of(one, other)
    assert one in str(failure.value)
    assert other in str(failure.value)


@pytest.mark.parametrize("path", ["missing", "missing/a.jpg", "missing/*.jpg", "a.jpg/b", "nul\0"])
def test_what_does_not_exist_is_named(tmp_path: Path, path: str) -> None:
    make(tmp_path, "a.jpg")
    with pytest.raises(UserError, match=r"missing|a\.jpg|nul"):
        source_of(f"{tmp_path}/{path}")


def test_a_name_of_ones_own(tmp_path: Path) -> None:
    make(tmp_path, "x/photos/a.jpg", "y/photos/a.jpg", "old=1/b.jpg")
    assert keys(f"one={tmp_path}/x/photos", f"two={tmp_path}/y/photos", tmp_path / "old=1") == [
        "one/a.jpg",
        "two/a.jpg",
        "old=1/b.jpg",
    ]
    assert keys(f"one={tmp_path}/x/photos/a.jpg") == ["one/a.jpg"]


def test_folders_that_are_called_like_a_named_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "year=2024/a.jpg", "2024/other.jpg")
    monkeypatch.chdir(tmp_path)
    for given in ("year=2024/*.jpg", "year=2024/{a,b}.csv", "year=2024"):
        assert split_source(given) == (None, given)
    assert keys("year=2024/*.jpg") == ["a.jpg"]
    assert split_source("night=2024/*.jpg") == ("night", "2024/*.jpg")
    assert split_source("night=*.jpg") == ("night", "*.jpg")
    monkeypatch.chdir("/")
    assert split_source("year=2024", tmp_path) == (None, "year=2024")


def test_patterns_that_overlap_name_an_archive_once(tmp_path: Path) -> None:
    (tmp_path / "ab.zip").write_bytes(zip_of({"x.jpg": b""}))
    assert keys(f"{tmp_path}/{{a*,*b}}.zip") == ["ab.zip::x.jpg"]


def test_a_name_with_colons_among_several_sources(tmp_path: Path) -> None:
    make(tmp_path / "folder", "a.jpg")
    make(tmp_path, "b::c.jpg")
    (tmp_path / "d::e.zip").write_bytes(zip_of({"f::g.jpg": b"", "h.jpg": b""}))
    source = source_of(tmp_path / "folder", tmp_path / "b::c.jpg", tmp_path / "d::e.zip")
    found = {image.key: source.read(image) for image in source.list()}
    assert list(found) == ["folder/a.jpg", "b::c.jpg", "d::e.zip::f::g.jpg", "d::e.zip::h.jpg"]


def test_braces_are_for_lists_and_archives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="braces"):
        source_of(f"{tmp_path}/{{0..2}}.jpg")


def test_no_source() -> None:
    with pytest.raises(UserError, match="No source"):
        open_source(SourceOptions())
