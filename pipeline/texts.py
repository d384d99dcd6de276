"""Texts of others made fit for a row, a log or a terminal. Floor 0: pure, imports nothing of ours.

Servers quote keys, proxies whole headers, users put signed URLs into job files, and files are called what they like.
"""

import re

MAX_MESSAGE_CHARACTERS = 500

_SURROGATES = re.compile("[\ud800-\udfff]")
# A secret that a word in front of it gives away; the word stays. Not within a path: `/key=7/` is a partition's name.
_NAMED_SECRET = re.compile(
    r"""(
        \b(?:bearer|basic)\s+(?=\S{8})
      | (?:api|subscription|account|(?:secret)?[-_ ]?access|private|shared)[-_ ]?key(?:\s+provided)?["']?\s*[:=]\s*["']?
      | (?<![a-z])(?:access|auth|security|session|refresh|id|sas)[-_ ]?token["']?\s*[:=]\s*["']?
      | (?:client[-_ ]?secret|password|passwd|signature)["']?\s*[:=]\s*["']?
      | (?<![\w/])(?:sig|key|token|secret|pwd)=
    )(?!\[redacted\])[^\s"'&,;<>()]+""",
    re.IGNORECASE | re.VERBOSE,
)
# A secret that its own form gives away; `sk-ab***yz` is how OpenAI quotes a wrong key.
_SHAPED_SECRET = re.compile(
    r"\b(?:(?:sk|sess|gsk|hf|xai|gh[opsu])[-_][\w*.-]{4,}|AIza[\w-]{20,}|eyJ[\w-]{8,}\.[\w.-]+|A[KS]IA[A-Z0-9]{16}\b)"
)
_USER_INFO = re.compile(r"(?<=://)[^/\s'\"<>]+@")
# Holds no secret but one that its own form gives away: others need a space, a colon or an equals sign in front of them.
_ONE_WORD = re.compile(r"[\w.-]*")
_IMAGE = re.compile(r"data:[\w.+/-]+;base64,[\w+/=-]*")
# Control characters, and those that turn the direction of what follows: a name may hold a terminal's commands.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def valid_unicode(text: str) -> str:
    """The same text with lone surrogates replaced: an answer cut off within an emoji holds one, and no file can."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def redact(text: str) -> str:
    """`text` without what looks like a secret or an image."""
    if not _ONE_WORD.fullmatch(text):  # as most ids of answers, which take 3 us so, not 18
        text = _IMAGE.sub("[image]", text)
        text = _USER_INFO.sub("[redacted]@", text)
        text = _NAMED_SECRET.sub(r"\1[redacted]", text)
    return _SHAPED_SECRET.sub("[redacted]", text)


def one_line(text: str) -> str:
    """A message for a row: no secret, no image data, one printable line of at most MAX_MESSAGE_CHARACTERS."""
    text = " ".join(valid_unicode(text[: 8 * MAX_MESSAGE_CHARACTERS]).split())
    return printable(redact(text))[:MAX_MESSAGE_CHARACTERS]


def printable(text: str) -> str:
    r"""`text` as it can be shown to a terminal: line breaks, escapes and other commands as `\x1b` or `\u202e`."""
    return _NOT_SHOWN.sub(lambda match: ascii(match[0])[1:-1], text)
