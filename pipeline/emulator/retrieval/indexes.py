"""What the retrieval service remembers: indexes with their ingestions and documents. Pure state, told the time."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.emulator.retrieval.reading import JsonObject, Query, Video, read_index, read_ingestion, read_query, reject

KINDS = {"vision": "VideoFrame", "speech": "SpeechTextSegment"}


@dataclass(slots=True)
class Document:
    """One video of an index."""

    id: str
    url: str
    """Without its signature."""
    metadata: Mapping[str, str]
    user_data: Mapping[str, Any]
    created: float
    error: str | None = None
    """Why it could not be ingested."""

    def as_json(self) -> JsonObject:
        document: JsonObject = {
            "documentId": self.id,
            "documentUrl": self.url,
            "metadata": dict(self.metadata),
            "userData": dict(self.user_data),
            "createdDateTime": written(self.created),
            "lastModifiedDateTime": written(self.created),
        }
        return document | ({"error": _problem(self.error)} if self.error else {})


@dataclass(slots=True)
class Ingestion:
    """Videos on their way into an index."""

    name: str
    created: float
    ready_at: float
    """Not done before."""
    videos: tuple[Video, ...]
    documents: tuple[Document, ...]
    looked_at: bool = False
    """Whether it is known what can be read."""

    def state(self, now: float) -> str:
        if not self.looked_at or now < self.ready_at:
            return "Running"
        failed = sum(document.error is not None for document in self.documents)
        return "Failed" if failed == len(self.documents) else "PartiallySucceeded" if failed else "Completed"

    def as_json(self, now: float, *, detailed: bool = False) -> JsonObject:
        state = self.state(now)
        changed = self.created if state == "Running" else max(self.created, self.ready_at)
        document: JsonObject = {
            "name": self.name,
            "state": state,
            "createdDateTime": written(self.created),
            "lastModifiedDateTime": written(changed),
        }
        if detailed and state != "Running":
            document["fileStatusDetails"] = [_file_status(each, changed) for each in self.documents]
        return document


@dataclass(slots=True)
class Index:
    """A collection of videos that can be searched."""

    name: str
    features: list[JsonObject]
    fields: list[JsonObject]
    user_data: JsonObject
    created: float
    changed: float
    documents: dict[str, Document] = field(default_factory=dict)
    ingestions: dict[str, Ingestion] = field(default_factory=dict)

    @property
    def field_names(self) -> frozenset[str]:
        return frozenset(each["name"] for each in self.fields)

    def as_json(self) -> JsonObject:
        tag = hashlib.blake2b(f"{self.name}{self.changed}".encode(), digest_size=16).hexdigest()
        return {
            "name": self.name,
            "metadataSchema": {"language": "en", "fields": self.fields},
            "userData": self.user_data,
            "features": self.features,
            "eTag": f'"{tag}"',
            "createdDateTime": written(self.created),
            "lastModifiedDateTime": written(self.changed),
        }


class Retrieval:
    """The service's memory."""

    def __init__(self, ingestion_seconds: float) -> None:
        self._seconds = ingestion_seconds
        self._indexes: dict[str, Index] = {}
        self.queries = 0
        """Billed: searches by text, those of video prompts included."""

    def create(self, name: str, body: JsonObject, now: float) -> Index:
        given = read_index(body, name)
        if name in self._indexes:
            reject(f"Index '{name}' already exists.", "Conflict", 409)
        index = Index(name, given["features"], given["fields"], given["userData"], now, now)
        self._indexes[name] = index
        return index

    def update(self, name: str, body: JsonObject, now: float) -> Index:
        index = self.index(name)
        given = read_index({key: value for key, value in body.items() if key != "features"}, name)
        index.fields = given["fields"] or index.fields
        index.user_data = given["userData"] or index.user_data
        index.changed = now
        return index

    def index(self, name: str) -> Index:
        return self._indexes.get(name) or reject("Index not found.", "NotFound", 404)

    def indexes(self) -> list[Index]:
        return list(self._indexes.values())

    def delete(self, name: str) -> None:
        self.index(name)
        del self._indexes[name]

    def ingest(self, index_name: str, name: str, body: JsonObject, now: float) -> Ingestion:
        """A new ingestion; the caller says what of it can be read (`looked_at`)."""
        index = self.index(index_name)
        videos = read_ingestion(body, index.field_names)
        if name in index.ingestions:
            reject(f"Ingestion '{name}' already exists.", "Conflict", 409)
        for video in videos:
            known = self.document(index_name, video.id, now)
            if video.mode == "add" and known:
                reject(f"Document '{video.id}' already exists.", "Conflict", 409)
            if video.mode != "add" and not known:
                reject(f"Document '{video.id}' not found.", "NotFound", 404)
        documents = tuple(
            Document(video.id, video.url.partition("?")[0], video.metadata, video.user_data, now) for video in videos
        )
        ingestion = Ingestion(name, now, now + self._seconds, videos, documents)
        index.ingestions[name] = ingestion
        return ingestion

    def ingestion(self, index_name: str, name: str) -> Ingestion:
        return self.index(index_name).ingestions.get(name) or reject("Ingestion not found.", "NotFound", 404)

    def documents(self, index_name: str, now: float) -> list[Document]:
        """Of all ingestions that are done, those that failed too."""
        found: dict[str, Document] = {}
        for ingestion in self.index(index_name).ingestions.values():
            if ingestion.state(now) == "Running":
                continue
            for video, document in zip(ingestion.videos, ingestion.documents, strict=True):
                if video.mode == "remove":
                    found.pop(document.id, None)
                else:
                    found[document.id] = document
        return list(found.values())

    def document(self, index_name: str, id_: str, now: float) -> Document | None:
        """A video that can be asked about."""
        return next((each for each in self.documents(index_name, now) if each.id == id_ and not each.error), None)

    def query(self, index_name: str, body: JsonObject, now: float) -> list[JsonObject]:
        """Moments of the videos that the filters let through. What is in them nobody knows: relevance is by chance."""
        index = self.index(index_name)
        query = read_query(body, index.field_names)
        self.queries += 1
        wanted = [each for each in self.documents(index_name, now) if not each.error and _passes(each, query)]
        features = [each["name"] for each in index.features if each["name"] in query.features]
        found = [_match(document, query.text, feature) for document in wanted for feature in features]
        found.sort(key=lambda each: -float(each["relevance"]))
        return found[query.skip : query.skip + query.top]


