"""Column `fields`: its type from a schema, and one type in all parts however many schemas an output has seen."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import SystemClock
from pipeline.items import Record, SourceImage
from pipeline.store import ListedKeys, StoreOptions, open_store
from pipeline.store.answers import answer_column
from pipeline.store.schema import records_to_batch, row_schema, row_to_record

FLAT = {"caption": {"type": "string"}, "people": {"type": "integer"}}


def schema(properties: dict[str, Any], **more: Any) -> str:
    return json.dumps({"type": "object", "properties": properties, **more})


@pytest.mark.parametrize(
    ("given_schema", "type_"),
    [
        ({"type": "string"}, pa.string()),
        ({"type": "integer"}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"type": "boolean"}, pa.bool_()),
        ({"enum": ["a", "b", None]}, pa.string()),
        ({"enum": [1, 2]}, pa.int64()),
        ({"const": True}, pa.bool_()),
        ({"type": ["integer", "null"]}, pa.int64()),
        ({"type": ["integer", "number"]}, pa.float64()),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, pa.int64()),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, pa.string()),
        ({"type": "array", "items": {"type": "number"}}, pa.list_(pa.float64())),
        ({"type": "object", "properties": {"x": {"type": "integer"}}}, pa.struct([("x", pa.int64())])),
        ({"type": "object"}, pa.string()),
        ({"type": "object", "additionalProperties": {"type": "string"}}, pa.string()),
        ({"type": "array"}, pa.string()),
        ({"$ref": "#/$defs/leaf"}, pa.list_(pa.string())),
        ({"$ref": "#"}, pa.string()),
        (True, pa.string()),
    ],
)
def test_types(given_schema: Any, type_: pa.DataType) -> None:
    definitions = {"leaf": {"type": "array", "items": {"type": "string"}}}
    assert answer_column(schema({"p": given_schema}, **{"$defs": definitions})).type == pa.struct([("p", type_)])


def test_what_is_json_text_says_so() -> None:
    column = answer_column(schema({"free": {"type": "object", "description": "Anything."}, "n": {"type": "integer"}}))
    assert column.type.field("free").metadata == {b"description": b"Anything.; JSON text"}
    assert column.pack({"free": {"a": [1, "é"]}, "n": 2**70}) == {"free": '{"a": [1, "é"]}', "n": None}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1), values)
def test_an_answer_comes_back_as_it_was(text: str, number: int, free: Any) -> None:
    """Through a row, as for an image whose content was captioned before."""
    rows = row_schema(schema({"text": {"type": "string"}, "place": {"type": "object", "properties": FLAT}, "free": {}}))
    fields = {"text": text, "place": {"caption": None, "people": number}, "free": free}
    [row] = records_to_batch([record("a", fields=fields)], rows).to_pylist()
    assert row_to_record(row, rows).fields == json.loads(json.dumps(fields))


def record(key: str, request: str = "r1", fields: dict[str, Any] | None = None) -> Record:
    return Record(
        key, f"file:///{key}", "v1", "captioned", request, "run", "openai", "gpt-4o",
        content_hash=f"blake3:{ord(key[0]):064x}", caption="c", fields=fields, attempts=1,
    )  # fmt: skip


def write(out: Path, run: int, request: str, schema: str | None, *records: Record) -> None:
    with open_store(str(out), StoreOptions(), SystemClock(), f"2026112{run}T000000Z", request, schema) as store:
        store.append(records)


B = schema({"tags": {"type": "array", "items": {"type": "string"}}, "people": {"type": "number"}})
C = schema({"people": {"type": "string"}})


def test_readers_see_what_runs_with_different_schemas_wrote(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, 0, "r0", None, record("a", "r0"))
    write(out, 1, "r1", schema(FLAT), record("b", "r1", {"caption": "x", "people": 3}))
    write(out, 2, "r2", B, record("c", "r2", {"tags": ["t"], "people": 2.5}))
    expected = {
        "a": None,
        "b": {"caption": "x", "people": 3.0, "tags": None},
        "c": {"caption": None, "people": 2.5, "tags": ["t"]},
    }
    assert dict(duckdb.sql(f"select key, fields from '{out}/*.parquet'").fetchall()) == expected
    read = pandas.read_parquet(out).set_index("key")["fields"].to_dict()
    assert {key: value and {**value, "tags": value["tags"] if value["tags"] is None else list(value["tags"])}
            for key, value in read.items()} == expected  # fmt: skip
    write(out, 3, "r3", C, record("d", "r3", {"people": "three"}))
    assert dict(duckdb.sql(f"select key, fields.people from '{out}/*.parquet'").fetchall()) == {
        "a": None, "b": "3.0", "c": "2.5", "d": "three",
    }  # fmt: skip


def test_while_a_run_goes_on_readers_unite_by_name(tmp_path: Path) -> None:
    write(tmp_path, 0, "r0", schema(FLAT), record("a", "r0", {"caption": "x", "people": 3}))
    store = open_store(str(tmp_path), StoreOptions(rows_per_part=1), SystemClock(), "20261121T", "r1", B)
    store.append([record("b", "r1", {"tags": ["t"], "people": 1.5})])
    read = duckdb.sql(f"select key, fields from read_parquet('{tmp_path}/*.parquet', union_by_name=true)").fetchall()
    assert dict(read) == {
        "a": {"caption": "x", "people": 3.0, "tags": None},
        "b": {"caption": None, "people": 1.5, "tags": ["t"]},
    }
    store.close()


def test_one_file_holds_all_types(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    for run, (text, fields) in enumerate([(None, None), (B, {"tags": ["t"]}), (C, {"people": "3"})]):
        write(out, run, f"r{run}", text, record("abc"[run], f"r{run}", fields))
    assert pq.read_table(out)["fields"].to_pylist() == [
        None, {"caption": None, "tags": ["t"], "people": None}, {"caption": None, "tags": None, "people": "3"}
    ]  # fmt: skip


def test_a_replaced_row_leaves_nothing_of_its_type(tmp_path: Path) -> None:
    write(tmp_path, 0, "r0", schema(FLAT), record("a", "r0", {"caption": "x", "people": 3}))
    write(tmp_path, 1, "r1", C, record("a", "r1", {"people": "three"}))
    assert pandas.read_parquet(tmp_path)["fields"].tolist() == [{"people": "three"}]


def test_all_rows_of_another_type_may_go(tmp_path: Path) -> None:
    write(tmp_path, 0, "r0", B, record("a", "r0", {"tags": ["t"]}))
    listed = ListedKeys()
    assert list(listed.of([SourceImage("b", "file:///b", "v1")]))
    with open_store(str(tmp_path), StoreOptions(), SystemClock(), "20261122T", "r1", C) as store:
        assert store.prune(listed) == 1
    assert not list(tmp_path.glob("*.parquet"))


def test_a_copy_takes_the_answer_from_a_part_of_another_type(tmp_path: Path) -> None:
    write(tmp_path, 0, "r0", C, record("z", "r0", {"people": "three"}))
    write(tmp_path, 1, "r1", schema(FLAT), record("a", "r1", {"caption": "x", "people": 3}))
    options = StoreOptions()
    with open_store(str(tmp_path), options, SystemClock(), "20261122T", "r1", schema(FLAT)) as store:
        store.load_captions()
        found = store.find_caption(str(record("a").content_hash), "")
        assert found is not None
        assert found.fields == {"caption": "x", "people": 3}
        store.append([record("b", "r1", dict(found.fields))])
    assert pandas.read_parquet(tmp_path).set_index("key")["fields"]["b"]["people"] == "3"


def test_fields_survive_a_run_that_died(tmp_path: Path) -> None:
    """Rows of the journal keep the type of their run, also when the next one has another."""
    dead = open_store(str(tmp_path), StoreOptions(), SystemClock(), "20261120T", "r0", B)
    dead.append([record("a", "r0", {"tags": ["t"], "people": 1.5})])
    dead._journal.close()
    dead._lock.release()
    write(tmp_path, 1, "r1", schema(FLAT), record("b", "r1", {"caption": "x", "people": 2}))
    read = dict(duckdb.sql(f"select key, fields from '{tmp_path}/*.parquet'").fetchall())
    assert read["a"]["tags"] == ["t"]
    assert read["b"]["people"] == 2.0
