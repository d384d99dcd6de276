"""Opens the endpoints of a run: a session each, with limits, rules and prices."""

import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint, catalogue_name, resolve_endpoint, split_name
from pipeline.api.limits.limiter import Limiter
from pipeline.api.limits.rules import AdmissionCost, limit_rules
from pipeline.api.payload import Form
from pipeline.api.pool.member import Member, Tariff
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.pool import Pool
from pipeline.clock import Clock
from pipeline.items import Respondent
from pipeline.models import find_model, find_price


@asynccontextmanager
async def open_pool(members: Sequence[MemberOptions], environ: Mapping[str, str], clock: Clock) -> AsyncIterator[Pool]:
    """The pool, its sessions open; UserError when an address or a credential is missing, before any is opened."""
    endpoints = [resolve_endpoint(member.model, environ, member.key_env) for member in members]
    async with AsyncExitStack() as sessions:
        opened = []
        for options, endpoint in zip(members, endpoints, strict=True):
            client = await sessions.enter_async_context(Client(endpoint, options.limits.timeout_seconds))
            opened.append(build_member(options, endpoint, client, clock))
        yield Pool(opened)


def build_member(options: MemberOptions, endpoint: Endpoint, client: Client, clock: Clock) -> Member:
    """One endpoint with what its provider and its model make of the job."""
    model = find_model(catalogue_name(options.model))
    rules = limit_rules(endpoint.provider, options.limits)
    return Member(
        options,
        respondent_of(options, endpoint),
        Form(endpoint.body_model, model.max_tokens_parameter),
        client,
        Limiter(options.limits, rules, clock.monotonic()),
        AdmissionCost(rules.counting, options.model.max_tokens, len(options.model.prompt) + len(options.model.system)),
        Tariff(clock, functools.partial(find_price, model)),
    )


def respondent_of(options: MemberOptions, endpoint: Endpoint) -> Respondent:
    """Who it is, in a row."""
    model = options.model.azure_model or split_name(options.model.name)[1]
    return Respondent(endpoint.provider, model, endpoint.deployment)
