"""Bodies for the retrieval service, and its answers as values. Pure. Source: Video Retrieval API reference.

What is missing in an answer or of another type is left out: the service is a preview, and its guide's samples and its
reference differ (states `Completed` and `completed`).
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.api.reading.text import as_number
from pipeline.api.retrieval.values import (
    Document,
    Field,
    Index,
    IndexSettings,
    Ingestion,
    Match,
    Query,
    State,
    Video,
)
from pipeline.texts import one_line

JsonObject = dict[str, Any]
DURATION = "durationSeconds"
"""In a document's `userData`, which is the caller's to fill."""
_STATES: dict[str, State] = {
    "notstarted": "running",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "partiallysucceeded": "partly",
}


def index_body(settings: IndexSettings) -> bytes:
    """Of `PUT indexes/NAME`."""
    fields = [
        {"name": each.name, "searchable": each.searchable, "filterable": each.filterable, "type": each.kind}
        for each in settings.fields
    ]
    features = [
        {"name": name} | _given(domain=settings.domain if name == "vision" else None) for name in settings.features
    ]
    return _json({"metadataSchema": {"fields": fields}, "features": features})


def ingestion_body(videos: Sequence[Video], *, managed_identity: bool) -> bytes:
    """Of `PUT indexes/NAME/ingestions/NAME`. `managed_identity`: the service reads the blobs in its own name."""
    entries = []
    for video in videos:
        entry: JsonObject = {"mode": "add", "documentId": video.id, "documentUrl": video.url}
        if video.metadata:
            entry["metadata"] = dict(video.metadata)
        if video.duration is not None:
            entry["userData"] = {DURATION: video.duration}
        entries.append(entry)
    body: JsonObject = {"videos": entries}
    if managed_identity:
        body["documentAuthenticationKind"] = "managedIdentity"
    return _json(body)


def query_body(query: Query) -> bytes:
    """Of `POST indexes/NAME:queryByText`."""
    filters: JsonObject = {}
    if query.values:
        filters["stringFilters"] = [{"fieldName": name, "values": list(of)} for name, of in query.values.items()]
    if query.times:
        filters["datetimeFilters"] = [
            {"fieldName": name} | _given(startTime=begin, endTime=end) for name, (begin, end) in query.times.items()
        ]
    if query.features:
        filters["featureFilters"] = list(query.features)
    return _json({"queryText": query.text, "top": query.top} | ({"filters": filters} if filters else {}))


def read_index(found: JsonObject) -> Index:
    schema = found.get("metadataSchema")
    fields = [
        Field(
            _text(each, "name"),
            "datetime" if each.get("type") == "datetime" else "string",
            each.get("searchable") is True,
            each.get("filterable") is True,
        )
        for each in _objects(schema, "fields")
    ]
    features = tuple(_text(each, "name") for each in _objects(found, "features"))
    return Index(_text(found, "name"), features, tuple(fields), _text(found, "createdDateTime"))


def read_ingestion(found: JsonObject) -> Ingestion:
    """A state that nobody has heard of counts as running: it is waited for, with an end."""
    return Ingestion(
        _text(found, "name"),
        _STATES.get(_text(found, "state").lower(), "running"),
        _text(found, "createdDateTime"),
        _text(found, "lastModifiedDateTime"),
        _problem(found) if found.get("error") else None,
    )


def read_document(found: JsonObject) -> Document:
    metadata, user_data = found.get("metadata"), found.get("userData")
    seconds = as_number(user_data.get(DURATION)) if isinstance(user_data, dict) else None
    return Document(
        _text(found, "documentId"),
        _text(found, "documentUrl").partition("?")[0],
        {str(name): str(value) for name, value in metadata.items()} if isinstance(metadata, dict) else {},
        seconds if seconds is not None and seconds >= 0 else None,
        _problem(found) if found.get("error") else None,
        _text(found, "createdDateTime"),
    )


def read_match(found: JsonObject) -> Match:
    return Match(
        _text(found, "documentId"),
        _text(found, "documentKind"),
        _text(found, "start"),
        _text(found, "end"),
        _text(found, "best"),
        as_number(found.get("relevance")) or 0.0,
    )


def objects_of(page: JsonObject) -> Iterable[JsonObject]:
    """The entries of a list."""
    return _objects(page, "value")


def _problem(found: JsonObject) -> str:
    """The innermost message of an error, which says the most, and what stands in its details.

    Seen of an ingestion: FailedToProcessBatch, with details [{code: OutputResultWriteFailed, message}]
    (gpt-video-analysis-in-a-box #11).
    """
    error, told = found.get("error"), ""
    while isinstance(error, dict):
        details = [f"{_text(each, 'message')} ({_text(each, 'code')})" for each in _objects(error, "details")]
        told = " ".join([_text(error, "message") or _text(error, "code") or told, *details])
        error = error.get("innererror") or error.get("innerError")
    return told


def _objects(found: object, name: str) -> list[JsonObject]:
    entries = found.get(name) if isinstance(found, dict) else None
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _text(found: JsonObject, name: str) -> str:
    value = found.get(name)
    return one_line(value) if isinstance(value, str) else ""


def _given(**values: str | None) -> JsonObject:
    return {name: value for name, value in values.items() if value}


def _json(body: JsonObject) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
