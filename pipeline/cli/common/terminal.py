"""What reaches a terminal or a log file: no command of theirs, which a name or a server's text may hold, no secret."""

import logging
from typing import Any

import click

from pipeline.texts import printable, redact


class Formatter(logging.Formatter):
    """One line for a message; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        first, marker, trace = redact(record.message).partition("\nTraceback")  # as another process tells it
        record.message = printable(first) + _lines(marker + trace)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return _lines(redact(super().formatException(ei)))


def open_log() -> None:
    """Send log messages to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def show(text: str, *, err: bool = False) -> None:
    """Print a text of several lines."""
    click.echo(_lines(text), err=err)


def show_line(text: str, *, err: bool = False) -> None:
    """Print a text that is one line, whatever a name in it holds."""
    click.echo(printable(redact(text)), err=err)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