def page_of(entries: Sequence[JsonObject], skip: int, top: int, url: str) -> JsonObject:
    """A page of a list, with the link to the next one where there is one."""
    page: JsonObject = {"value": list(entries[skip : skip + top])}
    if skip + top < len(entries):
        page["nextLink"] = f"{url}&$skip={skip + top}&$top={top}"
    return page


def written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def request_id() -> str:
    return secrets.token_hex(16)


def _passes(document: Document, query: Query) -> bool:
    values = document.metadata
    if any(values.get(name) not in allowed for name, allowed in query.strings.items()):
        return False
    return all(
        name in values and begin <= values[name] and (not end or values[name] <= end)
        for name, begin, end in query.times
    )


def _match(document: Document, text: str, feature: str) -> JsonObject:
    drawn = hashlib.blake2b(f"{text}\0{document.id}\0{feature}".encode(), digest_size=8).digest()
    second = drawn[0] % 20
    fraction = "" if feature == "vision" else ".4000000"
    return {
        "documentId": document.id,
        "documentKind": KINDS[feature],
        "start": f"00:00:{second:02}{fraction}",
        "end": f"00:00:{second + 2:02}{fraction}",
        "best": f"00:00:{second + 1:02}{fraction}",
        "relevance": int.from_bytes(drawn, "big") / 2**64,
    }


def _file_status(document: Document, changed: float) -> JsonObject:
    status: JsonObject = {
        "lastUpdateTime": written(changed),
        "documentId": document.id,
        "documentUrl": document.url,
        "succeeded": document.error is None,
    }
    return status | ({"error": _problem(document.error)} if document.error else {})


def _problem(text: str) -> JsonObject:
    return {"code": "InvalidDocument", "message": text}
