"""Opens the endpoints of a run: a session each, with limits, rules and prices."""

import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal

from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint, azure_version, catalogue_name, resolve_endpoint, split_name
from pipeline.api.entra.clouds import Cloud
from pipeline.api.entra.credential import DefaultCredential, OpenCredential
from pipeline.api.entra.tokens import Tokens
from pipeline.api.limits.budget import Budget
from pipeline.api.limits.limiter import Limiter
from pipeline.api.limits.rules import AdmissionCost, limit_rules
from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form
from pipeline.api.pool.member import Member, Tariff
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.pool import Pool
from pipeline.api.structured.counting import expected_form, request_tokens
from pipeline.api.vision.ways import fees_of
from pipeline.clock import Clock, utc
from pipeline.errors import UserError
from pipeline.items import Respondent
from pipeline.models import FeeName, Model, Price, find_model, find_price, find_video_price


@asynccontextmanager
async def open_pool(
    members: Sequence[MemberOptions],
    environ: Mapping[str, str],
    clock: Clock,
    max_cost: Decimal | None = None,
    open_credential: OpenCredential = DefaultCredential,
) -> AsyncIterator[Pool]:
    """The pool, its sessions open; `max_cost` is what may be spent, in USD.

    Raises UserError before any is opened: when an address or a credential is missing, or a budget could not be kept.
    """
    endpoints = [resolve_endpoint(member.model, environ, member.key_env, member.auth) for member in members]
    if max_cost is not None:
        for member in members:
            _check_predictable(member.model, environ, clock)
    async with AsyncExitStack() as sessions:
        tokens: dict[Cloud, Tokens] = {}
        for endpoint in endpoints:
            if endpoint.cloud and endpoint.cloud not in tokens:
                shared = Tokens(endpoint.cloud, clock, open_credential)
                tokens[endpoint.cloud] = await sessions.enter_async_context(shared)
        opened = []
        for options, endpoint in zip(members, endpoints, strict=True):
            shown = tokens[endpoint.cloud] if endpoint.cloud else None
            client = await sessions.enter_async_context(Client(endpoint, options.limits.timeout_seconds, shown))
            opened.append(build_member(options, endpoint, client, clock))
        yield Pool(opened, None if max_cost is None else Budget(max_cost))


def _check_predictable(options: ModelOptions, environ: Mapping[str, str], clock: Clock) -> None:
    """UserError unless it is known beforehand what a request costs at most."""
    model = find_model(catalogue_name(options))
    price = find_price(model, utc(clock.time()).date())
    advice = "leave out max_cost, or choose a model whose line in `nightcap models` has both"
    if price is None:
        raise UserError(f"The price of {model} is unknown, so a budget could not be kept; {advice}.")
    tokens = model.image_tokens(1024, 1024, options.image_detail)
    if request_tokens(options, model, expected_form(model, azure_version(options, environ)), (tokens,)) is None:
        raise UserError(f"How {model} counts tokens is unknown, so a budget could not be kept; {advice}.")


def build_member(options: MemberOptions, endpoint: Endpoint, client: Client, clock: Clock) -> Member:
    """One endpoint with what its provider and its model make of the job."""
    model = find_model(catalogue_name(options.model))
    rules = limit_rules(endpoint.provider, options.limits)
    return Member(
        options,
        respondent_of(options, endpoint),
        first_form(endpoint, model),
        client,
        Limiter(options.limits, rules, clock.monotonic()),
        AdmissionCost(rules.counting, options.model.max_tokens, _characters(options.model)),
        Tariff(clock, _price_on(options.model, endpoint, model)),
    )


def _price_on(options: ModelOptions, endpoint: Endpoint, model: Model) -> Callable[[date], Price | None]:
    if options.video_index:
        text = request_tokens(options, model, expected_form(model, endpoint.api_version), (0,))
        return functools.partial(find_video_price, model, text_tokens=text)
    return functools.partial(find_price, model, services=own_fees(options, endpoint))


def own_fees(options: ModelOptions, endpoint: Endpoint) -> tuple[FeeName, ...]:
    """What each request to it costs beside its tokens."""
    return fees_of("azure-openai", options.enhance) if endpoint.extension else ()


def _characters(options: ModelOptions) -> int:
    return len(options.prompt) + len(options.system) + len(options.schema or "")


def first_form(endpoint: Endpoint, model: Model) -> Form:
    """How it is asked until it refuses something."""
    form = expected_form(model, endpoint.api_version)
    return replace(form, model=endpoint.body_model, extension=endpoint.extension)


def respondent_of(options: MemberOptions, endpoint: Endpoint) -> Respondent:
    """Who it is, in a row."""
    model = options.model.azure_model or split_name(options.model.name)[1]
    return Respondent(endpoint.provider, model, endpoint.deployment)
