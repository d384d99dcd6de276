"""Puts a finder before a provider, when the job wants to know what its images hold."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager

from pipeline.api.endpoint import enhancing_way
from pipeline.api.limits.budget import Budget
from pipeline.api.pool.members import MemberOptions
from pipeline.api.vision.asking import open_analysis
from pipeline.api.vision.resource import find_vision
from pipeline.api.vision.ways import Way
from pipeline.clock import Clock
from pipeline.engine.enhancing.finders import AnalysisFinder, Finder, OcrFinder, images_ahead
from pipeline.engine.enhancing.provider import EnhancedProvider, Question
from pipeline.engine.providers.http import ApiProvider
from pipeline.errors import UserError
from pipeline.models import Model

log = logging.getLogger(__name__)


def way_of_all(members: Sequence[MemberOptions], environ: Mapping[str, str]) -> Way | None:
    """Who looks at the images of a job; UserError unless it is the same whoever answers."""
    ways = {enhancing_way(member.model, environ) for member in members}
    if len(ways) > 1:
        raise UserError(
            "Some endpoints of the job have Azure OpenAI's enhancements and some have not; give enhance_with, or the "
            "same api_version to all."
        )
    return ways.pop()


@asynccontextmanager
async def open_enhanced(
    inner: ApiProvider,
    members: Sequence[MemberOptions],
    model: Model,
    workers: Executor,
    worker_count: int,
    environ: Mapping[str, str],
    clock: Clock,
    budget: Budget | None,
    on_spent: Callable[[], None],
) -> AsyncIterator[ApiProvider | EnhancedProvider]:
    """`inner` itself, where its service does the looking or nobody does."""
    way, vision = way_of_all(members, environ), find_vision(environ)
    if way is None or way == "azure-openai":
        yield inner
        return
    async with AsyncExitStack() as stack:
        finder: Finder
        if way == "image-analysis":
            assert vision is not None, "the way was chosen for it"
            # What closes this line for want of money, `provider` knows what to do about.
            opening = open_analysis(vision, members[0], model, clock, budget, lambda: provider.money_is_gone())
            throttle, asker = await stack.enter_async_context(opening)
            finder = AnalysisFinder(throttle, asker, images_ahead([member.limits for member in members]), clock)
        else:
            from pipeline.builtin.ocr import load_text_finder

            read = await asyncio.get_running_loop().run_in_executor(workers, load_text_finder)
            finder = OcrFinder(read, workers, worker_count, clock)
        provider = EnhancedProvider(inner, finder, Question(members[0].model.prompt, model), workers, on_spent)
        yield provider
        if provider.lost_usd:
            log.warning(
                "What was found in some images for $%.4f was not asked about: the run stopped.", provider.lost_usd
            )
