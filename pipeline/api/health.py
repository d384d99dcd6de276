"""Whether it is one image that fails, or the endpoint for everybody. Pure, told the time."""

# So many different images without any answer in between: an outage, and none of them is to blame.
IMAGES_OF_AN_OUTAGE = 3


class Health:
    """What the answers to all images say about the endpoint."""

    def __init__(self) -> None:
        self._failing_since: float | None = None
        self._failing: set[str] = set()

    def worked(self) -> None:
        """The endpoint did its work, whatever it thought of the image."""
        self._failing_since = None
        self._failing.clear()

    def failed(self, key: str, now: float) -> None:
        """A timeout or a fault of the server, on the image of that key."""
        if self._failing_since is None:
            self._failing_since = now
        if len(self._failing) < IMAGES_OF_AN_OUTAGE:
            self._failing.add(key)

    def outage_seconds(self, now: float) -> float | None:
        """For how long nothing has worked; None when that is not known to be the endpoint's fault."""
        if self._failing_since is None or len(self._failing) < IMAGES_OF_AN_OUTAGE:
            return None
        return now - self._failing_since
