"""How much of a quota is used, and how many requests are refused, beside a plain semaphore-and-backoff loop.

    python -m tests.benchmarks.bench_throttle [--seconds 120] [--scaled] [--only NAME]

The emulator runs in a process of its own and enforces the limits; both loops ask it about the same picture, for as many
seconds of its clock. "Used" is how many answered requests left after the first window, over how many the quota
allows then; "refused" is the share of all requests, from the first second on. Scaled, both clocks go ten times as fast:
quick enough for a look, but then this machine's delays weigh ten times as much too.
"""

import argparse
import asyncio
import json
import random
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import aiohttp

from pipeline.api.asker import Asker
from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint, resolve_endpoint
from pipeline.api.limits.rules import AdmissionCost, limit_rules
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import Form, render_head, tail_template
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.opening import build_member
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle, ThrottleClosed
from pipeline.clock import ScaledClock
from pipeline.items import Probe, Reply, Request, Sent, SourceImage
from pipeline.models import find_model, prompt_tokens
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate_process

WIDTH, HEIGHT = 640, 480
MAX_TOKENS = 300
PLAIN_CONCURRENCY = 32
RPM, TPM = 600, 300_000


@dataclass(frozen=True)
class Scenario:
    name: str
    provider: str
    server: Sequence[str]
    limits: LimitOptions
    first_window: float = 60.0
    tpm: int | None = None


RPM_SERVER = ("--rpm", str(RPM))
TPM_SERVER = ("--tpm", str(TPM))
SCENARIOS = [
    Scenario("openai-rpm", "openai", RPM_SERVER, LimitOptions(rpm=RPM)),
    Scenario("openai-tpm", "openai", TPM_SERVER, LimitOptions(tpm=TPM), tpm=TPM),
    Scenario("azure-tpm", "azure", TPM_SERVER, LimitOptions(tpm=TPM), tpm=TPM),
    Scenario("azure-10s", "azure", (*RPM_SERVER, "--request-window", "10"), LimitOptions(rpm=RPM), 10.0),
    Scenario("azure-1s", "azure", (*RPM_SERVER, "--request-window", "1"), LimitOptions(rpm=RPM), 1.0),
    Scenario("openai-headers-only", "openai", RPM_SERVER, LimitOptions()),
    Scenario("azure-headers-only", "azure", RPM_SERVER, LimitOptions()),
    Scenario("openai-headers-tpm", "openai", TPM_SERVER, LimitOptions(), tpm=TPM),
]


@dataclass
class Outcome:
    sent_at: list[float] = field(default_factory=list)
    """Seconds after the beginning, of the requests that were answered."""

    def utilisation(self, after: float, until: float, per_second: float) -> float:
        """Requests that left between `after` and `until`, over those that the quota allows."""
        return sum(after <= at < until for at in self.sent_at) / (until - after) / per_second


Loop = Callable[[Scenario, Endpoint, Request, float, ScaledClock], Coroutine[None, None, Outcome]]


async def ours(scenario: Scenario, endpoint: Endpoint, image: Request, seconds: float, clock: ScaledClock) -> Outcome:
    options = MemberOptions(
        "", ModelOptions(name=f"{scenario.provider}:gpt-4o", max_tokens=MAX_TOKENS), scenario.limits
    )
    outcome = Outcome()
    begun = clock.monotonic()
    async with Client(endpoint, 120) as client:
        throttle = Throttle(Pool([build_member(options, endpoint, client, clock)]), clock)
        asker = Asker(throttle, scenario.limits, clock, random.Random(), lambda attempt: None)

        async def ask(worker: int) -> None:
            for number in range(1_000_000):
                key = f"{worker}-{number}"
                question = replace(image, image=SourceImage(key, f"file:///{key}", "1"))
                answer = await asker.ask(question, nothing_smaller)
                if isinstance(answer.outcome, Reply):
                    outcome.sent_at.append(clock.monotonic() - begun - answer.latency_ms / 1000)

        async with asyncio.TaskGroup() as group:
            for worker in range(scenario.limits.most_in_flight):
                group.create_task(_until_closed(ask(worker)))
            await clock.sleep(seconds)
            throttle.close()
    return outcome


async def nothing_smaller(request: Request) -> Request | None:
    return None


async def _until_closed(asking: Awaitable[None]) -> None:
    with suppress(ThrottleClosed):
        await asking


