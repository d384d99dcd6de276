"""Why an image has no caption: the stable codes of column `reason`. Floor 0: imports nothing of ours.

They are part of the output's contract: scripts compare them. `filtered` and `rejected` are followed by `:` and the
provider's own word, as in `filtered:hate`.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Reason:
    """One of the codes."""

    name: str
    meaning: str
    asked_again: Literal["by the next run", "by retry"] = "by retry"
    """Passing trouble by the next run; the rest when the file changed, or by `nightcap retry`."""


REASONS = (
    Reason("undecodable", "the file is no image, or a broken one"),
    Reason("truncated_file", "the file ends too soon"),
    Reason("too_large", "more bytes than `max_bytes`; or more than the provider takes, and may not be made smaller"),
    Reason("unsupported_format", "an image in a format that is not read; a video where none was asked for"),
    Reason("bomb", "decoded it would have more than `max_pixels`"),
    Reason("unreadable", "gone, no permission, not a file, changed while it was read"),
    Reason("access_denied", "its web server asks for a login, or a signature has expired", "by the next run"),
    Reason(
        "private_address",
        "a web address in a private network, unless allowed; a file of this machine in a list from elsewhere",
    ),
    Reason("invalid_row", "its row of the listing file does not say which image"),
    Reason("incomplete_row", "its row of the listing file lacks a column that the prompt needs"),
    Reason("unsafe_path", "a member of an archive whose name leads out of it"),
    Reason("duplicate_name", "a further member of an archive under one name"),
    Reason("link", "a member of an archive that only points to another"),
    Reason("encrypted", "a member of an archive that needs a password"),
    Reason("unsupported_compression", "a member of a zip archive that is neither stored nor deflated"),
    Reason("filtered", "the provider's content filter withheld it; `filtered:CATEGORY`"),
    Reason("refused", "the model declined to describe it"),
    Reason("truncated", "the answer was cut off at `max_tokens`; the caption is what came"),
    Reason("repetition", "the answer repeats itself without end"),
    Reason("wrong_language", "the answer is not in the `--language` that was asked for"),
    Reason("invalid_answer", "the answer does not fit the `--schema`, nor did the one to a second try that said so"),
    Reason("empty_reply", "the model answered with nothing"),
    Reason("left_out", "the answer to its pack was of no use for it; it was not asked alone", "by the next run"),
    Reason("rejected", "the endpoint took offence at this request; `rejected:CODE`"),
    Reason("timeout", "no answer in time, often enough", "by the next run"),
    Reason("server_error", "the endpoint failed, often enough", "by the next run"),
    Reason("rate_limited", "the endpoint was too busy, long enough", "by the next run"),
)

TRANSIENT = tuple(reason.name for reason in REASONS if reason.asked_again == "by the next run")
FAMILIES = ("filtered", "rejected")


def is_reason(code: str) -> bool:
    """Whether `code` is one of ours."""
    family, colon, _ = code.partition(":")
    return family in FAMILIES if colon else any(code == reason.name for reason in REASONS)


def unknown_reason(codes: Sequence[str]) -> str | None:
    """What is wrong with a list of codes, in words: one that no row can have, and the nearest that it can."""
    names = [reason.name for reason in REASONS]
    for code in codes:
        if not is_reason(code):
            near = difflib.get_close_matches(code, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(names)}."
            return f"{code!r} is no reason of a row. {hint}"
    return None
