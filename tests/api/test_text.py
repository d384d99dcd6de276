import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.reading.text import parse_json, read_code, read_text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("DeploymentNotFound", "deploymentnotfound"),
        ("429", "429"),
        (429, "429"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("two words\n", "two_words_"),
        ("x" * 100, "x" * 64),
        (None, ""),
        (True, ""),
        (4.29, ""),
        ({"a": 1}, ""),
        (["429"], ""),
    ],
)
def test_codes_are_stable_words(value: object, code: str) -> None:
    assert read_code(value) == code


def test_text_is_a_string_that_is_not_empty() -> None:
    assert read_text("gpt-4o") == "gpt-4o"
    assert [read_text(value) for value in ("", None, 4, ["x"])] == [None] * 4


def test_half_an_emoji_becomes_the_replacement_character() -> None:
    assert read_text("a cat \ud83d") == "a cat \ufffd"
    assert read_text("a cat \U0001f600") == "a cat \U0001f600"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b"nul"])
def test_no_json_is_none(body: bytes) -> None:
    assert parse_json(body) is None


@given(st.binary())
def test_no_bytes_raise(body: bytes) -> None:
    parse_json(body)
