"""A source whose images are asked about in groups: each group is listed as one image with members.

Grouped by folder, a folder or a bucket is passed on as it is listed: there the images of a folder come together, but
for those in folders within it. Any other listing is gathered first, since a group may go on in its last row.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources.folder import Folder
from pipeline.sources.groups.by import ROOT, UNGROUPED_REASONS, GroupOf, folder_of, make_group, parse_group_by
from pipeline.sources.groups.gathering import Gathered
from pipeline.sources.names import has_video_suffix
from pipeline.sources.objects import Bucket
from pipeline.sources.several import Several
from pipeline.sources.source import Source
from pipeline.sources.unique import Seen


class Grouped:
    """The groups of another source's images; an image that belongs to none is listed as it is."""

    def __init__(self, source: Source, group_by: str) -> None:
        self._source = source
        self._group_by = group_by
        self._group_of = parse_group_by(group_by)

    @property
    def sources(self) -> Sequence[Source]:
        return [self._source]

    def source_of(self, image: SourceImage) -> Source:
        """Of a member, or of an image that belongs to no group."""
        return self._source

    def read(self, image: SourceImage) -> bytes:
        return self._source.read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self._source.read_head(image, count)

    def list(self) -> Iterator[SourceImage]:
        seen = Seen()
        for image in self._listed():
            if not seen.add(image.key):
                raise UserError(
                    f"{image.key!r} comes twice in the grouped listing, so that two rows would have one key. Either an "
                    "image is called like a group, or the images of a folder do not come together: then sort the "
                    f"list, or group by a pattern instead of '{self._group_by}', which gathers all."
                )
            yield image

    def _listed(self) -> Iterator[SourceImage]:
        if self._group_by == "folder" and _comes_by_folder(self._source):
            return _as_it_comes(self._source.list())
        return self._gathered()

    def _gathered(self) -> Iterator[SourceImage]:
        found, first = False, None
        with closing(Gathered()) as gathered:
            for image in self._source.list():
                group = _group_of(image, self._group_of)
                gathered.add(group, image)
                found = found or group is not None
                first = first or image
            if first and not found:
                raise UserError(_nothing_found(self._group_by, first))
            for group, images in gathered.groups():
                yield images[0] if group is None else make_group(group, images)


def _group_of(image: SourceImage, group_of: GroupOf) -> str | None:
    """None for what is no image: a video, a row that names none, a folder or an archive that could not be listed."""
    if (
        image.key.endswith(("/", "::"))
        or has_video_suffix(image.key)
        or (image.failure and image.failure.reason in UNGROUPED_REASONS)
    ):
        return None
    return group_of(image)


def _comes_by_folder(source: Source) -> bool:
    """Whether the images of a folder are listed one after the other, but for those in folders within it."""
    if isinstance(source, Several):
        return all(_comes_by_folder(part.source) for part in source.parts)
    return isinstance(source, Folder | Bucket)


def _as_it_comes(listing: Iterator[SourceImage]) -> Iterator[SourceImage]:
    """Folders that may still go on are those that the present one lies in; they are all that is in memory."""
    going_on: list[tuple[str, list[SourceImage]]] = []
    for image in listing:
        folder = _group_of(image, lambda image: folder_of(image.key))
        if folder is None:
            yield image
            continue
        while going_on and not _is_within(folder, going_on[-1][0]):
            yield make_group(*going_on.pop())
        if not going_on or going_on[-1][0] != folder:
            going_on.append((folder, []))
        going_on[-1][1].append(image)
    yield from chain(make_group(*each) for each in reversed(going_on))


def _is_within(folder: str, other: str) -> bool:
    return other == ROOT or folder == other or folder.startswith(other + "/")


def _nothing_found(group_by: str, image: SourceImage) -> str:
    kind, _, argument = group_by.partition(":")
    if kind == "column":
        columns = ", ".join(sorted(image.metadata or ())) or "none beside the image's"
        return f"No image has the column {argument!r}, which group_by names; the first one has {columns}."
    return f"No image belongs to a group by '{group_by}': not even {image.key!r}, the first one."
