"""Who answers: an HTTP endpoint or the built-in describer, behind one face. The only place that tells them apart."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Protocol

from pipeline.api.asker import Asker, OnReply, Remake
from pipeline.api.attempt import Attempt, OnAttempt, Target
from pipeline.api.limits.budget import Budget
from pipeline.api.limits.limiter import LimitUse
from pipeline.api.options import LimitOptions
from pipeline.api.payload import tail_template
from pipeline.api.pool.member import Tariff
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.opening import open_pool
from pipeline.api.throttle import Throttle
from pipeline.clock import Clock, utc
from pipeline.engine.enhancing.opening import open_enhanced, way_of_all
from pipeline.engine.preparing.preparer import Encode, failure_of
from pipeline.engine.preparing.rules import image_itself, json_tail
from pipeline.items import Answer, Failure, Reply, Request, Respondent, Usage
from pipeline.models import Model, find_price

BUILTIN = Target("builtin", "builtin", "describe")


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


@asynccontextmanager
async def open_provider(
    members: Sequence[MemberOptions],
    model: Model,
    workers: Executor,
    worker_count: int,
    environ: Mapping[str, str],
    clock: Clock,
    on_attempt: OnAttempt,
    max_cost: Decimal | None = None,
    on_spent: Callable[[Budget], None] = lambda budget: None,
    on_reply: OnReply | None = None,
) -> AsyncIterator[Provider]:
    """Who `members` name, all serving `model`.

    When `max_cost` (USD) has no room for another request, nothing leaves any more and `on_spent` is called. Raises
    UserError when a credential or an extra is missing, and when nobody knows what a request costs at most.
    """
    way_of_all(members, environ)  # says whether anybody can look for what the job wants to be found
    if model.provider == "builtin":
        from pipeline.builtin import load_describer

        describer = await asyncio.get_running_loop().run_in_executor(workers, load_describer)
        tariff = Tariff(clock, partial(find_price, model))
        yield BuiltinProvider(describer.describe_image, workers, worker_count, clock, tariff, on_attempt)
        return
    async with open_pool(members, environ, clock, max_cost) as pool:
        spent = partial(on_spent, pool.budget) if pool.budget else lambda: None
        throttle = Throttle(pool, clock, spent)
        asker = Asker(throttle, members[0].limits, clock, random.Random(), on_attempt, on_reply)
        provider = ApiProvider(asker, throttle, json_tail(tail_template(members[0].model)))
        async with open_enhanced(
            provider, members, model, workers, worker_count, environ, clock, pool.budget, spent
        ) as enhanced:
            yield enhanced


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

    async def ask(self, request: Request, remake: Remake, leaves: Callable[[], None] | None = None) -> Answer:
        """`leaves` is called when a request goes out."""
        return await self._asker.ask(request, remake, leaves)

    def stop(self) -> None:
        self._throttle.close()

    def limits_in_use(self) -> dict[str, LimitUse]:
        return {member.target.name: member.limiter.use for member in self._throttle.pool.members}


class BuiltinProvider:
    """The offline describer: CPU work, so it runs in the worker threads, one image each."""

    respondent = Respondent("builtin", "describe")
    encode = staticmethod(image_itself)

    def __init__(
        self,
        describe: Callable[[bytes], Reply],
        workers: Executor,
        worker_count: int,
        clock: Clock,
        tariff: Tariff,
        on_attempt: OnAttempt,
    ) -> None:
        self.concurrency = worker_count
        self._tariff = tariff
        self._describe = describe
        self._workers = workers
        self._clock = clock
        self._on_attempt = on_attempt

    async def ask(self, request: Request, remake: Remake) -> Answer:
        queued = self._clock.monotonic()
        answer = await asyncio.get_running_loop().run_in_executor(self._workers, self._answer, request, queued)
        seconds, waited = answer.latency_ms / 1000, answer.queue_ms / 1000
        self._on_attempt(Attempt(BUILTIN, answer.outcome, seconds, waited, len(request.body), retried=False))
        return answer

    def stop(self) -> None:
        """Nothing waits here: what the threads have begun they finish."""

    @property
    def limits(self) -> dict[str, LimitOptions]:
        return {}

    def set_limits(self, name: str, limits: LimitOptions) -> None:
        """Threads are as many as there are cores."""

    def limits_in_use(self) -> dict[str, LimitUse]:
        return {}

    def _answer(self, request: Request, queued: float) -> Answer:
        clock = self._clock
        started, begun = clock.time(), clock.monotonic()
        try:
            outcome: Reply | Failure = self._describe(request.body)
        except Exception as error:
            outcome = failure_of(error, request.image.key)
        latency, waited = clock.monotonic() - begun, begun - queued
        price = self._tariff.today()
        return Answer(
            outcome, self.respondent, 1, round(latency * 1000), round(waited * 1000), utc(started), utc(clock.time()),
            cost_usd=price.cost(Usage()) if price else None, price_date=price.price_date if price else None,
        )  # fmt: skip
