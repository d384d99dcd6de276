"""Limits that the user changes while a run goes on, in `_nightcap/control.toml`. Pure.

    rpm = 300               requests per minute, tokens per minute, requests in flight: of every endpoint
    concurrency = 16
    [west]                  of the endpoint of that name alone
    tpm = 90_000

What is not named there is as the job says it, and so is everything when the file is gone.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.api.options import LimitOptions
from pipeline.errors import UserError

KEYS: dict[str, tuple[type, ...]] = {"rpm": (int, float), "tpm": (int, float), "concurrency": (int,)}


def read_limits(content: bytes | None, job: Mapping[str, LimitOptions]) -> dict[str, LimitOptions]:
    """The limits of each endpoint; `job` are those that hold without the file, by name, and None means without it.

    Raises UserError, one sentence, when the file does not say what it should.
    """
    try:
        document = tomllib.loads((content or b"").decode())
    except ValueError as error:
        raise UserError(f"it is no TOML: {error}") from None
    of_all = {name: value for name, value in document.items() if not isinstance(value, dict)}
    of_one = {name: value for name, value in document.items() if isinstance(value, dict)}
    changes = {name: of_all | of_one.get(name, {}) for name in job}
    for name in of_one:
        if name not in job:
            known = f"; there are {', '.join(job)}" if len(job) > 1 else ""
            raise UserError(f"there is no endpoint {name!r}{known}.")
    return {name: replace(limits, **_checked(changes[name])) for name, limits in job.items()}


def _checked(changes: Mapping[str, object]) -> dict[str, Any]:
    for name, value in changes.items():
        types = KEYS.get(name)
        if types is None:
            raise UserError(f"it knows {', '.join(KEYS)}, and not {name!r}.")
        if not isinstance(value, types) or isinstance(value, bool):
            raise UserError(f"{name} is {value!r}; give a number.")
    return dict(changes)


def differences(before: LimitOptions, after: LimitOptions) -> Iterator[str]:
    """What has changed, in words."""
    for name in KEYS:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name} {_shown(new)} instead of {_shown(old)}"


def _shown(limit: float | None) -> str:
    return "unlimited" if limit is None else f"{limit:,g}" if limit < 10_000 else f"{limit:,.0f}"
