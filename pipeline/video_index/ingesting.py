"""Videos into an index: which are new, and how long they are waited for.

Each video has an ingestion of its own, named after its document: so the service tells how each one fares, and started
again, with more videos or fewer, nothing is ingested and paid for twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from pipeline.api.retrieval.client import RetrievalClient
from pipeline.api.retrieval.names import ingestion_name
from pipeline.api.retrieval.values import Ingestion, Progress, Video
from pipeline.api.retrieval.videos import IndexedVideos, video_of
from pipeline.clock import Clock
from pipeline.errors import UserError
from pipeline.sources import SourceOptions


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How videos are put into an index."""

    index: str
    managed_identity: bool = False
    """The service reads the blobs in its own name, without signatures."""
    wait_seconds: float = 3600.0
    """How long it is waited for."""
    poll_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.poll_seconds < float("inf"):
            raise UserError(f"poll_seconds is {self.poll_seconds:g}; give seconds above 0.")


Observer = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Ingested:
    """How it ended, or where it was when nobody waited any longer."""

    index: str
    videos: int
    """Of the source."""
    known: int
    """In the index before."""
    added: int
    failed: Mapping[str, str] = field(default_factory=dict)
    """Document id -> why."""
    running: int = 0
    """Not done when the wait was over."""
    seconds: float | None = None
    """Of those added, which is what is paid for; None: somebody's length is not known."""

    @property
    def exit_code(self) -> int:
        """0 all are in the index, 1 some cannot be, 4 the wait was over before."""
        return 4 if self.running else 1 if self.failed else 0


def videos_in(sources: SourceOptions, environ: Mapping[str, str], options: IngestOptions) -> list[Video]:
    """The videos of a source. Raises UserError for a row that names none: an ingestion has no rows for failures."""
    videos = []
    for image in IndexedVideos(sources, environ, managed_identity=options.managed_identity).list():
        if image.failure:
            raise UserError(image.failure.message)
        videos.append(video_of(image))
    if not videos:
        raise UserError("The source holds no video; name a listing, az://CONTAINER/PREFIX or addresses of videos.")
    return videos


async def run_ingestion(
    client: RetrievalClient,
    videos: Sequence[Video],
    options: IngestOptions,
    clock: Clock,
    observer: Observer = lambda progress: None,
) -> Ingested:
    """Begin what is new, and wait for it and for what is under way."""
    index = await client.index(options.index)
    fields = frozenset(each.name.lower() for each in index.fields)
    known = {document.id async for document in client.documents(options.index) if not document.error}
    new = [video for video in videos if video.id not in known]
    states = await _states(client, options.index)
    names: dict[str, str] = {}
    for video in new:
        names[video.id] = name = _name(video.id, states)
        if name not in states:
            own = _with_fields(video, fields)
            begun = await client.ingest(options.index, name, [own], managed_identity=options.managed_identity)
            states[name] = replace(begun, name=name)
        observer(_progress(names, states, len(new)))
    deadline = clock.monotonic() + options.wait_seconds
    while any(not states[name].is_done for name in names.values()) and clock.monotonic() < deadline:
        await clock.sleep(options.poll_seconds)
        states |= await _states(client, options.index)
        observer(_progress(names, states, len(new)))
    running = sum(not states[name].is_done for name in names.values())
    failed = await _failed(client, options.index, names, states)
    added = [video.duration for video in new if states[names[video.id]].is_done and video.id not in failed]
    seconds = sum(length for length in added if length is not None) if None not in added else None
    return Ingested(options.index, len(videos), len(videos) - len(new), len(added), failed, running, seconds)


def _name(id_: str, states: Mapping[str, Ingestion]) -> str:
    """Of the document's ingestion: the one under way, else a new one."""
    base = ingestion_name(id_)
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    return next(name for name in names if name not in states or not states[name].is_done)


async def _states(client: RetrievalClient, index: str) -> dict[str, Ingestion]:
    return {ingestion.name: ingestion async for ingestion in client.ingestions(index)}


def _progress(names: Mapping[str, str], states: Mapping[str, Ingestion], videos: int) -> Progress:
    own = [states[name] for name in names.values()]
    failed = sum(state.is_done and state.state != "completed" for state in own)
    return Progress(videos, len(own), sum(state.is_done for state in own), failed)


async def _failed(
    client: RetrievalClient, index: str, names: Mapping[str, str], states: Mapping[str, Ingestion]
) -> dict[str, str]:
    """Document id -> why it is not in the index: as the document says it, or else the ingestion."""
    troubled = {id_: states[name] for id_, name in names.items() if states[name].state in ("failed", "partly")}
    if not troubled:
        return {}
    told = {document.id: document.error async for document in client.documents(index)}
    return {id_: told.get(id_) or state.error or "the ingestion failed" for id_, state in troubled.items()}


def _with_fields(video: Video, fields: frozenset[str]) -> Video:
    """With those columns only that the index has as fields: it refuses others."""
    return replace(video, metadata={name: value for name, value in video.metadata.items() if name.lower() in fields})
