"""Runs against the emulator with a budget, faults and retries, as a seed makes them up; in virtual time."""

import asyncio
import random
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.api.asker import Asker
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.pool.members import members_of
from pipeline.api.pool.opening import open_pool
from pipeline.api.throttle import Throttle, ThrottleClosed
from pipeline.clock import utc
from pipeline.emulator.faults import FAULTS
from pipeline.emulator.options import EmulatorOptions
from pipeline.items import Answer, Probe, Request, Sent, SourceImage, Usage
from pipeline.models import find_model, find_price, prompt_tokens
from tests.helpers.clock import FakeClock
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

# What ends a run, and what never ends at all, is no matter of money.
ENDS_THE_RUN = {
    "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "unauthorized", "forbidden",
    "model_not_found", "deployment_not_found", "hang", "slow_body",
}  # fmt: skip
FAULT_NAMES = sorted(FAULTS.keys() - ENDS_THE_RUN)
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5-mini")
SIZES = ((64, 48), (512, 512), (1024, 768))
# Real seconds without any event after which virtual time goes on.
IDLE_SECONDS = 0.003


@dataclass(frozen=True, slots=True)
class BudgetRun:
    """What one run spent, as both sides have it."""

    limit: Decimal
    on_the_bill: Decimal
    """As the server counted, also what never arrived."""
    in_rows: Decimal
    in_rows_or_unknown: Decimal
    faults: int
    requests: int
    closed: bool

    @property
    def used(self) -> Decimal:
        return self.in_rows_or_unknown / self.limit


async def budget_run(seed: int) -> BudgetRun:
    """One run with more work than money."""
    rng, clock = random.Random(seed), FakeClock()
    options = ModelOptions(name=f"openai:{rng.choice(MODELS)}", max_tokens=rng.choice((50, 300)))
    faults = {name: rng.uniform(0, 0.12) for name in rng.sample(FAULT_NAMES, rng.randrange(9))}
    emulator = EmulatorOptions(
        rates=faults, seed=seed, caption_tokens=rng.choice((0, 40, 400)), reasoning_tokens=rng.choice((0, 30)),
    )  # fmt: skip
    model = find_model(options.name)
    price = find_price(model, utc(clock.time()).date())
    assert price is not None
    worst = max(
        price.cost(Usage(prompt_tokens=tokens_of(options, size), completion_tokens=options.max_tokens)) or 0
        for size in SIZES
    )
    limit = (worst * Decimal(rng.uniform(45, 120))).quantize(Decimal("0.000001"))
    spent: list[bool] = []
    answers: list[Answer] = []
    limits = LimitOptions(concurrency=rng.choice((1, 4, 16)), max_attempts=3)
    async with emulate(emulator, clock) as running:
        members = members_of(
            ModelOptions(name=options.name, max_tokens=options.max_tokens, base_url=running.base_url), limits, ()
        )
        async with open_pool(members, {"OPENAI_API_KEY": "emulator-key"}, clock, limit) as pool:
            throttle = Throttle(pool, clock, lambda: spent.append(True))
            asker = Asker(throttle, limits, clock, rng, lambda attempt: None)
            requests = [request_for(options, size) for size in SIZES]

            async def ask(worker: int) -> None:
                for number in range(100_000):
                    image = SourceImage(f"{worker}-{number}", "", "1")
                    prompt = f"{options.prompt} {worker}-{number}"
                    answers.append(await asker.ask(with_image(rng.choice(requests), image, prompt), smaller))

            async def smaller(request: Request) -> Request:
                return with_image(requests[0], request.image, "Smaller.")

            with clock.autojump(IDLE_SECONDS):
                async with asyncio.TaskGroup() as group:
                    for worker in range(limits.most_in_flight):
                        group.create_task(until_closed(ask(worker)))
        billed = price.cost(Usage(running.stats.prompt_tokens, running.stats.completion_tokens))
        count = sum(sum(each.faults.values()) for each in running.stats.endpoints.values())
    assert pool.budget is not None
    assert billed is not None
    in_rows = sum((answer.cost_usd or Decimal(0) for answer in answers), Decimal(0))
    assert in_rows == pool.budget.spent, "what is paid for is in a row"
    return BudgetRun(limit, billed, in_rows, in_rows + pool.budget.unknown, count, running.stats.requests, bool(spent))


async def until_closed(asking: Awaitable[None]) -> None:
    with suppress(ThrottleClosed):
        await asking


def tokens_of(options: ModelOptions, size: tuple[int, int], prompt: str | None = None) -> int:
    model = find_model(options.name)
    tokens = prompt_tokens(model, "", prompt or options.prompt, (model.image_tokens(*size),))
    assert tokens is not None
    return tokens


def request_for(options: ModelOptions, size: tuple[int, int]) -> Request:
    data = encoded(photo(*size))
    return Request(
        image=SourceImage("", "", "1"),
        probe=Probe("jpeg", *size),
        content_hash="blake3:00",
        original_bytes=len(data),
        sent=Sent("jpeg", *size, len(data)),
        body=data,
        predicted_image_tokens=find_model(options.name).image_tokens(*size),
        predicted_prompt_tokens=tokens_of(options, size),
    )


def with_image(request: Request, image: SourceImage, prompt: str) -> Request:
    """The same picture in a question of its own, a little longer than was predicted: providers add a few tokens."""
    body = tail_template(ModelOptions()).render("jpeg", request.body, prompt)
    return replace(request, image=image, body=body)
