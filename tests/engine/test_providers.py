"""Who answers: the describer in worker threads, an endpoint over HTTP, behind one face."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from pipeline.api.attempt import Attempt, OnAttempt
from pipeline.api.options import EndpointOptions, LimitOptions, ModelOptions
from pipeline.api.pool.member import Tariff
from pipeline.api.pool.members import members_of
from pipeline.api.throttle import ThrottleClosed
from pipeline.clock import SystemClock
from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.providers.builtin import BuiltinProvider
from pipeline.engine.providers.opening import open_provider
from pipeline.engine.providers.provider import Provider
from pipeline.errors import ImageError, UserError
from pipeline.items import Failure, Prepared, Probe, Reply, Respondent, Usage
from pipeline.models import Price, find_model
from pipeline.models.prices import Rates
from tests.engine.making import nothing_smaller, request
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

FREE = Tariff(SystemClock(), lambda day: Price(Rates(Decimal(0), Decimal(0), Decimal(0)), (), day, "nobody"))
PICTURE = encoded(photo(64, 48))
PREPARED = Prepared(Probe("jpeg", 64, 48), "blake3:00", len(PICTURE), "jpeg", 64, 48, PICTURE)


class SteppedClock(SystemClock):
    """Time that a test moves on."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def builtin(describe: Callable[[bytes], Reply], workers: ThreadPoolExecutor) -> BuiltinProvider:
    return BuiltinProvider(describe, workers, 2, SystemClock(), FREE, lambda attempt: None)


@asynccontextmanager
async def opened(
    options: ModelOptions,
    limits: LimitOptions | None = None,
    environ: dict[str, str] | None = None,
    on_attempt: OnAttempt = lambda attempt: None,
    endpoints: Sequence[EndpointOptions] = (),
) -> AsyncIterator[Provider]:
    with ThreadPoolExecutor(1) as workers:
        opening = open_provider(
            members_of(options, limits or LimitOptions(), endpoints),
            find_model(options.name),
            workers,
            1,
            environ or {},
            SystemClock(),
            on_attempt,
        )
        async with opening as provider:
            yield provider


async def test_the_describer_never_holds_up_the_loop() -> None:
    ticked = threading.Event()

    def describe(data: bytes) -> Reply:
        in_time = ticked.wait(10)
        return Reply(f"{threading.current_thread().name}: {in_time}", Usage())

    with ThreadPoolExecutor(1, "image") as workers:
        asking = asyncio.ensure_future(builtin(describe, workers).ask(request(), nothing_smaller))
        for _ in range(3):
            await asyncio.sleep(0)
        ticked.set()
        answer = await asking
    assert isinstance(answer.outcome, Reply)
    assert answer.outcome.caption == "image_0: True", "the loop went on while a thread described"


async def test_waiting_for_a_thread_is_queueing_and_not_latency() -> None:
    clock, both_wait = SteppedClock(), threading.Event()

    def describe(data: bytes) -> Reply:
        both_wait.wait(10)
        clock.now += 2.0
        return Reply("A picture.", Usage())

    with ThreadPoolExecutor(1) as workers:
        provider = BuiltinProvider(describe, workers, 2, clock, FREE, lambda attempt: None)
        asking = [asyncio.ensure_future(provider.ask(request(key), nothing_smaller)) for key in "ab"]
        await asyncio.sleep(0)
        both_wait.set()
        first, second = await asyncio.gather(*asking)
    assert [(a.queue_ms, a.latency_ms, a.attempts) for a in (first, second)] == [(0, 2000, 1), (2000, 2000, 1)]
    assert (second.finished_at - second.started_at).total_seconds() == 2


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ImageError("undecodable", "Broken."), "undecodable"),
        (MemoryError(), "too_large"),
        (RuntimeError("a network broke"), "undecodable"),
    ],
)
async def test_trouble_of_the_describer_is_the_images_own(trouble: Exception, reason: str) -> None:
    def describe(data: bytes) -> Reply:
        raise trouble

    with ThreadPoolExecutor(1) as workers:
        answer = await builtin(describe, workers).ask(request(), nothing_smaller)
    assert isinstance(answer.outcome, Failure)
    assert answer.outcome.reason == reason


async def test_the_bundled_describer_is_loaded_and_free() -> None:
    pytest.importorskip("onnxruntime")
    async with opened(ModelOptions()) as provider:
        assert (provider.respondent, provider.concurrency) == (Respondent("builtin", "describe"), 1)
        assert provider.encode(PREPARED, None) is PICTURE
        answer = await provider.ask(request(body=PICTURE), nothing_smaller)
    assert isinstance(answer.outcome, Reply)
    assert answer.outcome.caption


async def test_an_endpoint_is_asked_over_http(emulator: Running) -> None:
    options = ModelOptions(name="openai:gpt-4o", base_url=emulator.base_url)
    async with opened(options, LimitOptions(concurrency=7)) as provider:
        assert (provider.respondent, provider.concurrency) == (Respondent("openai", "gpt-4o"), 7)
        answer = await provider.ask(request(body=provider.encode(PREPARED, None)), nothing_smaller)
    assert isinstance(answer.outcome, Reply)
    assert "64x48 jpeg" in answer.outcome.caption


async def test_an_azure_row_names_its_deployment() -> None:
    environ = {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:1", "AZURE_OPENAI_API_KEY": "0123456789abcdef"}
    async with opened(ModelOptions(name="azure:gpt-4o"), environ=environ) as provider:
        assert provider.respondent == Respondent("azure", "gpt-4o", "gpt-4o")


async def test_each_attempt_is_told() -> None:
    told: list[Attempt] = []
    faults = EmulatorOptions(
        scenario=(Step("overloaded", requests=(1, 1)), Step("rate_limit", requests=(2, 2), retry_after=0.01))
    )
    async with emulate(faults) as shaky:
        options = ModelOptions(name="openai:gpt-4o", base_url=shaky.base_url)
        async with opened(options, on_attempt=told.append) as provider:
            answer = await provider.ask(request(body=provider.encode(PREPARED, None)), nothing_smaller)
    failures = [attempt.outcome.reason for attempt in told if isinstance(attempt.outcome, Failure)]
    assert failures == ["server_error", "rate_limited"]
    assert [attempt.retried for attempt in told] == [True, True, False]
    assert isinstance(told[2].outcome, Reply)
    assert told[2].body_bytes == len(provider.encode(PREPARED, None))
    assert round(told[2].latency_seconds * 1000) == answer.latency_ms
    assert answer.attempts == 3


async def test_after_a_stop_nothing_leaves(emulator: Running) -> None:
    async with opened(ModelOptions(name="openai:gpt-4o", base_url=emulator.base_url)) as provider:
        provider.stop()
        with pytest.raises(ThrottleClosed):
            await provider.ask(request(body=provider.encode(PREPARED, None)), nothing_smaller)
    assert emulator.stats.requests == 0


async def test_a_missing_key_is_told_before_anything_is_opened() -> None:
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        async with opened(ModelOptions(name="openai:gpt-4o")):
            pytest.fail("there is no key to open it with")
