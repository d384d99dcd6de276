"""What an image says about the group that it belongs to, and a group as one thing to ask about. Pure."""

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pipeline.errors import UserError
from pipeline.items import Failure, SourceImage

GroupOf = Callable[[SourceImage], str | None]
"""The key of the group that an image belongs to; None: it is asked about alone."""

ROOT = "."
"""The group of images that lie in no folder."""
UNGROUPED_REASONS = frozenset({"invalid_row"})
"""Rows that name no image: nobody knows where they belong."""
_DIGITS = re.compile(r"([0-9]+)")


def parse_group_by(text: str) -> GroupOf:
    """`folder`, `column:NAME` or `pattern:REGEX`; UserError for anything else."""
    kind, _, argument = text.partition(":")
    if kind == "folder" and not argument:
        return lambda image: folder_of(image.key)
    if kind == "column" and argument:
        return lambda image: (image.metadata or {}).get(argument) or None
    if kind == "pattern" and argument:
        match = _pattern(argument).fullmatch
        return lambda image: (found[1] or None) if (found := match(image.key)) else None
    raise UserError(f"group_by is '{text}'; it takes folder, column:NAME or pattern:REGEX, as pattern:(.+)_\\d+\\.jpg.")


def _pattern(regex: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise UserError(f"The pattern '{regex}' of group_by is no regular expression: {error}.") from None
    if pattern.groups != 1:
        raise UserError(
            f"The pattern '{regex}' of group_by has {pattern.groups} pairs of parentheses; put one around the part of "
            r"the key that its images have in common, as (.+)_\d+\.jpg; a pair that shall not count begins with (?:."
        )
    return pattern


def folder_of(key: str) -> str:
    """Of the file that a key names: `a/b` of `a/b/1.jpg`, `x.tar::a` of `x.tar::a/1.jpg`, `x.tar` of `x.tar::1.jpg`."""
    archive, inside, name = key.rpartition("::")
    folder, slash, _ = name.rpartition("/")
    return f"{archive}{inside}{folder}" if slash else archive or ROOT


def make_group(key: str, images: Iterable[SourceImage]) -> SourceImage:
    """What stands for `images`, which come in the natural order of their keys, however they were listed.

    A member that will fail for sure makes the group fail: a question about the others would be another one.
    """
    members = sorted(images, key=lambda image: (natural(image.key), image.key))
    sizes = [member.bytes for member in members]
    # What is common stands in the group, and is not carried again with each member.
    bare = tuple(
        replace(member, metadata=None, prompt=None) if member.metadata or member.prompt is not None else member
        for member in members
    )
    return SourceImage(
        key=key,
        uri=_common_location([member.uri for member in members]),
        version=_version(members),
        bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        metadata=_common_metadata(members),
        prompt=members[0].prompt,
        members=bare,
        failure=_failure(members),
    )


def natural(key: str) -> tuple[tuple[int, str], ...]:
    """Sorts `2.jpg` before `10.jpg`. Numbers as text, as there is no bound to their digits."""
    parts = [part.lstrip("0") if number % 2 else part for number, part in enumerate(_DIGITS.split(key))]
    return tuple((len(part) if number % 2 else 0, part) for number, part in enumerate(parts))


def _version(members: Sequence[SourceImage]) -> str:
    told = "\n".join(f"{member.key}\0{member.version}" for member in members)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _common_location(uris: Sequence[str]) -> str:
    """The file or the folder that all lie in; empty when they have not even a host in common."""
    files = {uri.partition("#")[0] for uri in uris}
    if len(files) == 1:
        return files.pop()
    common = posixpath.commonprefix(list(files)).rpartition("/")[0]
    return "" if not common or common.endswith(":/") else common + "/"


def _common_metadata(members: Sequence[SourceImage]) -> dict[str, str] | None:
    first, *others = [member.metadata or {} for member in members]
    if not first:
        return None
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in others)} or None


def _failure(members: Sequence[SourceImage]) -> Failure | None:
    for member in members:
        if member.failure:
            return replace(member.failure, message=f"{member.key}: {member.failure.message}")
    if len({member.prompt for member in members}) > 1:
        return Failure("incomplete_row", "Its images have different prompts; give all images of a group the same.")
    return None
