"""Captions by content, from parts and journal, against a plain dict."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.items import OWN_PROMPT, FilterResult, Grounding, Record
from pipeline.store import parts
from pipeline.store.dataset import Store
from pipeline.store.keys import captioned
from pipeline.store.keys.captioned import _number, _numbers
from pipeline.store.schema import records_to_batch, row_to_record
from tests.store.rows import row, store


def content(name: str) -> str:
    return f"blake3:{hashlib.sha256(name.encode()).hexdigest()}"


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_ROW_GROUP", 2)
    monkeypatch.setattr(captioned, "_ROW_GROUPS", 2)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    with store(tmp_path, rows_per_part=3) as opened:
        opened.load_captions()
        yield opened


rows = st.builds(
    row,
    st.sampled_from("abcdefgh"),
    content_hash=st.sampled_from([None, *map(content, "12345")]),
    status=st.sampled_from(["captioned", "truncated", "failed"]),
    request_hash=st.sampled_from(["request-1", "request-1", "request-2"]),
)


@settings(max_examples=30, deadline=None)
@given(nights=st.lists(st.lists(rows, max_size=6), min_size=1, max_size=3))
def test_what_was_captioned_is_found_wherever_it_lies(nights: list[list[Record]]) -> None:
    with TemporaryDirectory() as folder:
        known: set[str] = set()
        for number, night in enumerate(nights):
            with store(Path(folder, "out"), rows_per_part=3, run_id=f"2026112{number}") as opened:
                opened.load_captions()
                for record in night:
                    opened.append([record])
                    if record.content_hash and record.status != "failed" and record.request_hash == "request-1":
                        known.add(record.content_hash)
                    for each in map(content, "12345"):
                        found = opened.find_caption(each, "")
                        assert opened.may_have_caption(each) or found is None
                        assert (found is not None) <= (each in known)
                        assert found is None or (found.content_hash, found.request_hash) == (each, "request-1")
                        if each == record.content_hash and each in known:
                            assert found is not None, "a copy of the image just before is never asked"


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    whole = row(
        "a",
        content_hash=content("1"),
        content_filter=(FilterResult("hate", "safe", False, "prompt"),),
        grounding=(Grounding("cat", 2, 3, ((0.0, 0.25), (1.0, 1.0))),),
        metadata={"id": "7"},
    )
    for flush in (1, 100):
        with store(tmp_path / str(flush), rows_per_part=flush) as opened:
            opened.append([whole, row("b")][:flush])
            assert opened.find_caption(content("1"), "") == whole


def test_two_contents_that_share_64_bits_are_told_apart(opened: Store) -> None:
    alike = ["blake3:" + digit * 48 + "0123456789abcdef" for digit in "ab"]
    opened.append([row("a", content_hash=alike[0])])
    assert opened.may_have_caption(alike[1])
    assert opened.find_caption(alike[1], "") is None
    assert opened.find_caption(alike[0], "") is not None


def test_an_own_prompt_is_part_of_what_was_asked(opened: Store) -> None:
    opened.append([row("a", f"v1{OWN_PROMPT}aa", content_hash=content("1"))])
    assert opened.find_caption(content("1"), "") is None
    assert opened.find_caption(content("1"), "aa") is not None


def test_a_cut_loses_nothing_of_it(opened: Store) -> None:
    for n in range(8):  # parts are cut after 3 and 6 rows
        opened.append([row(str(n), content_hash=content(str(n)))])
        assert all(opened.find_caption(content(str(k)), "") is not None for k in range(n + 1))
    assert not opened.may_have_caption(content("8"))


@given(st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex), max_size=5), st.booleans())
def test_numbers_of_a_column_are_those_of_its_values(digests: list[str], mixed: bool) -> None:
    contents = [f"{'sha256' if mixed and n % 2 else 'md5'}:{digest}" for n, digest in enumerate(digests)]
    column = pa.array(["x", *contents], pa.string())[1:]
    assert _numbers(column).tolist() == [_number(each) for each in contents]


def test_a_record_survives_the_way_through_arrow() -> None:
    record = row("a", metadata={}, content_filter=())
    assert row_to_record(records_to_batch([record]).to_pylist()[0]) == record
