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
    own_names: frozenset[str] = frozenset()
    """What its keys begin with already, up to `::` or the end: the names of archives, of a single file."""

    @property
    def prefix(self) -> str:
        return "" if self.own_names else f"{self.name}/"

    def has(self, key: str) -> bool:
        if not self.own_names:
            return key.startswith(self.prefix)
        name = key
        while name not in self.own_names and "::" in name:
            name = name.rpartition("::")[0]
        return name in self.own_names


class Several:
    """The images of each part, one part after the other."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raises UserError when two parts have the same name."""
        self.parts = parts
        part_of: dict[str, Part] = {}
        for part in parts:
            for name in part.own_names or [part.prefix]:
                if (other := part_of.setdefault(name, part)) is not part:
                    raise UserError(
                        f"The sources {other.given!r} and {part.given!r} would both give keys that begin with "
                        f"{name!r}; tell them apart as NAME=SOURCE, or give a folder that holds both."
                    )

    def list(self) -> Iterator[SourceImage]:
        return each_once(self._list)

    def read(self, image: SourceImage) -> bytes:
        return self.source_of(image).read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.source_of(image).read_head(image, count)

    @property
    def sources(self) -> Sequence[Source]:
        return [part.source for part in self.parts]

    def source_of(self, image: SourceImage) -> Source:
        return next(part.source for part in self.parts if part.has(image.key))

    def _list(self) -> Iterator[SourceImage]:
        for part in self.parts:
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
