"""What the answers of one endpoint say about it: well, out for everybody, or resting. Pure, told the time.

A resting endpoint gets nothing until its rest is over, and then one request, the probe; only an answer ends the rest.
"""

import math
from dataclasses import dataclass

# So many different images without any answer in between: none of them is to blame.
IMAGES_OF_AN_OUTAGE = 3
# So many that no unlucky few at the end of a run can be all that is left.
IMAGES_OF_A_CERTAIN_OUTAGE = 10

HICCUP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Nothing works, for anybody."""

    seconds: float
    certain: bool
    """False: it may also be that only images which the endpoint never answers are left."""


class Health:
    """Of one endpoint."""

    def __init__(self) -> None:
        self.resting = False
        self.rests_until = 0.0
        self.hopeless: str | None = None
        """Why nothing but somebody's help will bring it back, in one sentence; it is probed all the same."""
        self.told = False
        self._rests_since = 0.0
        self._probing = False
        self._trouble = ""
        self._trouble_since = 0.0
        self._failing_since = 0.0
        self._worked_on = -math.inf
        """When the last of the requests that it answered was sent."""
        self._failing: set[str] = set()

    def wait_seconds(self, now: float) -> float | None:
        """Until it may be asked; None: until the probe is answered."""
        if not self.resting:
            return 0.0
        return None if self._probing else self.rests_until - now

    def asked(self) -> bool:
        """A request leaves; True: it is the probe."""
        self._probing = self.resting
        return self._probing

    def probed(self) -> None:
        """The probe ended, however it did."""
        self._probing = False

    def worked(self, asked_at: float) -> bool:
        """It did its work, whatever it thought of the image. True: this ends a rest that the user was told of.

        Out of a hopeless state no answer leads that was on its way before.
        """
        self._worked_on = max(self._worked_on, asked_at)
        if self.hopeless and asked_at < self._rests_since:
            return False
        self.resting = False
        self.hopeless = None
        self._trouble = ""
        self._failing.clear()
        was_told, self.told = self.told, False
        return was_told

    def failed(self, key: str, asked_at: float, now: float) -> None:
        """A timeout, no connection or a fault of the server, on the image of that key.

        What was sent before something that it answered says nothing new: timeouts come two minutes late.
        """
        if asked_at < self._worked_on:
            return
        if not self._failing:
            self._failing_since = now
        if len(self._failing) < IMAGES_OF_A_CERTAIN_OUTAGE:
            self._failing.add(key)

    def outage(self, now: float) -> Outage | None:
        """The outage that is going on, as far as one can tell."""
        images = len(self._failing)
        if images < IMAGES_OF_AN_OUTAGE:
            return None
        return Outage(now - self._failing_since, certain=images >= IMAGES_OF_A_CERTAIN_OUTAGE)

    def lasting(self, trouble: str, now: float) -> float:
        """For how many seconds nothing but this trouble has come from it, up to now."""
        if trouble != self._trouble:
            self._trouble, self._trouble_since = trouble, now
        return now - self._trouble_since

    def rest(self, seconds: float, hopeless: str | None, now: float) -> None:
        """Leave it alone for so long."""
        begins = not self.resting or (hopeless is not None and self.hopeless is None)
        if begins:
            self._rests_since, self.rests_until = now, now
        self.resting = True
        self.rests_until = max(self.rests_until, now + seconds)
        self.hopeless = hopeless or self.hopeless

    def is_worth_telling(self, now: float) -> bool:
        """Once for each rest that is no mere hiccup."""
        tell = not self.told and (self.hopeless is not None or now - self._rests_since >= HICCUP_SECONDS)
        self.told = self.told or tell
        return tell
