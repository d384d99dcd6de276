"""Bodies of the retrieval API, read as strictly as the reference describes them. Pure; Rejected for what is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pipeline.emulator.wire.errors import Rejected, WireError

INDEX_NAME = re.compile(r"[0-9A-Za-z]+([-_][0-9A-Za-z]+)*")
GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
MAX_NAME = 24
MAX_TOP = 1000
USUAL_TOP = 20
USUAL_MATCHES = 10

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Video:
    """One entry of `videos` in an ingestion."""

    mode: str
    id: str
    url: str = field(repr=False)
    """With its signature; what is kept is without."""
    metadata: Mapping[str, str]
    user_data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A search by text."""

    text: str
    strings: Mapping[str, tuple[str, ...]]
    """Values that a field may have; names in lower case, as the service keeps them."""
    times: tuple[tuple[str, str, str], ...]
    """(field, from, to); empty: no bound."""
    features: tuple[str, ...]
    top: int
    skip: int


def read_index(body: JsonObject, name: str) -> JsonObject:
    """Features, fields and user data of a new index."""
    if not (GUID.fullmatch(name) or (len(name) <= MAX_NAME and INDEX_NAME.fullmatch(name))):
        reject(f"Index name '{name}' is invalid.", "InvalidIndexName")
    _known(body, "metadataSchema", "features", "userData")
    features = []
    for given in _list(body, "features") or [{"name": "vision"}]:
        _known(given, "name", "modelVersion", "domain")
        _one_of(given.get("name"), "features.name", "vision", "speech")
        domain = _one_of(given.get("domain", "generic"), "features.domain", "generic", "surveillance")
        version = "2023-05-31" if given["name"] == "vision" else "2023-06-30"
        features.append({"name": given["name"], "modelVersion": version, "domain": domain})
    return {"features": features, "fields": _fields(body), "userData": _object(body, "userData")}


def _fields(body: JsonObject) -> list[JsonObject]:
    schema = _object(body, "metadataSchema")
    _known(schema, "language", "fields")
    fields = []
    for given in _list(schema, "fields"):
        _known(given, "name", "searchable", "filterable", "type")
        _one_of(given.get("type"), "fields.type", "string", "datetime")
        if not isinstance(given.get("name"), str) or not all(
            isinstance(given.get(key), bool) for key in ("searchable", "filterable")
        ):
            reject("A field needs 'name', 'searchable' and 'filterable'.")
        fields.append({**given, "name": given["name"].lower()})
    return fields


def read_ingestion(body: JsonObject, fields: frozenset[str]) -> tuple[Video, ...]:
    """The videos of an ingestion into an index with these metadata fields."""
    _known(body, "videos", "moderation", "generateInsightIntervals", "documentAuthenticationKind",
           "filterDefectedFrames", "includeSpeechTranscript")  # fmt: skip
    _one_of(str(body.get("documentAuthenticationKind", "none")).lower(), "documentAuthenticationKind", "none",
            "managedidentity")  # fmt: skip
    videos = tuple(_video(given, fields) for given in _list(body, "videos"))
    if not videos:
        reject("The ingestion has no 'videos'.")
    if len({video.id for video in videos}) < len(videos):
        reject("Two videos have the same 'documentId'.")
    return videos


def _video(given: JsonObject, fields: frozenset[str]) -> Video:
    _known(given, "mode", "documentId", "documentUrl", "metadata", "userData")
    mode = _one_of(given.get("mode"), "mode", "add", "update", "remove")
    url, id_, metadata = given.get("documentUrl"), given.get("documentId"), _object(given, "metadata")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        reject("'documentUrl' is not a URL.")
    if not isinstance(id_, str) or not id_:
        reject("'documentId' is missing.")
    for name, value in metadata.items():
        if name.lower() not in fields or not isinstance(value, str):
            reject(f"Metadata field '{name}' is not in the index's schema, or no string.")
    metadata = {name.lower(): value for name, value in metadata.items()}
    return Video(mode, id_, url, metadata, _object(given, "userData"))


def read_query(body: JsonObject, fields: frozenset[str]) -> Query:
    """A query of an index with these metadata fields."""
    _known(body, "queryText", "filters", "moderation", "top", "skip", "additionalIndexNames", "dedup",
           "dedupMaxDocumentCount", "disableMetadataSearch")  # fmt: skip
    text, filters = body.get("queryText"), _object(body, "filters")
    if not isinstance(text, str) or not text:
        reject("'queryText' is missing.")
    _known(filters, "stringFilters", "datetimeFilters", "featureFilters")
    strings = {_field(each, fields): tuple(_list(each, "values")) for each in _list(filters, "stringFilters")}
    times = tuple(
        (_field(each, fields), str(each.get("startTime") or ""), str(each.get("endTime") or ""))
        for each in _list(filters, "datetimeFilters")
    )
    features = tuple(_list(filters, "featureFilters")) or ("vision", "speech")
    for feature in features:
        _one_of(feature, "featureFilters", "vision", "speech")
    top, skip = body.get("top") or USUAL_MATCHES, body.get("skip") or 0
    if not (isinstance(top, int) and isinstance(skip, int)) or top < 1 or skip < 0:
        reject("'top' and 'skip' are whole numbers.")
    return Query(text, strings, times, features, top, skip)


def read_page(query: Mapping[str, str]) -> tuple[int, int]:
    """`$skip` and `$top`."""
    try:
        skip, top = int(query.get("$skip", 0)), int(query.get("$top", USUAL_TOP))
    except ValueError:
        reject("'$top' and '$skip' are integers.")
    if skip < 0 or not 1 <= top <= MAX_TOP:
        reject(f"'$top' is between 1 and {MAX_TOP}.")
    return skip, top


def reject(message: str, code: str = "InvalidRequest", status: int = 400) -> NoReturn:
    raise Rejected(WireError(status, message, code=code, azure_gateway=True))


def _field(given: JsonObject, fields: frozenset[str]) -> str:
    _known(given, "fieldName", "values", "startTime", "endTime")
    name = str(given.get("fieldName")).lower()
    if name not in fields:
        reject(f"Field '{name}' is not in the index's schema.")
    return name


def _known(given: JsonObject, *names: str) -> None:
    if not isinstance(given, dict):
        reject("An object was expected.")
    for name in given:
        if name not in names:
            reject(f"Unknown property '{name}'.")


def _object(given: JsonObject, name: str) -> JsonObject:
    found = given.get(name) or {}
    if not isinstance(found, dict):
        reject(f"'{name}' is not an object.")
    return found


def _list(given: JsonObject, name: str) -> list[Any]:
    found = given.get(name) or []
    if not isinstance(found, list):
        reject(f"'{name}' is not an array.")
    return found


def _one_of(value: Any, name: str, *allowed: str) -> str:
    if value not in allowed:
        reject(f"'{name}' is '{value}'; it can be {', '.join(allowed)}.")
    return str(value)
