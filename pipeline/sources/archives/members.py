"""What an archive says about a member, and the URI that finds it again. Pure."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from pipeline.items import Failure

STORED, DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class Member:
    """A member that is called like an image."""

    name: str
    """As the archive has it; bytes that are not UTF-8 are surrogates."""
    size: int
    version: str
    place: "Extent | Packed | None"
    """None when `failure` says why not."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a file: a member of a tar."""

    offset: int
    size: int
    gzipped: bool = False
    """`offset` counts what the whole file unpacks to."""

    def fragment(self) -> str:
        return urlencode({"gunzip": self.offset, "size": self.size} if self.gzipped else _numbers(self))


@dataclass(frozen=True, slots=True)
class Packed:
    """A member of a zip."""

    header: int
    """Where its local header begins."""
    packed: int
    """Bytes in the archive."""
    size: int
    """Bytes that they unpack to, as the archive says."""
    method: int
    crc: int

    def fragment(self) -> str:
        return urlencode(_numbers(self))


def parse_fragment(fragment: str) -> Extent | Packed | None:
    """The place that `fragment()` wrote; None for any other fragment."""
    try:
        values = {name: int(value[0]) for name, value in parse_qs(fragment, strict_parsing=True).items()}
        match sorted(values):
            case ["gunzip", "size"]:
                return Extent(values["gunzip"], values["size"], gzipped=True)
            case ["offset", "size"]:
                return Extent(values["offset"], values["size"])
            case ["crc", "header", "method", "packed", "size"]:
                return Packed(**values)
    except ValueError:
        pass
    return None


def _numbers(place: Extent | Packed) -> dict[str, int]:
    names = ("offset", "size") if isinstance(place, Extent) else ("header", "packed", "size", "method", "crc")
    return {name: getattr(place, name) for name in names}
