"""Reading an image by what its URI says, whichever source listed it: needs the options and the image, nothing else.

file:///photos/a.jpg                                   a file
file:///list.parquet#row_group=0&row=17&column=...     an image inside a Parquet file
"""

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.sources.files import LocalFiles, path_of
from pipeline.sources.listing.parquet import Cell, CellReader
from pipeline.sources.options import SourceOptions


class Reader:
    """Reads images, from any thread."""

    def __init__(self, options: SourceOptions) -> None:
        self._files = LocalFiles(options.max_bytes)
        self._cells = CellReader(options.max_bytes)

    def read(self, image: SourceImage) -> bytes:
        if "#" not in image.uri:
            return self._files.read(image)
        return self._part(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        if "#" not in image.uri:
            return self._files.read_head(image, count)
        return self._part(image)[:count]

    def _part(self, image: SourceImage) -> bytes:
        """An image inside another file."""
        uri, _, fragment = image.uri.rpartition("#")
        if fragment.startswith("row_group="):
            return self._cells.read(path_of(uri), Cell.parse(fragment))
        raise ImageError("unreadable", f"Nothing is known of #{fragment}.")
