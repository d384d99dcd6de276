"""The face that everything behind it has."""

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from pipeline.api.asker import Remake
from pipeline.api.limits.limiter import LimitUse
from pipeline.api.options import LimitOptions
from pipeline.engine.preparing.preparer import Encode
from pipeline.items import Answer, Request, Respondent


class Provider(Protocol):
    """What the stages ask."""

    @property
    def respondent(self) -> Respondent:
        """In the rows of images that never came so far as to be asked about."""
        ...

    @property
    def concurrency(self) -> int: ...

    @property
    def encode(self) -> Encode:
        """Can be pickled: it is called in another process."""
        ...

    async def ask(self, request: Request, remake: Remake) -> Answer:
        """Raises RunError for trouble of the whole run, ThrottleClosed when stopped before the request left.

        `remake` is called for a smaller image when this one turns out too large.
        """
        ...

    def stop(self) -> None:
        """Send nothing new."""
        ...

    def limits_in_use(self) -> dict[str, LimitUse]:
        """What limits each endpoint at present, by its target's name."""
        ...

    @property
    def limits(self) -> Mapping[str, LimitOptions]:
        """What the user allows each endpoint, by the name that the job gives it; empty: nothing to limit."""
        ...

    def set_limits(self, name: str, limits: LimitOptions) -> None:
        """The user allows something else from now on; `concurrency` changes with it."""
        ...


Inner = TypeVar("Inner", bound=Provider)


class Wrapper(Generic[Inner]):
    """A provider before another one; passes on what it has nothing to add to."""

    def __init__(self, inner: Inner) -> None:
        self.respondent: Respondent = inner.respondent
        self.encode: Encode = inner.encode
        self._inner = inner

    @property
    def limits(self) -> Mapping[str, LimitOptions]:
        return self._inner.limits

    def set_limits(self, name: str, limits: LimitOptions) -> None:
        self._inner.set_limits(name, limits)

    def limits_in_use(self) -> dict[str, LimitUse]:
        return self._inner.limits_in_use()
