"""Listings of any source in groups, whether they pass or are gathered first."""

import errno
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RunError, UserError
from pipeline.items import Failure, SourceImage
from pipeline.sources import SourceOptions, has_remote, key_prefixes, open_source
from pipeline.sources.groups import gathering, source
from pipeline.sources.groups.gathering import Gathered
from pipeline.sources.groups.source import Grouped
from tests.helpers.listing import Listing
from tests.helpers.remote import RemoteListing
from tests.sources.making import make


def groups_of(grouped: Iterator[SourceImage]) -> dict[str, list[str]]:
    """Members' keys by the group's; of an image by itself none."""
    return {image.key: [member.key for member in image.members] for image in grouped}


def opened(*paths: Path | str, group_by: str = "folder", **options: object) -> dict[str, list[str]]:
    return groups_of(open_source(SourceOptions(tuple(map(str, paths)), group_by=group_by, **options)).list())


def test_folders_of_folders(tmp_path: Path) -> None:
    make(tmp_path, "cover.jpg", "a/2.jpg", "a/10.jpg", "a/b/1.jpg", "a/c/1.jpg", "d/1.jpg")
    assert opened(tmp_path) == {
        "a/b": ["a/b/1.jpg"],
        "a/c": ["a/c/1.jpg"],
        "a": ["a/2.jpg", "a/10.jpg"],
        "d": ["d/1.jpg"],
        ".": ["cover.jpg"],
    }


def test_of_several_sources_each_has_its_folders(tmp_path: Path) -> None:
    make(tmp_path, "x/a/1.jpg", "y/a/1.jpg", "y/2.jpg")
    assert opened(tmp_path / "x", tmp_path / "y") == {"x/a": ["x/a/1.jpg"], "y/a": ["y/a/1.jpg"], "y": ["y/2.jpg"]}
    assert opened(tmp_path / "x", tmp_path / "y", group_by=r"pattern:.*/(\d)\.jpg") == {
        "1": ["x/a/1.jpg", "y/a/1.jpg"],
        "2": ["y/2.jpg"],
    }
    both = open_source(SourceOptions((str(tmp_path / "x"), str(tmp_path / "y")), group_by="folder"))
    assert key_prefixes(both) == ["x/", "y/"]


def test_a_column_of_a_list_and_images_without_it(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}.jpg" for number in range(1, 6)))
    (tmp_path / "list.csv").write_text("path,shoe\n5.jpg,red\n1.jpg,blue\n4.jpg,\n3.jpg,red\n2.jpg,blue,x\n")
    assert opened(tmp_path / "list.csv", group_by="column:shoe") == {
        "red": ["3.jpg", "5.jpg"],
        "blue": ["1.jpg"],
        "4.jpg": [],
        "list.csv::6": [],
    }


def test_a_way_to_group_that_fits_no_image_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg")
    (tmp_path / "list.csv").write_text("path,shoe,side\n1.jpg,red,left\n")
    with pytest.raises(UserError, match=r"No image has the column 'sho'.*the first one has shoe, side"):
        opened(tmp_path / "list.csv", group_by="column:sho")
    with pytest.raises(UserError, match=r"not even '1.jpg'"):
        opened(tmp_path, group_by="pattern:(x).*")


def test_videos_and_folders_that_cannot_be_listed_are_in_no_group(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/clip.mp4")
    assert opened(tmp_path, video=True) == {"a/clip.mp4": [], "a": ["a/1.jpg"]}
    unlisted = Listing({"a/1.jpg": b"", "a/": None, "x.tar::": None, "b/1.jpg": b""})
    assert groups_of(Grouped(unlisted, "folder").list()) == {
        "a": ["a/1.jpg"], "a/": [], "x.tar::": [], "b": ["b/1.jpg"],
    }  # fmt: skip


def test_two_rows_never_have_one_key(tmp_path: Path) -> None:
    listing = Listing({"red": b"", "red_1.jpg": b""})
    with pytest.raises(UserError, match="'red' comes twice"):
        groups_of(Grouped(listing, r"pattern:(.+)_\d\.jpg").list())


def test_a_folder_that_comes_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a store would list it that does not sort."""
    monkeypatch.setattr(source, "_comes_by_folder", lambda source: True)
    listing = Listing({"a/1.jpg": b"", "b/1.jpg": b"", "a/2.jpg": b""})
    with pytest.raises(UserError, match="the images of a folder do not come together"):
        groups_of(Grouped(listing, "folder").list())


KEYS = st.lists(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join).map(lambda path: f"{path}/1.jpg")
    | st.integers(0, 9).map(lambda number: f"a/{number}.jpg"),
    unique=True,
)


@given(KEYS)
def test_sorted_listings_pass_into_the_groups_that_gathering_finds(keys: list[str]) -> None:
    listing = Listing(dict.fromkeys(sorted(keys), b""))
    passing = groups_of(source._as_it_comes(listing.list()))
    assert passing == groups_of(Grouped(listing, "folder").list())
    assert sorted(key for members in passing.values() for key in members) == sorted(keys)


@given(st.lists(st.sampled_from(["x", "y", "z", None]), max_size=12))
def test_what_was_gathered_comes_in_the_order_of_first_images(groups: list[str | None]) -> None:
    expected: dict[str, list[str]] = {}
    with closing(Gathered()) as gathered:
        for number, group in enumerate(groups):
            expected.setdefault(group or f"alone {number}", []).append(str(number))
            gathered.add(group, SourceImage(str(number), "file:///", "", None, {"a": "b"}, failure=Failure("r", "m")))
        found = list(gathered.groups())
    assert [[image.key for image in images] for _, images in found] == list(expected.values())
    assert [group or "" for group, _ in found] == ["" if key.startswith("alone") else key for key in expected]
    assert all(image.failure == Failure("r", "m") for _, images in found for image in images)


def test_groups_that_share_a_hash_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "hash", lambda text: 7, raising=False)
    listing = Listing({"a_1.jpg": b"", "b_1.jpg": b"", "c.jpg": b"", "a_2.jpg": b""})
    assert groups_of(Grouped(listing, r"pattern:(.)_\d\.jpg").list()) == {
        "a": ["a_1.jpg", "a_2.jpg"], "b": ["b_1.jpg"], "c.jpg": [],
    }  # fmt: skip


def test_a_full_temporary_folder_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr(gathering.tempfile, "TemporaryFile", lambda **options: Full())
    with pytest.raises(RunError, match="No space left on device; make room"):
        groups_of(Grouped(Listing({"a_1.jpg": b""}), r"pattern:(.)_\d\.jpg").list())


def test_groups_of_images_far_away_are_fetched() -> None:
    assert has_remote(Grouped(RemoteListing({"a/1.jpg": b""}), "folder"))
    assert not has_remote(Grouped(Listing({"a/1.jpg": b""}), "folder"))
