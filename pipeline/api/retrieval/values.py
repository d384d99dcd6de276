"""What is said to the retrieval service, and what it says. Plain values; times are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Feature = Literal["vision", "speech"]
Domain = Literal["generic", "surveillance"]
State = Literal["running", "completed", "failed", "partly"]
"""Of an ingestion; `partly`: some of its videos could not be read."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the metadata that videos of an index may have."""

    name: str
    """The service keeps it in lower case."""
    kind: Literal["string", "datetime"] = "string"
    searchable: bool = False
    filterable: bool = True


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How an index is made."""

    features: tuple[Feature, ...] = ("vision", "speech")
    domain: Domain | None = None
    """Of the vision model; None: the service's own."""
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """A collection of videos."""

    name: str
    features: tuple[str, ...]
    fields: tuple[Field, ...]
    created: str


@dataclass(frozen=True, slots=True)
class Video:
    """One to put into an index."""

    id: str
    url: str = field(repr=False)
    """With its signature, if it has one. A secret."""
    metadata: Mapping[str, str]
    duration: float | None = None
    """Seconds, where somebody knows; kept beside the document."""


@dataclass(frozen=True, slots=True)
class Document:
    """A video of an index."""

    id: str
    url: str
    """Without a signature: the service forgets it."""
    metadata: Mapping[str, str]
    duration: float | None = None
    error: str | None = None
    """Why it could not be ingested."""
    created: str = ""


@dataclass(frozen=True, slots=True)
class Ingestion:
    """Videos on their way into an index."""

    name: str
    state: State
    created: str = ""
    changed: str = ""
    error: str | None = None

    @property
    def is_done(self) -> bool:
        return self.state != "running"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the ingestions are."""

    videos: int
    begun: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class Query:
    """A search by text."""

    text: str
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field -> values of which it must have one."""
    times: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Field of type datetime -> (from, to)."""
    features: tuple[Feature, ...] = ()
    """Search in these alone; none: in all."""
    top: int = 10


@dataclass(frozen=True, slots=True)
class Match:
    """A moment of a video that a search found."""

    document_id: str
    kind: str
    """`VideoFrame` or `SpeechTextSegment`."""
    start: str
    end: str
    best: str
    relevance: float
