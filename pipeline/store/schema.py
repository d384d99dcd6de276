"""The columns of the output, schema version 1, and the way from records to Arrow. Knows messages and Arrow, no files.

`SCHEMA` holds the fields of `items.Record`, under the same names. Readers outside Nightcap rely on names, order and
types; each field carries its description and unit as metadata, which Parquet keeps.
"""

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import pyarrow as pa

from pipeline.items import FilterResult, Grounding, Record
from pipeline.store.answers import AnswerColumn, answer_column

SCHEMA_VERSION = 1
VERSION_KEY = b"nightcap_schema_version"

_FILTER = pa.struct(
    [("category", pa.string()), ("severity", pa.string()), ("filtered", pa.bool_()), ("where", pa.string())]
)
_POINT = pa.struct([("x", pa.float64()), ("y", pa.float64())])
_GROUNDING = pa.struct(
    [("text", pa.string()), ("offset", pa.int32()), ("length", pa.int32()), ("polygon", pa.list_(_POINT))]
)


def _column(name: str, type_: pa.DataType, description: str, unit: str = "") -> pa.Field:
    metadata = {"description": description} | ({"unit": unit} if unit else {})
    return pa.field(name, type_, metadata=metadata)


SCHEMA = pa.schema(
    [
        _column("key", pa.string(), "stable id of the image, or of the group of images, within its source"),
        _column("uri", pa.string(), "where it was read from, without any secret; of several images, what all lie in"),
        _column("source_version", pa.string(), "etag, or size and modification time; of several images, a digest"),
        _column("content_hash", pa.string(), "hash of the original bytes, algorithm:hex; of several, of their hashes"),
        _column("width", pa.int32(), "as a person sees it, after EXIF rotation; null for several images", "pixel"),
        _column("height", pa.int32(), "as a person sees it, after EXIF rotation; null for several images", "pixel"),
        _column("format", pa.string(), "of the original; null for several images"),
        _column("bytes", pa.int64(), "length of the original, or of all", "byte"),
        _column("status", pa.string(), "captioned, truncated, filtered, refused or failed"),
        _column("reason", pa.string(), "stable code when status is not captioned"),
        _column("message", pa.string(), "sentence when status is not captioned"),
        _column(
            "caption",
            pa.string(),
            "null unless captioned or truncated; of an answer with fields its caption, alt_text, description or text, "
            "the first that it has, else its tags, else null",
        ),
        _column("fields", answer_column(None).type, "the typed answer, when a schema was given"),
        _column("provider", pa.string(), "asked"),
        _column("model", pa.string(), "asked"),
        _column("model_returned", pa.string(), "the model that says it answered"),
        _column("deployment", pa.string(), "asked, where the provider has deployments"),
        _column("mode", pa.string(), "live, batch, or reused: same content and request were already paid for"),
        _column("detail", pa.string(), "image detail asked for; of a video, of its frames"),
        _column("sent_width", pa.int32(), "of the image that was sent; of several, null where they differ", "pixel"),
        _column("sent_height", pa.int32(), "of the image that was sent; of several, null where they differ", "pixel"),
        _column("sent_bytes", pa.int64(), "of what was sent, before base64", "byte"),
        _column("sent_format", pa.string(), "of the image that was sent; of several, null where they differ"),
        _column("predicted_prompt_tokens", pa.int32(), "before sending, image included", "token"),
        _column("predicted_image_tokens", pa.int32(), "before sending", "token"),
        _column("prompt_tokens", pa.int32(), "by the server, all attempts together; null if it did not say", "token"),
        _column(
            "completion_tokens", pa.int32(), "by the server, all attempts together; null if it did not say", "token"
        ),
        _column("total_tokens", pa.int32(), "by the server, all attempts together; null if it did not say", "token"),
        _column("cached_tokens", pa.int32(), "part of prompt_tokens that came from a cache", "token"),
        _column("reasoning_tokens", pa.int32(), "part of completion_tokens", "token"),
        _column(
            "cost_usd",
            pa.decimal128(18, 9),
            "usage times price of all attempts whose usage is known; null: unknown",
            "USD",
        ),
        _column("price_date", pa.date32(), "which price"),
        _column("finish_reason", pa.string(), "why the model stopped"),
        _column("content_filter", pa.list_(_FILTER), "verdicts on prompt and completion"),
        _column(
            "grounding",
            pa.list_(_GROUNDING),
            "what was found in the picture: polygon as fractions of its sides, offset and length of the same words in "
            "caption, in code points; null: the caption does not have them",
        ),
        _column("attempts", pa.int32(), "requests sent for this image"),
        _column("latency_ms", pa.int32(), "of the last request", "millisecond"),
        _column("queue_ms", pa.int32(), "waited for the limits", "millisecond"),
        _column("request_id", pa.string(), "the server's, for its support"),
        _column("request_hash", pa.string(), "of model, prompt, schema, detail, max tokens and image policy"),
        _column("run_id", pa.string(), "the run that made this row"),
        _column("started_at", pa.timestamp("us", tz="UTC"), "when work on the image began"),
        _column("finished_at", pa.timestamp("us", tz="UTC"), "when its row was made"),
        _column("metadata", pa.map_(pa.string(), pa.string()), "further columns of a listing file"),
        _column("duration", pa.float64(), "of a video", "second"),
        _column("members", pa.list_(pa.string()), "keys of the images that were asked about together; null: one image"),
    ],
    metadata={VERSION_KEY: str(SCHEMA_VERSION)},
)

