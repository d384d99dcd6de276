"""Endpoints without a network, for what only wants to know who may leave when; and requests of a set size."""

from datetime import date
from decimal import Decimal

from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint
from pipeline.api.limits.limiter import Limiter
from pipeline.api.limits.rules import AdmissionCost, LimitRules
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import Form
from pipeline.api.pool.member import Member, Tariff
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle
from pipeline.clock import Clock
from pipeline.items import Probe, Request, Respondent, Sent, SourceImage
from pipeline.models import Price
from pipeline.models.prices import Rates


def member(
    limits: LimitOptions, rules: LimitRules, clock: Clock, client: Client | None = None, *, name: str = "",
    priority: int = 1, max_tokens: int = 0, price: Price | None = None,
) -> Member:  # fmt: skip
    """An endpoint; `client` asks it, by default nobody can."""
    model = ModelOptions(name="openai:gpt-4o", max_tokens=max_tokens or 1)
    options = MemberOptions(name, model, limits, None, priority)
    return Member(
        options,
        Respondent("openai", "gpt-4o", name or None),
        Form("gpt-4o"),
        client or Client(Endpoint("openai", "http://127.0.0.1:9/v1/chat/completions", "", {}, "gpt-4o"), 1.0),
        Limiter(limits, rules, clock.monotonic()),
        AdmissionCost(rules.counting, max_tokens, prompt_characters=20 if max_tokens else 0),
        Tariff(clock, lambda day: price),
    )


DOLLAR_A_TOKEN = Price(Rates(Decimal(1), Decimal(1), Decimal(1)), (), date(2026, 11, 21), "nobody")


def throttle_for(limits: LimitOptions, rules: LimitRules, clock: Clock) -> Throttle:
    """The line in front of one endpoint."""
    return Throttle(Pool([member(limits, rules, clock)]), clock)


def limiter_of(throttle: Throttle) -> Limiter:
    """Of a throttle with one endpoint."""
    [only] = throttle.pool.members
    return only.limiter


def request(tokens: int = 1, key: str = "a.jpg", body: bytes = b"") -> Request:
    """An image that is predicted to take so many prompt tokens."""
    sent = Sent("jpeg", 640, 480, 4)
    return Request(
        SourceImage(key, f"file:///{key}", "1"), Probe("jpeg", 640, 480), "blake3:00", 4, sent, body, None, tokens
    )
