"""Several sources as one: keys begin with the name of the source that they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources.source import Source


@dataclass(frozen=True, slots=True)
class Part:
    """One of several sources."""

    path: str
    """As the user gave it."""
    name: str
    """What its keys begin with: the name of a folder, followed by `/` and the rest, or the whole key of one file."""
    source: Source


class Several:
    """The images of each part, one part after the other."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raises UserError when two parts would give the same keys."""
        self._parts: dict[str, Part] = {}
        for part in parts:
            other = self._parts.setdefault(part.name, part)
            if other is not part:
                raise UserError(
                    f"The sources {other.path!r} and {part.path!r} would both give keys that begin with {part.name!r};"
                    " rename one, or give a folder that holds both."
                )

    def list(self) -> Iterator[SourceImage]:
        for part in self._parts.values():
            for image in part.source.list():
                yield image if image.key == part.name else replace(image, key=f"{part.name}/{image.key}")

    def read(self, image: SourceImage) -> bytes:
        return self.source_of(image).read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.source_of(image).read_head(image, count)

    @property
    def sources(self) -> Sequence[Source]:
        return [part.source for part in self._parts.values()]

    def source_of(self, image: SourceImage) -> Source:
        return self._parts[image.key.partition("/")[0]].source
