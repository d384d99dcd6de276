"""Who answers: an HTTP endpoint or the built-in describer, behind one face. The only place that tells them apart."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from pipeline.api.asker import Asker
from pipeline.api.attempt import OnAttempt
from pipeline.api.client import Client
from pipeline.api.endpoint import resolve_endpoint
from pipeline.api.limits.rules import AdmissionCost, limit_rules
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import BodyTemplate, build_template
from pipeline.api.throttle import Throttle
from pipeline.clock import Clock, utc
from pipeline.engine.preparing.preparer import Encode, failure_of
from pipeline.items import Answer, Failure, Prepared, Reply, Request
from pipeline.models import Model


class Provider(Protocol):
    """What the stages ask."""

    @property
    def name(self) -> str: ...

    @property
    def deployment(self) -> str | None: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def encode(self) -> Encode:
        """Can be pickled: it is called in another process."""
        ...

    async def ask(self, request: Request) -> Answer:
        """Raises RunError for trouble of the whole run, ThrottleClosed when stopped before the request left."""
        ...

    def stop(self) -> None:
        """Send nothing new."""
        ...


@asynccontextmanager
async def open_provider(
    options: ModelOptions,
    limits: LimitOptions,
    model: Model,
    workers: Executor,
    worker_count: int,
    environ: Mapping[str, str],
    clock: Clock,
    on_attempt: OnAttempt,
) -> AsyncIterator[Provider]:
    """The provider that `options.name` names; UserError when a credential or an extra is missing."""
    if model.provider == "builtin":
        from pipeline.builtin import load_describer

        describer = await asyncio.get_running_loop().run_in_executor(workers, load_describer)
        yield BuiltinProvider(describer.describe_image, workers, worker_count, clock)
        return
    endpoint = resolve_endpoint(options, environ)
    template = build_template(options, endpoint.body_model, model.max_tokens_parameter)
    rules = limit_rules(endpoint.provider, limits)
    throttle = Throttle(limits, rules, clock)
    cost = AdmissionCost(rules.counting, options.max_tokens, len(options.prompt) + len(options.system))
    async with Client(endpoint, limits.timeout_seconds) as client:
        asker = Asker(client, throttle, limits, cost, clock, random.Random(), on_attempt)
        yield ApiProvider(
            endpoint.provider, endpoint.deployment, limits.most_in_flight, asker, throttle,
            partial(_render, template),
        )  # fmt: skip


def _render(template: BodyTemplate, prepared: Prepared, prompt: str | None) -> bytes:
    return template.render(prepared.format, prepared.data, prompt)


def _as_it_is(prepared: Prepared, prompt: str | None) -> bytes:
    return prepared.data


class ApiProvider:
    """A chat-completions endpoint."""

    def __init__(
        self,
        name: str,
        deployment: str | None,
        concurrency: int,
        asker: Asker,
        throttle: Throttle,
        encode: Encode,
    ) -> None:
        self.name = name
        self.deployment = deployment
        self.concurrency = concurrency
        self._asker = asker
        self._throttle = throttle
        self.encode = encode

    async def ask(self, request: Request) -> Answer:
        return await self._asker.ask(request)

    def stop(self) -> None:
        self._throttle.close()


class BuiltinProvider:
    """The offline describer: CPU work, so it runs in the worker threads, one image each."""

    name = "builtin"
    deployment = None
    encode = staticmethod(_as_it_is)

    def __init__(self, describe: Callable[[bytes], Reply], workers: Executor, worker_count: int, clock: Clock) -> None:
        self.concurrency = worker_count
        self._describe = describe
        self._workers = workers
        self._clock = clock

    async def ask(self, request: Request) -> Answer:
        queued = self._clock.monotonic()
        return await asyncio.get_running_loop().run_in_executor(self._workers, self._answer, request, queued)

    def stop(self) -> None:
        """Nothing waits here: what the threads have begun they finish."""

    def _answer(self, request: Request, queued: float) -> Answer:
        clock = self._clock
        started, begun = clock.time(), clock.monotonic()
        try:
            outcome: Reply | Failure = self._describe(request.body)
        except Exception as error:
            outcome = failure_of(error, request.image.key)
        latency, waited = clock.monotonic() - begun, begun - queued
        return Answer(outcome, 1, round(latency * 1000), round(waited * 1000), utc(started), utc(clock.time()))
