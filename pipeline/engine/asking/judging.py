"""What an answer is worth: its status, and what of it stands in the row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from pipeline.api.structured.reading import Invalid, read_answer
from pipeline.api.structured.shape import Shape
from pipeline.engine.asking.lint import LanguageCheck, find_flaw, is_refusal
from pipeline.items import Failure, Reply, Status

SHOWN_CHARACTERS = 300
"""Of an answer that is none, in the row's message."""


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """What the answers of a job are held to."""

    check_language: LanguageCheck | None = None
    shape: Shape | None = None
    """None: they are captions in plain text."""


PLAIN_TEXT = AnswerRules()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer stands in its row."""

    status: Status
    reason: str | None = None
    message: str | None = None
    caption: str | None = None
    fields: Mapping[str, Any] | None = None


def judge(outcome: Reply | Failure, rules: AnswerRules) -> Verdict:
    """A refusal, an empty, endless or cut-off answer is no caption, nor is one without the shape that was asked for."""
    if isinstance(outcome, Failure):
        return Verdict(outcome.status, outcome.reason, outcome.message)
    if outcome.refusal and not outcome.caption:
        return Verdict("refused", "refused", outcome.refusal)
    cut_off = outcome.finish_reason == "length"
    if cut_off and not outcome.caption:
        message = "The model used up max_tokens without an answer (reasoning counts); raise --max-tokens."
        return Verdict("failed", "empty_reply", message)
    if rules.shape:
        return _judge_fields(outcome.caption, cut_off, rules.shape, rules.check_language)
    return _judge_text(outcome.caption, cut_off, rules.check_language)


def _judge_text(text: str, cut_off: bool, check_language: LanguageCheck | None) -> Verdict:
    if flaw := find_flaw(text, check_language):
        reason, message = flaw
        return Verdict("refused" if reason == "refused" else "failed", reason, message)
    if cut_off:
        return Verdict("truncated", "truncated", "The answer was cut off at max_tokens.", text)
    return Verdict("captioned", caption=text)


def _judge_fields(text: str, cut_off: bool, shape: Shape, check_language: LanguageCheck | None) -> Verdict:
    found = read_answer(text, shape)
    if isinstance(found, Invalid):
        shown = shorten(text, SHOWN_CHARACTERS)
        if cut_off:
            return Verdict("truncated", "truncated", f"The answer was cut off at max_tokens, amid its JSON: {shown}")
        if not text:
            return Verdict("failed", "empty_reply", "The model answered with nothing.")
        if is_refusal(text):
            return Verdict("refused", "refused", text)
        return Verdict("failed", "invalid_answer", f"{found.complaint} It was: {shown}")
    if found.caption is not None:
        verdict = _judge_text(found.caption, cut_off, check_language)
        return Verdict(verdict.status, verdict.reason, verdict.message, verdict.caption, found.fields)
    return Verdict("captioned", fields=found.fields)
