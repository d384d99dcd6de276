"""Brace patterns of names, as shells and WebDataset write them; pure.

`shard-{000000..000099}.tar` counts, with the zeros of its first number; `{train,test}.csv` chooses; several multiply.
"""

import itertools
import re

from pipeline.errors import UserError

MOST_NAMES = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def has_braces(pattern: str) -> bool:
    return _BRACES.search(pattern) is not None


def expanded(pattern: str) -> list[str]:
    """All names that `pattern` stands for, in order. UserError for a pattern that is none, or without end."""
    pieces = _BRACES.split(pattern)  # text and braces in turn
    choices = [[piece] if number % 2 == 0 else _choices(piece, pattern) for number, piece in enumerate(pieces)]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > MOST_NAMES:
        raise UserError(f"The pattern {pattern!r} stands for {total} names, more than {MOST_NAMES}.")
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choices(inside: str, pattern: str) -> list[str]:
    if match := _RANGE.fullmatch(inside):
        first, last = int(match[1]), int(match[2])
        if not 0 <= last - first < MOST_NAMES:
            raise UserError(f"The pattern {pattern!r} counts from {first} to {last}; it can only count up.")
        return [str(number).zfill(len(match[1])) for number in range(first, last + 1)]
    if "," not in inside:
        raise UserError(f"The braces in {pattern!r} hold neither a range such as 000..099 nor a choice such as a,b.")
    return inside.split(",")
