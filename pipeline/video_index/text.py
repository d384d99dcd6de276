"""What is in an index, and what a search or an ingestion came to, as text. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from pipeline.api.retrieval.values import Index, Match
from pipeline.api.retrieval.videos import DURATION_COLUMN, ID_COLUMN
from pipeline.models import find_fee
from pipeline.video_index import Contents
from pipeline.video_index.ingesting import Ingested


def render_indexes(indexes: Sequence[Index]) -> str:
    """A line for each."""
    if not indexes:
        return "The resource has no index; `nightcap video index create NAME` makes one."
    width = max(len(index.name) for index in indexes)
    return "\n".join(f"{index.name:<{width}}  {', '.join(index.features)}  since {index.created}" for index in indexes)


def render_contents(contents: Contents) -> str:
    """The index, its ingestions that matter, its documents."""
    index, documents = contents.index, contents.documents
    fields = ", ".join(f"{field.name} ({field.kind})" for field in index.fields) or "none"
    lines = [f"{index.name}: {', '.join(index.features)}; metadata fields: {fields}"]
    open_ = [each for each in contents.ingestions if each.state != "completed"]
    lines.append(f"{len(contents.ingestions)} ingestions, {len(contents.ingestions) - len(open_)} of them completed")
    lines += [f"  {each.name}  {each.state}{f': {each.error}' if each.error else ''}" for each in open_]
    lines.append(f"{sum(document.error is None for document in documents)} documents")
    for document in documents:
        told = f"  failed: {document.error}" if document.error else ""
        lines.append(f"  {document.id}  {document.url}{told}")
    return "\n".join(lines)


def to_list(contents: Contents) -> Iterator[dict[str, object]]:
    """A line of a listing for each document that can be asked about."""
    for document in contents.documents:
        if document.error is None:
            length = {} if document.duration is None else {DURATION_COLUMN: document.duration}
            yield {"url": document.url, ID_COLUMN: document.id, **length, **document.metadata}


def render_matches(matches: Sequence[Match]) -> str:
    """A line for each, the best first."""
    lines = [
        f"{match.relevance:.3f}  {match.document_id}  {match.start} to {match.end}, best {match.best}  {match.kind}"
        for match in matches
    ]
    return "\n".join(lines) or "Nothing was found."


def render_ingested(done: Ingested, today: date) -> str:
    """How an ingestion ended, and what it costs."""
    fee = find_fee("video_indexing", today)
    cost = ""
    if fee and done.seconds:
        cost = f" (${Decimal(str(done.seconds)) / 60 * fee.usd:.2f})"
    lines = [f"{done.added} of {_videos(done.videos)} added to {done.index}{cost}, {done.known} there before."]
    lines += [f"  {id_}  failed: {why}" for id_, why in done.failed.items()]
    if done.running:
        lines.append(
            f"{done.running} are not done yet; `nightcap video index status {done.index}` shows how far they are."
        )
    return "\n".join(lines)


def render_price(videos: int, seconds: Sequence[float], today: date) -> str:
    """What it costs to ingest so many videos, of which these lengths are known."""
    fee = find_fee("video_indexing", today)
    if fee is None:
        return "What an ingestion costs is not known."
    if len(seconds) < videos:
        return (
            f"{_videos(videos)}, ${fee.usd.normalize():f} for each minute of them; a column `duration` (seconds) would "
            "tell the sum."
        )
    minutes = Decimal(str(sum(seconds))) / 60
    return f"{_videos(videos)} of {minutes:.1f} minutes: ${minutes * fee.usd:.2f}."


def _videos(count: int) -> str:
    return "1 video" if count == 1 else f"{count} videos"
