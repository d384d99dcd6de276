"""What one request to an endpoint came to: the seam through which metrics see the wire."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.items import Failure, Reply, message


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request went; holds no secret."""

    name: str
    """Unique among the endpoints of a run."""
    provider: str
    model: str
    """As the request names it; the deployment where the address does."""
    host: str | None = None
    """None: nothing went over a network."""
    port: int | None = None


@message
class Attempt:
    """One request that was sent; an image may take several."""

    target: Target
    outcome: Reply | Failure
    latency_seconds: float
    """From sending to the last byte of the answer, or to the failure."""
    queue_seconds: float
    """Waited for its turn before that."""
    body_bytes: int
    retried: bool
    """Whether the image is asked again."""


OnAttempt = Callable[[Attempt], None]
