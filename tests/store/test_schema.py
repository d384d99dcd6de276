"""The columns are a contract, and nothing that a server says may break a row."""

import subprocess
import sys
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline.store
from pipeline.items import FilterResult, Grounding, Record
from pipeline.store import SCHEMA, records_to_batch
from tests.store.rows import row

CONTRACT = """
key string
uri string
source_version string
content_hash string
width int32
height int32
format string
bytes int64
status string
reason string
message string
caption string
fields struct<caption: string>
provider string
model string
model_returned string
deployment string
mode string
detail string
sent_width int32
sent_height int32
sent_bytes int64
sent_format string
predicted_prompt_tokens int32
predicted_image_tokens int32
prompt_tokens int32
completion_tokens int32
total_tokens int32
cached_tokens int32
reasoning_tokens int32
cost_usd decimal128(18, 9)
price_date date32[day]
finish_reason string
content_filter list<item: struct<category: string, severity: string, filtered: bool, where: string>>
grounding list<item: struct<text: string, offset: int32, length: int32, polygon: list<item: struct<x: double, y: double>>>>
attempts int32
latency_ms int32
queue_ms int32
request_id string
request_hash string
run_id string
started_at timestamp[us, tz=UTC]
finished_at timestamp[us, tz=UTC]
metadata map<string, string>
"""  # noqa: E501
SINCE_ADDED = ["duration double", "members list<item: string>"]
"""Behind them: of videos, and of images that are asked about together."""


def test_columns_are_those_of_the_contract() -> None:
    assert [f"{field.name} {field.type}" for field in SCHEMA] == [*CONTRACT.split("\n")[1:-1], *SINCE_ADDED]
    assert SCHEMA.metadata == {b"nightcap_schema_version": b"1"}
    assert all(field.metadata[b"description"] for field in SCHEMA)
    assert SCHEMA.field("latency_ms").metadata[b"unit"] == b"millisecond"


def test_columns_are_the_fields_of_a_record() -> None:
    assert {field.name for field in fields(Record)} == set(SCHEMA.names)


def test_every_value_arrives_as_it_was() -> None:
    full = row(
        "a/ü.jpg",
        fields={"caption": "two dogs"},
        bytes=5_000_000_000,
        cost_usd=Decimal("0.0123456785"),
        price_date=date(2026, 11, 1),
        content_filter=(
            FilterResult("hate", "safe", False, "prompt"),
            FilterResult("jailbreak", None, True, "completion"),
        ),
        grounding=(
            Grounding("dogs", 4, 4, ((0.0, 0.5), (1.0, 0.25))),
            Grounding("two", 0, 3, ()),
        ),
        metadata={"title": "T", "album": "A"},
        finished_at=datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC),
    )
    batch = records_to_batch([row("plain"), full, row("empty", metadata={})])
    assert batch.schema.equals(SCHEMA, check_metadata=True)
    batch.validate(full=True)
    plain, got, empty = batch.to_pylist()
    assert got["fields"] == {"caption": "two dogs"}
    assert got["bytes"] == 5_000_000_000
    assert got["cost_usd"] == Decimal("0.012345678")  # half to even, nine places
    assert got["price_date"] == date(2026, 11, 1)
    assert got["content_filter"] == [
        {"category": "hate", "severity": "safe", "filtered": False, "where": "prompt"},
        {"category": "jailbreak", "severity": None, "filtered": True, "where": "completion"},
    ]
    assert got["grounding"] == [
        {"text": "dogs", "offset": 4, "length": 4, "polygon": [{"x": 0.0, "y": 0.5}, {"x": 1.0, "y": 0.25}]},
        {"text": "two", "offset": 0, "length": 3, "polygon": []},
    ]
    assert got["metadata"] == [("title", "T"), ("album", "A")]
    assert got["finished_at"] == datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC)
    assert (plain["fields"], plain["metadata"], plain["price_date"]) == (None, None, None)
    assert (plain["content_filter"], plain["grounding"], empty["metadata"]) == ([], [], [])


def test_importing_the_room_loads_nothing_heavy() -> None:
    script = "import sys, pipeline.store; sys.exit(bool({'pyarrow', 'sqlite3', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    for name in pipeline.store.__all__:
        assert getattr(pipeline.store, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pipeline.store.nothing  # noqa: B018


def test_no_records_are_an_empty_batch() -> None:
    assert records_to_batch([]).num_rows == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [("cut \ud83d off", "cut � off"), ("\ud83d\ude00", "\U0001f600"), ("\udcff", "�"), ("nul \0", "nul \0")],
)
def test_text_that_is_not_unicode_is_mended(given: str, kept: str) -> None:
    (got,) = records_to_batch(
        [
            row(
                "k",
                caption=given,
                message=given,
                fields={"caption": given},
                metadata={given: given},
                content_filter=(FilterResult(given, given, True, "prompt"),),
                grounding=(Grounding(given, 0, 1, ()),),
            )
        ]
    ).to_pylist()
    assert got["caption"] == got["message"] == got["fields"]["caption"] == kept
    assert got["metadata"] == [(kept, kept)]
    assert got["content_filter"][0]["category"] == got["grounding"][0]["text"] == kept


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 10**30])
def test_a_number_too_large_for_its_column_becomes_null(number: int) -> None:
    wild, tame = records_to_batch([row("wild", prompt_tokens=number), row("tame", prompt_tokens=7)]).to_pylist()
    assert (wild["prompt_tokens"], tame["prompt_tokens"]) == (None, 7)


@pytest.mark.parametrize("cost", [Decimal("1e9"), Decimal("1e30"), Decimal("NaN"), Decimal("Infinity")])
def test_a_cost_that_is_no_price_becomes_null(cost: Decimal) -> None:
    given = [cost, Decimal("0.5"), Decimal("0E-30"), None]
    batch = records_to_batch([row(f"{n}", cost_usd=each) for n, each in enumerate(given)])
    assert batch["cost_usd"].to_pylist() == [None, Decimal("0.5"), Decimal(0), None]
    assert records_to_batch([row("free", cost_usd=Decimal("0E-30"))])["cost_usd"].to_pylist() == [Decimal(0)]


@given(st.lists(st.text(st.characters(exclude_categories=[])), max_size=5))
def test_any_text_is_taken(texts: list[str]) -> None:
    batch = records_to_batch([row(f"{n}", caption=text, message=text) for n, text in enumerate(texts)])
    batch.validate(full=True)
    for text, kept in zip(texts, batch["caption"].to_pylist(), strict=True):
        try:
            text.encode()
        except UnicodeEncodeError:
            assert "\ufffd" in kept or len(kept) < len(text)
        else:
            assert kept == text


def test_a_part_of_a_batch_can_be_laid_together_again() -> None:
    batch = records_to_batch([row(f"{n}", grounding=(Grounding("x", n, 1, ((0.0, 1.0),)),)) for n in range(10)])
    table = pa.Table.from_batches([batch.slice(5), batch.slice(0, 5)])
    assert [item[0]["offset"] for item in table["grounding"].to_pylist()] == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
