"""Ready-made questions for `--preset`: a file each, with prompt, schema and lengths. Data and how it is read.

A preset only fills in options of a job, so an output made with one is finished for whoever writes the same by hand.
"""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

_FOLDER = Path(__file__).parent
PRESETS = tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))
"""Their names."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One of them."""

    about: str
    answer_tokens: int
    """Of a usual answer."""
    prompt: str
    max_tokens: int
    system: str = ""
    schema: dict[str, Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What it fills in of a job's [model]."""
        return {"prompt": self.prompt, "system": self.system, "schema": self.schema, "max_tokens": self.max_tokens}


@cache
def load_preset(name: str) -> Preset:
    """UserError when there is none of that name."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(PRESETS)}."
        raise UserError(f"There is no preset {name!r}; {hint}")
    found = tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8"))
    return Preset(**{**found, "prompt": found["prompt"].strip()})


def usual_answer_tokens(prompt: str) -> int | None:
    """Of an answer to a preset's prompt; None: it is no preset's."""
    presets = map(load_preset, PRESETS)
    return next((preset.answer_tokens for preset in presets if preset.prompt == prompt), None)
