"""Which images belong together, and what stands for them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.items import Failure, SourceImage
from pipeline.sources.groups.by import folder_of, make_group, natural, parse_group_by


def image(key: str, uri: str = "", **changes: object) -> SourceImage:
    return replace(SourceImage(key, uri or f"file:///photos/{key}", "v1", 10), **changes)


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("a/b/1.jpg", "a/b"),
        ("1.jpg", "."),
        ("shard.tar::a/1.jpg", "shard.tar::a"),
        ("shards/x.tar::1.jpg", "shards/x.tar"),
        ("example.org/p/1.jpg", "example.org/p"),
    ],
)
def test_the_folder_of_a_key(key: str, folder: str) -> None:
    assert folder_of(key) == folder


@pytest.mark.parametrize(
    ("group_by", "key", "group"),
    [
        ("folder", "a/1.jpg", "a"),
        ("column:shoe", "a/1.jpg", "red"),
        ("column:size", "a/1.jpg", None),
        ("column:empty", "a/1.jpg", None),
        (r"pattern:(.+)_\d+\.jpg", "a/x_12.jpg", "a/x"),
        (r"pattern:(.+)_\d+\.jpg", "a/x_12.jpeg", None),
        (r"pattern:(?:.*/)?(\w*?)_\d+\.jpg", "a/_1.jpg", None),
        (r"pattern:(a)?.*", "b.jpg", None),
    ],
)
def test_the_group_of_an_image(group_by: str, key: str, group: str | None) -> None:
    assert parse_group_by(group_by)(image(key, metadata={"shoe": "red", "empty": ""})) == group


@pytest.mark.parametrize(
    ("group_by", "words"),
    [
        ("folders", "it takes folder, column:NAME or pattern:REGEX"),
        ("folder:x", "it takes folder"),
        ("column:", "it takes folder"),
        ("pattern:(", "is no regular expression"),
        ("pattern:.*", "has 0 pairs of parentheses"),
        ("pattern:(a)(b)", "has 2 pairs of parentheses"),
    ],
)
def test_what_is_no_way_to_group(group_by: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_group_by(group_by)


def test_natural_order() -> None:
    keys = ["b1", "a10.jpg", "a2.jpg", "a02.jpg", "a", "10", "9"]
    assert sorted(keys, key=lambda key: (natural(key), key)) == ["9", "10", "a", "a02.jpg", "a2.jpg", "a10.jpg", "b1"]


@given(st.text(st.sampled_from("a0129²"), max_size=6), st.text(st.sampled_from("a0129²"), max_size=6))
def test_any_two_keys_have_a_natural_order(one: str, other: str) -> None:
    assert (natural(one) < natural(other)) + (natural(other) < natural(one)) == (natural(one) != natural(other))


@given(st.permutations([image(f"{number}.jpg") for number in range(8, 12)]))
def test_a_group_is_the_same_in_whatever_order_it_was_listed(images: Sequence[SourceImage]) -> None:
    group = make_group("g", images)
    assert [member.key for member in group.members] == ["8.jpg", "9.jpg", "10.jpg", "11.jpg"]
    assert group.version == make_group("g", images[::-1]).version
    assert group.version != make_group("g", images[1:]).version
    assert group.version != make_group("g", [replace(images[0], version="v2"), *images[1:]]).version


def test_what_a_group_says_of_its_images() -> None:
    one = image("1.jpg", metadata={"shoe": "red", "side": "left"}, prompt="What?", bytes=7)
    other = image("2.jpg", metadata={"shoe": "red", "side": "right"}, prompt="What?")
    group = make_group("red", [one, other])
    assert (group.key, group.bytes, group.metadata, group.prompt) == ("red", 17, {"shoe": "red"}, "What?")
    assert make_group("red", [one, replace(other, bytes=None)]).bytes is None
    assert make_group("red", [one, replace(other, metadata=None)]).metadata is None
    assert group.failure is None


@pytest.mark.parametrize(
    ("uris", "location"),
    [
        (["file:///a/1.jpg", "file:///a/b/2.jpg"], "file:///a/"),
        (["file:///a/1.jpg", "file:///b/1.jpg"], "file:///"),
        (["file:///x.tar#offset=1&size=2", "file:///x.tar#offset=9&size=2"], "file:///x.tar"),
        (["s3://bucket/a1.jpg", "s3://bucket/a2.jpg"], "s3://bucket/"),
        (["s3://one/a.jpg", "s3://other/a.jpg"], ""),
        (["https://a.org/1.jpg", "https://a.net/1.jpg"], ""),
        (["s3://one/a.jpg", "file:///a.jpg"], ""),
        (["file:///a/1.jpg"], "file:///a/1.jpg"),
    ],
)
def test_where_a_group_lies(uris: list[str], location: str) -> None:
    assert make_group("g", [image(str(number), uri) for number, uri in enumerate(uris)]).uri == location


def test_a_member_that_fails_makes_the_group_fail_and_is_named() -> None:
    broken = image("2.jpg", failure=Failure("link", "It only points to another."))
    group = make_group("g", [image("1.jpg"), broken])
    assert group.failure == Failure("link", "2.jpg: It only points to another.")


def test_different_prompts_are_no_question() -> None:
    group = make_group("g", [image("1.jpg", prompt="What?"), image("2.jpg", prompt="Who?")])
    assert group.failure
    assert group.failure.reason == "incomplete_row"