async def plain(scenario: Scenario, endpoint: Endpoint, image: Request, seconds: float, clock: ScaledClock) -> Outcome:
    """What a script does: a semaphore, and on 429 twice as long a wait each time."""
    outcome = Outcome()
    begun = clock.monotonic()
    semaphore = asyncio.Semaphore(PLAIN_CONCURRENCY)
    headers = {**endpoint.headers, "Content-Type": "application/json"}
    head = render_head(ModelOptions(max_tokens=MAX_TOKENS), Form(endpoint.body_model))
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask() -> None:
            while clock.monotonic() - begun < seconds:
                async with semaphore:
                    for attempt in range(100):
                        sent = clock.monotonic() - begun
                        async with session.post(endpoint.url, data=head + image.body) as response:
                            await response.read()
                        if response.status == 200:
                            outcome.sent_at.append(sent)
                            break
                        if sent > seconds:
                            break
                        await clock.sleep(min(60.0, 2**attempt) * random.uniform(0.5, 1.0))

        async with asyncio.TaskGroup() as group:
            for _ in range(PLAIN_CONCURRENCY):
                group.create_task(ask())
    return outcome


def make_request() -> Request:
    data = encoded(photo(WIDTH, HEIGHT))
    template = tail_template(ModelOptions())
    model = find_model("openai:gpt-4o")
    image_tokens = model.image_tokens(WIDTH, HEIGHT)
    return Request(
        image=SourceImage("a.jpg", "file:///a.jpg", "1"),
        probe=Probe("jpeg", WIDTH, HEIGHT),
        content_hash="blake3:00",
        original_bytes=len(data),
        sent=Sent("jpeg", WIDTH, HEIGHT, len(data)),
        body=template.render("jpeg", data),
        predicted_image_tokens=image_tokens,
        predicted_prompt_tokens=prompt_tokens(model, "", ModelOptions().prompt, (image_tokens,)),
    )


@dataclass(frozen=True)
class Measured:
    used: float
    refused: int
    requests: int
    peak_in_flight: int

    @property
    def refused_share(self) -> float:
        return self.refused / self.requests


def allowed_per_second(scenario: Scenario) -> float:
    if not scenario.tpm:
        return RPM / 60
    counting = limit_rules(scenario.provider, LimitOptions()).counting
    return scenario.tpm / 60 / AdmissionCost(counting, MAX_TOKENS, 0).of(make_request())


def measure(scenario: Scenario, loop: Loop, seconds: float, scale: float = 1.0) -> Measured:
    """One loop against an emulator of its own, for so many seconds of its clock."""
    arguments = ("--provider", scenario.provider, "--time-scale", str(scale), "--latency", "1.5")
    with emulate_process(*arguments, "--latency-sigma", "0.35", *scenario.server) as server:
        base = server.endpoint if scenario.provider == "azure" else server.base_url
        environ = {"AZURE_OPENAI_API_KEY": "emulator-key", "OPENAI_API_KEY": "emulator-key"}
        endpoint = resolve_endpoint(ModelOptions(name=f"{scenario.provider}:gpt-4o", base_url=base), environ)
        image = make_request()
        # The emulator's first answer takes it 0.3 s, for its vocabulary: a jitter that no provider has.
        asyncio.run(warm_up(endpoint, image))
        urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}/reset", method="POST")).close()
        outcome = asyncio.run(loop(scenario, endpoint, image, seconds, ScaledClock(scale)))
        with urllib.request.urlopen(f"{server.endpoint}/stats") as response:
            stats = json.load(response)
    return Measured(
        outcome.utilisation(scenario.first_window, seconds, allowed_per_second(scenario)),
        sum(stats["rate_limited"].values()),
        stats["requests"],
        stats["peak_in_flight"],
    )


async def warm_up(endpoint: Endpoint, image: Request) -> None:
    async with Client(endpoint, 120) as client:
        await client.post(render_head(ModelOptions(), Form(endpoint.body_model)), image.body)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120.0, help="of the emulator's clock, for each loop")
    parser.add_argument("--scaled", action="store_true", help="ten times as fast")
    parser.add_argument("--only", help="scenarios whose name contains this")
    arguments = parser.parse_args()
    scale = 10.0 if arguments.scaled else 1.0
    for scenario in SCENARIOS:
        if arguments.only and arguments.only not in scenario.name:
            continue
        print(f"\n{scenario.name}: {allowed_per_second(scenario):.2f} requests/s allowed, {arguments.seconds:g} s")
        for name, loop in (("ours", ours), ("semaphore and backoff", plain)):
            found = measure(scenario, loop, arguments.seconds, scale)
            print(
                f"  {name:<22} used {found.used:7.2%}  refused {found.refused:5d} of {found.requests:5d} "
                f"({found.refused_share:.2%})  peak in flight {found.peak_in_flight}",
                flush=True,
            )


if __name__ == "__main__":
    main()
