"""What an estimate asks of an output: the journal's rows count as those in parts do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.store import completion_tokens, finished_keys, request_counts
from tests.store.rows import REQUEST, row, store

ROWS = [
    row("a", completion_tokens=20),
    row("b", completion_tokens=300, status="truncated", reason="truncated"),
    row("c", completion_tokens=None, status="failed", reason="undecodable", caption=None),
    row("d", completion_tokens=None, status="failed", reason="timeout", caption=None),
    row("e", completion_tokens=7, request_hash="another"),
]


@pytest.fixture(params=["in parts", "in the journal"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with store(tmp_path / "out") as opened:
        opened.append(ROWS)
        if request.param == "in the journal":
            yield str(tmp_path / "out")
    if request.param == "in parts":
        yield str(tmp_path / "out")


def test_rows_by_request(out: str) -> None:
    assert request_counts(out) == {REQUEST: 4, "another": 1}


def test_all_answers_on_the_bill_cut_off_ones_too(out: str) -> None:
    assert sorted(completion_tokens(out, REQUEST)) == [20, 300]
    assert completion_tokens(out, "another") == [7]
    assert completion_tokens(out, "a third") == []


def test_what_need_not_be_asked_again(out: str) -> None:
    finished = finished_keys(out, REQUEST)
    assert {key: finished.status_of(key, "v1") for key in "abcde"} == {
        "a": "captioned", "b": "truncated", "c": "failed", "d": None, "e": None,
    }  # fmt: skip
    assert finished.status_of("a", "v2") is None


def test_no_output_yet_has_no_rows(tmp_path: Path) -> None:
    assert request_counts(str(tmp_path / "absent")) == {}
    assert request_counts(str(tmp_path)) == {}


def test_an_output_that_cannot_be() -> None:
    with pytest.raises(UserError, match="not a place in an object store"):
        request_counts("ftp://host/out")
