"""Images of a source as videos that the service fetches itself: each with its document's id and its address."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.api.options import ModelOptions
from pipeline.api.retrieval.names import check_document_id, document_id
from pipeline.errors import ImageError, UserError
from pipeline.items import Failure, SourceImage
from pipeline.objects import BlobAddresses, find_location
from pipeline.sources import Source, SourceOptions, open_source, split_source
from pipeline.sources.listing.locations import web_place
from pipeline.sources.listing.source import is_listing
from pipeline.sources.unique import each_once

if TYPE_CHECKING:
    from pipeline.api.retrieval.values import Video

ID_COLUMN = "acv_document_id"
DURATION_COLUMN = "duration"
VIDEO_GLOBS = tuple(f"*.{suffix}" for suffix in ("mp4", "mov", "m4v", "webm", "mkv", "avi", "asf", "wmv", "flv", "3gp"))
PAGE = 256
"""Signed at once: where the signature needs a key from the service, that is one request."""


class IndexedVideos:
    """The videos of a source as documents of an index. Key: the document's id, from the column `acv_document_id` of a
    listing, else made of the address without its signature. Nothing of them is read here.
    """

    def __init__(self, options: SourceOptions, environ: Mapping[str, str], *, managed_identity: bool = False) -> None:
        """`managed_identity`: the service needs no signatures."""
        listed = any(is_listing(path.partition("?")[0]) for path in options.paths)  # which says itself what is a video
        if not (options.include or listed):
            options = replace(options, include=VIDEO_GLOBS)
        self._source: Source = open_source(options)
        places = (find_location(split_source(path)[1]) for path in options.paths)
        given = [place for place in places if place]
        self._addresses = BlobAddresses(given, environ, signed=not managed_identity)

    def list(self) -> Iterator[SourceImage]:
        return each_once(self._list)

    def read(self, image: SourceImage) -> bytes:
        raise ImageError("unreadable", "A video of an index is read by its service alone.")

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.read(image)

    def _list(self) -> Iterator[SourceImage]:
        listing = self._source.list()
        while page := list(islice(listing, PAGE)):
            yield from self._as_documents(page)

    def _as_documents(self, page: Sequence[SourceImage]) -> Iterator[SourceImage]:
        wanted = [image for image in page if not image.failure and not image.address]
        addresses = dict(zip((image.uri for image in wanted), self._addresses.of([image.uri for image in wanted]),
                             strict=True))  # fmt: skip
        for image in page:
            if image.failure:
                yield image
                continue
            address = image.address or addresses[image.uri]
            place = web_place(address)  # without its signature, and what tells it from others of the same path
            assert place is not None, "sources and containers give addresses"
            try:
                id_ = check_document_id((image.metadata or {}).get(ID_COLUMN) or document_id(place.key))
            except UserError as error:
                yield replace(image, failure=Failure("invalid_row", str(error)))
                continue
            yield replace(image, key=id_, uri=place.uri, address=address, duration=_duration(image))


def open_images(sources: SourceOptions, model: ModelOptions, environ: Mapping[str, str]) -> Source:
    """What a job's sources list: images, or with a video index, the documents in it."""
    if model.video_index is None:
        return open_source(sources)
    if sources.video:
        raise UserError("video captions files by their frames, video_index by their ids; leave one of them out.")
    if sources.group_by:
        raise UserError("group_by and video_index do not go together: a request is about one video.")
    return IndexedVideos(sources, environ, managed_identity=model.video_access == "managed-identity")


def video_of(image: SourceImage) -> "Video":
    """What an ingestion says of it; its further columns are metadata."""
    from pipeline.api.retrieval.values import Video  # 10 ms that no other source needs

    metadata = {name: value for name, value in (image.metadata or {}).items() if name != ID_COLUMN}
    return Video(image.key, image.address or image.uri, metadata, image.duration)


def _duration(image: SourceImage) -> float | None:
    try:
        seconds = float((image.metadata or {}).get(DURATION_COLUMN, ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
