"""Reading an image by what its URI says, whichever source listed it: needs the options and the image, nothing else.

file:///photos/a.jpg                                    a file
file:///a.tar#offset=1536&size=9000                     a member of a tar
file:///a.tar.gz#gunzip=1536&size=9000                  of a gzipped one
file:///a.zip#header=0&packed=900&size=9000&method=8&crc=17
file:///list.parquet#row_group=0&row=17&column=...      an image inside a Parquet file
"""

import io
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.sources.files import LocalFiles, open_file, path_of
from pipeline.sources.options import SourceOptions

if TYPE_CHECKING:
    from pipeline.sources.archives.reading import MemberReader
    from pipeline.sources.listing.parquet import CellReader


class Reader:
    """Reads images of this machine, from any thread. Can be pickled: another process reads with one of its own."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._files = LocalFiles(options.max_bytes)

    def __reduce__(self) -> tuple[type["Reader"], tuple[SourceOptions]]:
        return Reader, (self._options,)

    def read(self, image: SourceImage) -> bytes:
        return self._part(image, None) if "#" in image.uri else self._files.read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self._part(image, count) if "#" in image.uri else self._files.read_head(image, count)

    def open(self, image: SourceImage) -> BinaryIO:
        """A video, to move about in: the file itself; what lies inside another is read into memory."""
        if "#" in image.uri:
            return io.BytesIO(self._part(image, None))
        return open_file(image.uri, self._options.max_video_bytes)

    def _part(self, image: SourceImage, count: int | None) -> bytes:
        """An image inside another file."""
        from pipeline.sources.archives.members import parse_fragment
        from pipeline.sources.listing.parquet import Cell

        uri, _, fragment = image.uri.rpartition("#")
        if place := parse_fragment(fragment):
            return self._members.read(path_of(uri), place, count)
        if cell := Cell.parse(fragment):
            return self._cells.read(path_of(uri), cell)[:count]
        raise ImageError("unreadable", f"Nothing is known of #{fragment}.")

    # Loaded when they are needed: a process that reads plain files starts in half the time without them.
    @cached_property
    def _members(self) -> "MemberReader":
        from pipeline.sources.archives.reading import MemberReader

        return MemberReader(self._options.max_bytes)

    @cached_property
    def _cells(self) -> "CellReader":
        from pipeline.sources.listing.parquet import CellReader

        return CellReader(self._options.max_bytes)
