"""Who is told how a run ended, when nobody watches: a file for the machine, a webhook for people. Never fails a run."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.clock import Clock
from pipeline.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NotifyOptions:
    """What happens when a run has ended, however it ended."""

    summary_file: str | None = None
    """The summary is written to this file, as `--json` prints it. It is removed when a run begins."""
    webhook_variable: str | None = None
    """The summary is posted to the URL that this environment variable holds: such URLs are secrets."""

    def __post_init__(self) -> None:
        if self.webhook_variable and not self.webhook_variable.isidentifier():
            raise UserError(
                "webhook_variable is not the name of an environment variable; put the webhook's URL into one."
            )


class Notifier:
    """Tells what the options say."""

    def __init__(self, options: NotifyOptions, environ: Mapping[str, str], clock: Clock) -> None:
        """Raises UserError where nobody could be told: better in the evening than in the morning."""
        self._clock = clock
        self._file = Path(options.summary_file) if options.summary_file else None
        self._url = environ.get(options.webhook_variable) if options.webhook_variable else None
        if options.webhook_variable and not self._url:
            raise UserError(
                f"The environment variable {options.webhook_variable}, which [notify] names for a webhook, is not set."
            )
        if self._file:
            try:
                self._file.unlink(missing_ok=True)
                self._write({})
                self._file.unlink()
            except OSError as error:
                raise UserError(f"The summary file {self._file} cannot be written: {error.strerror}.") from None

    async def tell(self, summary: Mapping[str, object]) -> None:
        """Write and post, as far as that works. Takes some seconds at most."""
        if self._file:
            try:
                self._write(summary)
            except OSError as error:
                log.warning("The summary file %s cannot be written: %s.", self._file, error.strerror)
        if self._url:
            from pipeline.api.webhook import post_document  # with the HTTP client

            if trouble := await post_document(self._url, {"text": _in_words(summary), **summary}, self._clock):
                log.warning("The webhook was not told: %s.", trouble)

    def _write(self, summary: Mapping[str, object]) -> None:
        """Wholly or not at all."""
        assert self._file is not None
        aside = self._file.with_name(f".{self._file.name}.writing")
        aside.write_text(json.dumps(summary, indent=2, default=str) + "\n", "utf-8")
        os.replace(aside, self._file)


def _in_words(summary: Mapping[str, object]) -> str:
    """One line for people: chat services show what `text` says."""
    told = [f"exit {summary['exit_code']}"]
    statuses = summary.get("statuses")
    if isinstance(statuses, Mapping):
        told.append(f"{statuses.get('captioned', 0):,} of {sum(statuses.values()):,} images captioned")
        told.append(f"${summary['cost_usd']}")
    if summary.get("message"):
        told.append(str(summary["message"]))
    return f"Nightcap {summary['out']}: {', '.join(told)}"