_NANO_USD = Decimal("1e-9")
_LIMIT_USD = 10**9
_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class RowSchema:
    """What the rows of one run look like: `SCHEMA`, with `fields` as its answers need it."""

    arrow: pa.Schema
    answers: AnswerColumn


def row_schema(answer_schema: str | None) -> RowSchema:
    """For a job whose answers are held to this JSON Schema."""
    answers = answer_column(answer_schema)
    number = SCHEMA.get_field_index("fields")
    return RowSchema(SCHEMA.set(number, SCHEMA.field(number).with_type(answers.type)), answers)


PLAIN_ROWS = row_schema(None)


def records_to_batch(records: Sequence[Record], rows: RowSchema = PLAIN_ROWS) -> pa.RecordBatch:
    """Records as one Arrow batch of `rows.arrow`.

    What a server may get wrong never raises: a lone surrogate in a text becomes U+FFFD, a number that its
    column cannot hold becomes null.
    """
    arrays = dict(zip(_PLAIN.names, _plain_columns(records), strict=True))
    arrays["fields"] = _plain([rows.answers.pack(record.fields) for record in records], rows.answers.type)
    arrays["cost_usd"] = _costs([record.cost_usd for record in records], SCHEMA.field("cost_usd").type)
    for name, convert in _NESTED.items():
        values, type_ = [getattr(record, name) for record in records], SCHEMA.field(name).type
        arrays[name] = convert(values, type_) if any(values) else pa.array(values, type_)
    return pa.RecordBatch.from_arrays([arrays[name] for name in SCHEMA.names], schema=rows.arrow)


def row_to_record(row: Mapping[str, Any], rows: RowSchema = PLAIN_ROWS) -> Record:
    """The record that a row was made of, from `to_pylist`; columns of a later schema are left out."""
    given = {name: row[name] for name in SCHEMA.names if name in row}
    given["content_filter"] = tuple(FilterResult(**verdict) for verdict in row["content_filter"] or ())
    given["grounding"] = tuple(
        Grounding(**{**span, "polygon": tuple((point["x"], point["y"]) for point in span["polygon"])})
        for span in row["grounding"] or ()
    )
    given["fields"] = rows.answers.unpack(row["fields"])
    given["members"] = tuple(row.get("members") or ()) or None
    given["metadata"] = None if row["metadata"] is None else dict(row["metadata"])
    return Record(**given)


