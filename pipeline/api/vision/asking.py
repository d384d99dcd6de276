"""Image Analysis as an endpoint among the others: the same waiting line, limits, retries and budget."""

import functools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from pipeline.api.asker import Asker
from pipeline.api.client import Client, Response
from pipeline.api.entra.credential import DefaultCredential, OpenCredential
from pipeline.api.entra.tokens import Tokens
from pipeline.api.limits.budget import Budget
from pipeline.api.limits.limiter import Limiter
from pipeline.api.limits.rules import AdmissionCost, LimitRules
from pipeline.api.options import LimitOptions
from pipeline.api.payload import Form
from pipeline.api.pool.member import Member, Tariff
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle
from pipeline.api.vision.analysis import analysis_endpoint, read_analysis
from pipeline.api.vision.resource import VisionResource
from pipeline.api.vision.ways import fees_of
from pipeline.clock import Clock
from pipeline.items import Failure, Reply, Request, Respondent
from pipeline.models import Model, find_price

NAME = "Image Analysis"
# "Up to 20 transactions per second" of S1 (Azure AI Vision FAQ): held to over the second too.
RULES = LimitRules((60.0, 1.0), (60.0,), "usage", refills=False)


class AnalysisMember(Member):
    """It is sent the image itself, and answers with what it found."""

    def body(self, request: Request) -> tuple[bytes, bytes]:
        return b"", request.body

    def read(self, response: Response) -> Reply | Failure:
        return read_analysis(response)


@asynccontextmanager
async def open_analysis(
    vision: VisionResource,
    member: MemberOptions,
    model: Model,
    clock: Clock,
    budget: Budget | None,
    on_spent: Callable[[], None],
    open_credential: OpenCredential = DefaultCredential,
) -> AsyncIterator[tuple[Throttle, Asker]]:
    """Ready to be asked what the images of a job's `member` hold. `budget`: that of the job's model.

    A place in its line also needs room in the budget for what the model is then asked; when that will never be there,
    the line closes and `on_spent` is called.
    """
    endpoint = analysis_endpoint(vision, member.model.enhance)
    limits = LimitOptions(
        rpm=member.limits.vision_rpm,
        max_attempts=member.limits.max_attempts,
        timeout_seconds=member.limits.timeout_seconds,
        patience_seconds=member.limits.patience_seconds,
    )
    tariff = Tariff(
        clock, functools.partial(find_price, model, services=fees_of("image-analysis", member.model.enhance))
    )
    async with AsyncExitStack() as stack:
        tokens = None
        if endpoint.cloud:
            tokens = await stack.enter_async_context(Tokens(endpoint.cloud, clock, open_credential))
        client = await stack.enter_async_context(Client(endpoint, limits.timeout_seconds, tokens))
        asked = AnalysisMember(
            MemberOptions(NAME, member.model, limits),
            Respondent(endpoint.provider, "image-analysis"),
            Form(None),
            client,
            Limiter(limits, RULES, clock.monotonic()),
            AdmissionCost("usage", 1, 0),
            tariff,
        )
        throttle = Throttle(Pool([asked], budget.beside() if budget else None), clock, on_spent)
        yield throttle, Asker(throttle, limits, clock, random.Random(), lambda attempt: None)
