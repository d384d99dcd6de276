"""Several sources as one: keys begin with the name of the source that they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources.source import Source
from pipeline.sources.unique import each_once


@dataclass(frozen=True, slots=True)
class Part:
    """One of several sources."""

    given: str
    """As the user gave it, without secrets."""
    name: str
    source: Source
    has_own_keys: bool = False
    """Its keys begin with its name already: a single file, an archive."""

    @property
    def prefix(self) -> str:
        return "" if self.has_own_keys else f"{self.name}/"

    def has(self, key: str) -> bool:
        return key.startswith(self.prefix) if self.prefix else key == self.name or key.startswith(f"{self.name}::")


class Several:
    """The images of each part, one part after the other."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raises UserError when two parts have the same name."""
        self._parts: dict[str, Part] = {}
        for part in parts:
            other = self._parts.setdefault(part.name, part)
            if other is not part:
                raise UserError(
                    f"The sources {other.given!r} and {part.given!r} would both give keys that begin with "
                    f"{part.name!r}; tell them apart as NAME=SOURCE, or give a folder that holds both."
                )

    def list(self) -> Iterator[SourceImage]:
        return each_once(self._list)

    def read(self, image: SourceImage) -> bytes:
        return self.source_of(image).read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.source_of(image).read_head(image, count)

    @property
    def sources(self) -> Sequence[Source]:
        return [part.source for part in self._parts.values()]

    def source_of(self, image: SourceImage) -> Source:
        return next(part.source for part in self._parts.values() if part.has(image.key))

    def _list(self) -> Iterator[SourceImage]:
        for part in self._parts.values():
            prefix = part.prefix
            for image in part.source.list():
                yield replace(image, key=prefix + image.key) if prefix else image


class Chain:
    """Files that one pattern names, as one source without prefixes. Each reads the images of all."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    def list(self) -> Iterator[SourceImage]:
        return each_once(self._list)

    def read(self, image: SourceImage) -> bytes:
        return self.sources[0].read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.sources[0].read_head(image, count)

    def source_of(self, image: SourceImage) -> Source:
        return self.sources[0]

    def _list(self) -> Iterator[SourceImage]:
        for source in self.sources:
            yield from source.list()
