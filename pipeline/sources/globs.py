"""Globs over paths relative to a source, with `/` between folders; pure.

`*` and `?` stay within a name, `**` spans folders, `[a-z]` and `[!a-z]` are character sets; case does not matter.
A glob without `/` is looked for in every folder (`*.png`), one with `/` from the source's own folder (`2024/**/*.png`).
"""

import re
from collections.abc import Iterable

from pipeline.errors import UserError

_WILDCARD = re.compile(r"[*?\[]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[(?P<negated>!?)(?P<members>\]?[^\]/]*)\]|.", re.DOTALL)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_glob(path: str) -> bool:
    return _WILDCARD.search(path) is not None


def split_glob(path: str) -> tuple[str, str]:
    """The folder before the first wildcard, and the rest as a glob from there: `a/2*/*.jpg` is (`a`, `/2*/*.jpg`)."""
    parts = path.split("/")
    fixed = next(number for number, part in enumerate(parts) if is_glob(part))
    folder = "/".join(parts[:fixed]) or ("/" if path.startswith("/") else ".")
    return folder, "/" + "/".join(parts[fixed:])


def compiled(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression whose `fullmatch` of a relative path says whether any of `globs` matches it."""
    expressions = []
    for glob in globs:
        anywhere = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
        expression = anywhere + _TOKEN.sub(_translated, glob.strip("/"))
        try:
            re.compile(expression)
        except re.error as error:
            raise UserError(f"The glob {glob!r} is not valid: {error.msg}.") from error
        expressions.append(f"(?:{expression})")
    return re.compile("|".join(expressions), re.IGNORECASE | re.DOTALL)


def compiled_below(globs: Iterable[str]) -> re.Pattern[str]:
    """As `compiled`, and what lies below a folder that matches: for names that come without their folders."""
    pattern = compiled(globs)
    return re.compile(f"(?:{pattern.pattern})(?:/.*)?", pattern.flags)


def _translated(token: re.Match[str]) -> str:
    if (members := token["members"]) is not None:
        escaped = re.escape(members).replace(r"\-", "-")
        return f"[^/{escaped}]" if token["negated"] else f"[{escaped}]"
    return _MEANING.get(token[0]) or re.escape(token[0])
