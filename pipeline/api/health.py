"""Whether it is one image that fails, or the endpoint for everybody. Pure, told the time."""

from dataclasses import dataclass

# So many different images without any answer in between: none of them is to blame.
IMAGES_OF_AN_OUTAGE = 3
# So many that no unlucky few at the end of a run can be all that is left.
IMAGES_OF_A_CERTAIN_OUTAGE = 10


@dataclass(frozen=True, slots=True)
class Outage:
    """Nothing works, for anybody."""

    seconds: float
    certain: bool
    """False: it may also be that only images which the endpoint never answers are left."""


class Health:
    """What the answers to all images say about the endpoint."""

    def __init__(self) -> None:
        self._failing_since = 0.0
        self._failing: set[str] = set()

    def worked(self) -> None:
        """The endpoint did its work, whatever it thought of the image."""
        self._failing.clear()

    def failed(self, key: str, now: float) -> None:
        """A timeout or a fault of the server, on the image of that key."""
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
