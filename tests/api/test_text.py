import json

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


def by_the_standard_parser(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@pytest.mark.parametrize(
    "body",
    [
        b"[NaN, -Infinity, 1e400, -0, -0.0, 1E+5, 5e-324]",
        b"[18446744073709551616, -9223372036854775809]",
        b"9" * 4300,
        b'{"a": 1, "a": 2}',
        b'["a cat \\ud83d", "\\udc00\\ud800", "\\ud83d\\ude00", "\\u0000"]',
        b'{"\\ud800": "\xed\xa0\x80"}',
        b'"\x7f"',
        b'"\t"',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": "é"}'.encode("utf-16"),
        b" {} \r\n\t",
        b"{}\x0c",
        b"{}\x00",
        b"[1,]",
        b"01",
        b'"\xc0\x80"',
    ],
)
def test_odd_documents_are_read_as_the_standard_parser_reads_them(body: bytes) -> None:
    assert repr(parse_json(body)) == repr(by_the_standard_parser(body))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.booleans(), st.integers(0, 200), st.integers(0, 3), st.binary(max_size=2))
def test_a_document_with_a_wrong_byte_is_read_as_the_standard_parser_reads_it(
    value: object, ascii_only: bool, place: int, gone: int, put: bytes
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    damaged = body[:place] + put + body[place + gone :]
    for text in (body, damaged):
        assert repr(parse_json(text)) == repr(by_the_standard_parser(text))
