"""How long a run goes on without its output. Knows time only; a local disk never needs this."""

import logging

from pipeline.clock import Clock
from pipeline.errors import Unavailable

PATIENCE_SECONDS = 900.0
"""An object store that is away for longer is trouble of the whole run. Until then rows wait in the journal."""
_SHORTEST, _LONGEST = 10.0, 60.0

log = logging.getLogger(__name__)


class Patience:
    """When to try again, and when to give up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._next_try = 0.0

    @property
    def tried_in_vain(self) -> bool:
        """Whether the last try failed."""
        return self._since is not None

    @property
    def may_try(self) -> bool:
        return self._since is None or self._clock.monotonic() >= self._next_try

    def failed(self, trouble: Unavailable) -> None:
        """Raises the trouble when it lasts for too long."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
            log.warning("%s The run goes on; answers wait on this machine.", trouble)
        elif now - self._since >= PATIENCE_SECONDS:
            raise trouble
        self._next_try = now + min(max(now - self._since, _SHORTEST), _LONGEST)

    def succeeded(self) -> None:
        if self._since is not None:
            log.info("The output is there again, after %.0f s.", self._clock.monotonic() - self._since)
        self._since = None
