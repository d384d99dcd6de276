"""Chat-completions endpoints as a provider."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from pipeline.api.asker import Asker, Remake
from pipeline.api.limits.limiter import LimitUse
from pipeline.api.options import LimitOptions
from pipeline.api.throttle import Throttle
from pipeline.engine.preparing.preparer import Encode
from pipeline.items import Answer, Request


class ApiProvider:
    """Chat-completions endpoints, one or several."""

    def __init__(self, asker: Asker, throttle: Throttle, encode: Encode) -> None:
        members = throttle.pool.members
        self.limits = {member.options.name: member.options.limits for member in members}
        first = members[0].respondent
        self.respondent = first if len(members) == 1 else replace(first, deployment=None)
        self.encode = encode
        self._asker = asker
        self._throttle = throttle

    @property
    def concurrency(self) -> int:
        return sum(limits.most_in_flight for limits in self.limits.values())

    def set_limits(self, name: str, limits: LimitOptions) -> None:
        self.limits[name] = limits
        self._throttle.set_limits(limits, name)

    def ask(
        self, request: Request, remake: Remake, leaves: Callable[[], None] | None = None
    ) -> Coroutine[Any, Any, Answer]:
        """`leaves` is called when a request goes out."""
        return self._asker.ask(request, remake, leaves)

    def stop(self) -> None:
        self._throttle.close()

    def limits_in_use(self) -> dict[str, LimitUse]:
        return {member.target.name: member.limiter.use for member in self._throttle.pool.members}
