"""The offline describer as a provider."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from pipeline.api.asker import Remake
from pipeline.api.attempt import Attempt, OnAttempt, Target
from pipeline.api.limits.limiter import LimitUse
from pipeline.api.options import LimitOptions
from pipeline.api.pool.member import Tariff
from pipeline.clock import Clock, utc
from pipeline.engine.preparing.carried import image_itself
from pipeline.engine.preparing.preparer import failure_of
from pipeline.items import Answer, Failure, Reply, Request, Respondent, Usage

BUILTIN = Target("builtin", "builtin", "describe")


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