def _plain_columns(records: Sequence[Record]) -> Sequence[pa.Array]:
    """All of `_PLAIN` at once: column by column takes twice as long, pyarrow asks the environment in each call."""
    values = list(map(_plain_values, records))
    try:
        columns: Sequence[pa.Array] = pa.array(values, _PLAIN_TYPE).flatten()
    except (UnicodeEncodeError, pa.ArrowInvalid, OverflowError):
        by_column = zip(*values, strict=True)
        columns = [_plain(column, field.type) for column, field in zip(by_column, _PLAIN, strict=True)]
    return columns


def _plain(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except UnicodeEncodeError:
        return pa.array([_valid(value) for value in values], type_)
    except (pa.ArrowInvalid, OverflowError):
        if type_ != pa.int32():
            raise
        return pa.array([value if value in _INT32 else None for value in values], type_)


def _valid(value: Any) -> Any:
    """`value` with every text in it made valid Unicode; a surrogate pair that was split becomes its character again."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_valid(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value


def _costs(values: Sequence[Decimal | None], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except pa.ArrowInvalid:  # more digits than it has room for
        return pa.array([None if value is None else _cost(value) for value in values], type_)


def _cost(value: Decimal) -> Decimal | None:
    return value.quantize(_NANO_USD) if value.is_finite() and abs(value) < _LIMIT_USD else None


def _filters(values: Sequence[Sequence[FilterResult]], type_: pa.ListType) -> pa.Array:
    flat = list(chain.from_iterable(values))
    columns = [list(map(attrgetter(field.name), flat)) for field in type_.value_type]
    return _lists(values, type_, [_plain(*pair) for pair in zip(columns, _types(type_), strict=True)])


def _groundings(values: Sequence[Sequence[Grounding]], type_: pa.ListType) -> pa.Array:
    flat = list(chain.from_iterable(values))
    text, offset, length, polygon = _types(type_)
    polygons = [item.polygon for item in flat]
    points = list(chain.from_iterable(polygons))
    coordinates = [pa.array([point[axis] for point in points], pa.float64()) for axis in (0, 1)]
    return _lists(
        values,
        type_,
        [
            _plain([item.text for item in flat], text),
            _plain([item.offset for item in flat], offset),
            _plain([item.length for item in flat], length),
            _lists(polygons, polygon, coordinates),
        ],
    )


def _metadata(values: Sequence[Mapping[str, str] | None], type_: pa.MapType) -> pa.Array:
    rows = [value or {} for value in values]
    keys = _plain(list(chain.from_iterable(rows)), type_.key_type)
    items = _plain(list(chain.from_iterable(row.values() for row in rows)), type_.item_type)
    valid = pa.array([value is None for value in values])
    return pa.MapArray.from_arrays(_offsets(rows), keys, items, type_, mask=valid)


def _lists(values: Sequence[Sized], type_: pa.ListType, children: Sequence[pa.Array]) -> pa.Array:
    """Lists of structs from flat columns: a dict for each struct costs 61 us a row of eight, this 2 us."""
    structs = pa.StructArray.from_arrays(children, fields=list(type_.value_type))
    return pa.ListArray.from_arrays(_offsets(values), structs, type_)


def _offsets(values: Sequence[Sized]) -> pa.Array:
    return pa.array(accumulate(map(len, values), initial=0), pa.int32())


def _types(type_: pa.ListType) -> list[pa.DataType]:
    return [field.type for field in type_.value_type]


_NESTED: Mapping[str, Callable[[Sequence[Any], Any], pa.Array]] = {
    "content_filter": _filters,
    "grounding": _groundings,
    "metadata": _metadata,
}
"""Columns that may hold several values a row, and mostly hold none."""

_PLAIN = pa.schema([field for field in SCHEMA if field.name not in {"fields", "cost_usd", *_NESTED}])
_PLAIN_TYPE = pa.struct(list(_PLAIN))
_plain_values = attrgetter(*_PLAIN.names)
