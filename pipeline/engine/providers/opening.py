"""Opens who is asked: endpoints or describer, and what the job wants before them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

from pipeline.api.asker import Asker, OnReply
from pipeline.api.attempt import OnAttempt
from pipeline.api.limits.budget import Budget
from pipeline.api.payload import tail_template
from pipeline.api.pool.member import Tariff
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.opening import open_pool
from pipeline.api.throttle import Throttle
from pipeline.clock import Clock
from pipeline.engine.enhancing.opening import open_enhanced, way_of_all
from pipeline.engine.packing.joining import packing_of
from pipeline.engine.packing.provider import PackingProvider
from pipeline.engine.packing.splitting import read_caption, read_fields
from pipeline.engine.preparing.rules import json_tail
from pipeline.engine.providers.builtin import BuiltinProvider
from pipeline.engine.providers.http import ApiProvider
from pipeline.engine.providers.provider import Provider
from pipeline.models import Model, find_price


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
    packing = packing_of(members, environ) if members[0].model.pack > 1 else None
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
        opening = open_enhanced(provider, members, model, workers, worker_count, environ, clock, pool.budget, spent)
        async with opening as enhanced:
            if packing is None:
                yield enhanced
                return
            read = read_fields if members[0].model.schema else read_caption
            tariff = Tariff(clock, partial(find_price, model))
            yield PackingProvider(enhanced, packing, clock, tariff, read)
