"""Text that lists images, as a stream of rows: CSV, TSV, JSON Lines, one location a line. Knows nothing of images.

One row is in memory at a time, however many there are. What is wrong with one row is a row with a problem, since the
others are still good; what is wrong with the file is a UserError.
"""

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError

MAX_LINE_CHARACTERS = 16 * 1024 * 1024
_DELIMITERS = ",;\t|"
_ENCODING_OF_MARK = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    number: int
    """The line that it ends in, or the row of a Parquet file; from 1."""
    values: Mapping[str, str]
    """By column; a column without a value is left out."""
    problem: str | None = None
    """Why it cannot be understood."""
    cell: str | None = None
    """Where in the file its image lies, when the file holds the images themselves."""


def lines_of(file: Any, name: str) -> Iterator[str]:
    """Lines of a binary file, with their ends. Bytes that are not UTF-8 stay in them as surrogates, for paths."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)
    start = buffered.peek(3)[:3]
    encoding = next((known for mark, known in _ENCODING_OF_MARK.items() if start.startswith(mark)), "utf-8")
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    with io.TextIOWrapper(buffered, encoding, errors, newline="") as text:
        while line := text.readline(MAX_LINE_CHARACTERS):
            if len(line) == MAX_LINE_CHARACTERS:
                raise UserError(f"{name} has a line of more than {MAX_LINE_CHARACTERS} characters; it is no list.")
            yield line


def plain_rows(lines: Iterator[str], column: str) -> Iterator[Row]:
    """One location a line."""
    for number, line in enumerate(lines, start=1):
        if location := line.strip():
            yield Row(number, {column: location})


def json_rows(lines: Iterator[str]) -> Iterator[Row]:
    """One JSON object a line. Values that are not text are kept as JSON; null is no value."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            yield Row(number, {}, "is not JSON")
            continue
        if isinstance(document, dict):
            yield Row(number, {key: text_of(value) for key, value in document.items() if value is not None})
        else:
            yield Row(number, {}, "is not a JSON object")


def text_of(value: object) -> str:
    """A value of JSON or Parquet as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def csv_rows(lines: Iterator[str], header: list[str] | None, delimiter: str | None, name: str) -> Iterator[Row]:
    """Without `header` the first line is it. `delimiter` None: what the header uses, usually a comma."""
    first = next((line for line in lines if line.strip()), "")
    if delimiter is None:
        delimiter = max(_DELIMITERS, key=first.count)
    table = csv.reader(itertools.chain([first], lines), delimiter=delimiter)
    if header is None:
        header = [column.strip() for column in next(table, [])]
        if not any(header):
            raise UserError(f"{name} is empty: a CSV file begins with a line of column names.")
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(table.line_num, {}, f"is not CSV ({error})")
            continue
        if len(cells) == len(header):
            yield Row(table.line_num, dict(zip(header, cells, strict=True)))
        elif cells:
            yield Row(table.line_num, {}, f"has {len(cells)} values for {len(header)} columns")
