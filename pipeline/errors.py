"""The error tree. Floor 0.

    NightcapError                exit code
    ├── UserError                2   the command, the job file or a credentials variable is wrong
    │   ├── UnknownModel         2   the catalogue has no such model; carries near names
    │   └── MissingExtra         2   an optional dependency is not installed; carries the extra's name
    ├── RunError                 3   trouble of the whole run: credentials refused, quota exhausted, disk full
    │   └── Unavailable          3   where images or rows lie does not answer for the moment; who can wait, does
    │       └── Unreachable      3   no connection at all; at the first contact it is more likely a mistake
    └── ImageError               -   trouble of one image; caught by the worker, becomes a row, never leaves the run

A class exists only where a caller acts differently. Messages are one sentence that says what is wrong, where,
and what to do; they never hold a secret. Exit codes 1 (some images without a caption), 4 (a limit that the user
set) and 130/143 (interrupted) are outcomes of a run, not errors: see `engine.stats`.
"""

from collections.abc import Sequence

from pipeline.texts import redact


class NightcapError(Exception):
    """Base of every error that Nightcap raises on purpose; the text is fit to be shown to a user as it is."""

    exit_code = 3
    summary: object = None
    """The `Summary` of what a run did before it, once the run has ended: a source may turn out wrong late."""

    def __init__(self, text: str) -> None:
        super().__init__(redact(text))


class UserError(NightcapError):
    """The user's command, job file, source or environment is wrong."""

    exit_code = 2


class UnknownModel(UserError):
    """No such model in the catalogue."""

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        hint = f" Did you mean {' or '.join(near)}?" if near else " `nightcap models` lists those it knows."
        super().__init__(f"Unknown model {name!r}.{hint}")
        self.name = name
        self.near = tuple(near)


class MissingExtra(UserError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'nightcap[{extra}]'.")
        self.extra = extra


class RunError(NightcapError):
    """Trouble that stops the whole run; what was answered before is recorded."""

    exit_code = 3


class Unavailable(RunError):
    """A store throttles us, is down or out of reach: the trouble may pass, and no image is to blame."""


class Unreachable(Unavailable):
    """Nothing is listening there, or the host has no address."""


class ImageError(NightcapError):
    """Trouble of one image. `reason` is a stable code (column `reason`), the text goes into column `message`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
