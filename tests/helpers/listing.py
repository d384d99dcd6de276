"""A source whose images are bytes in memory. Fulfils `sources.Source`."""

from collections.abc import Iterator, Mapping

from pipeline.errors import ImageError
from pipeline.items import SourceImage


class Listing:
    """Lists `files` in their order; one whose content is None cannot be read."""

    def __init__(self, files: Mapping[str, bytes | None]) -> None:
        self._files = files
        self.read_keys: list[str] = []
        """Whose head was read, in order."""

    def list(self) -> Iterator[SourceImage]:
        for key, data in self._files.items():
            yield SourceImage(key, f"file:///{key}", "v1", 0 if data is None else len(data))

    def read(self, image: SourceImage) -> bytes:
        data = self._files[image.uri.removeprefix("file:///")]
        if data is None:
            raise ImageError("unreadable", "The file cannot be read.")
        return data

    def read_head(self, image: SourceImage, count: int) -> bytes:
        self.read_keys.append(image.key)
        return self.read(image)[:count]
