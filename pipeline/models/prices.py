"""What tokens cost on a given day, in exact decimals. Knows the catalogue, genai-prices and our own table; no network.

Our table (prices.toml) goes first, because it exists only where genai-prices is silent or wrong. A price that neither
knows is None and never 0. genai-prices 0.2.3 answers some questions with the wrong row instead of none: a batch on
Azure, and one on OpenAI before 2026-10-14, comes back at the live price. A batch no cheaper is taken as unanswered.
"""

import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Literal

from pipeline.items import Usage
from pipeline.models.catalogue import Model

PER_MILLION = Decimal(1_000_000)
_COLUMN = Decimal("0.000000001")
"""Step of the column cost_usd, decimal(18,9)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per token."""

    input: Decimal
    cached_input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """What one model's tokens cost on `price_date`."""

    base: Rates
    tiers: tuple[tuple[int, Rates], ...]
    """(prompt tokens, rates): a request with more prompt tokens is charged these for all of its tokens. Ascending."""
    price_date: date
    source: str
    per_request: Decimal = Decimal(0)
    """USD for the services that a request uses beside the model's tokens."""

    @property
    def free(self) -> bool:
        """Known to cost nothing."""
        return not (self.tiers or self.base.input or self.base.cached_input or self.base.output or self.per_request)

    def rates(self, prompt_tokens: int) -> Rates:
        """The rates of a request with that many prompt tokens."""
        found = self.base
        for above, rates in self.tiers:
            if prompt_tokens > above:
                found = rates
        return found

    def cost(self, usage: Usage) -> Decimal | None:
        """USD for what the server counted, to nine decimals; None when it counted no prompt or completion tokens.

        Reasoning tokens are part of the completion tokens, cached ones of the prompt tokens.
        """
        if self.free:
            return Decimal(0).quantize(_COLUMN)
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        rates = self.rates(usage.prompt_tokens)
        cost = usage.prompt_tokens * rates.input + usage.completion_tokens * rates.output + self.per_request
        if usage.cached_tokens:
            cost -= min(usage.cached_tokens, usage.prompt_tokens) * (rates.input - rates.cached_input)
        return cost.quantize(_COLUMN)


FeeName = Literal["ocr", "grounding", "video_indexing", "video_query", "analysis_read", "analysis_objects"]


@dataclass(frozen=True, slots=True)
class Fee:
    """What a service beside the model costs: an image read or grounded, a minute of video indexed, a query."""

    usd: Decimal
    unit: str
    source: str


def find_price(
    model: Model,
    on: date,
    *,
    mode: Literal["live", "batch"] = "live",
    zone: Literal["global", "us", "eu"] = "global",
    services: tuple[FeeName, ...] = (),
) -> Price | None:
    """The price of `model` on the day `on`; None when nobody told us, as for every `compatible:` server.

    `zone` is the data zone of an Azure deployment; `services` are billed once for each request. The first call loads
    genai-prices (0.3 s); the same question again costs nothing.
    """
    price = _find(model, on, mode, zone)
    fees = [find_fee(name, on) for name in services]
    if price is None or None in fees:
        return None
    return replace(price, per_request=sum((fee.usd for fee in fees if fee), Decimal(0))) if fees else price


@lru_cache(maxsize=1024)
def _find(model: Model, on: date, mode: str, zone: str) -> Price | None:
    price = _own_price(model, on) or _listed_price(model, on, {})
    if price is None:
        return None
    if mode == "batch" and not price.free:
        price = _batch_price(model, on, price)
    if price is not None and zone != "global" and model.provider == "azure":
        price = _scaled(price, model, "zone", on, zone=zone)
    return price


def find_fee(name: FeeName, on: date) -> Fee | None:
    """What a service of Azure AI Vision costs per unit on the day `on`, beside the tokens."""
    entry = _last(_table()["fee"], on, name=name)
    return Fee(Decimal(entry["usd"]), entry["unit"], entry["source"]) if entry else None


def _own_price(model: Model, on: date) -> Price | None:
    entry = _last(_table()["price"], on, provider=model.provider, model=model.name)
    if entry is None:
        return None
    input_ = Decimal(entry["input"]) / PER_MILLION
    cached = Decimal(entry["cached_input"]) / PER_MILLION if "cached_input" in entry else input_
    return Price(Rates(input_, cached, Decimal(entry["output"]) / PER_MILLION), (), on, entry["source"])


def _listed_price(model: Model, on: date, context: dict[str, str]) -> Price | None:
    if model.provider in ("compatible", "builtin") or model.requested.startswith("ft:"):
        return None
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    noon = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    for name in (model.requested, model.name):
        try:
            # The amount is of no interest: the call finds the rates of that day. A million tokens would land in a tier.
            found = calc_price(
                Counts(input_tokens=1, output_tokens=1),
                name,
                provider_id=model.provider,
                genai_request_timestamp=noon,
                price_context=context or None,
            )
        except LookupError:
            continue
        return _read(found.model_price, on)
    return None


def _read(listed: Any, on: date) -> Price | None:
    """A genai-prices ModelPrice as ours."""
    by_kind = [listed.input_mtok, listed.cache_read_mtok, listed.output_mtok]
    if by_kind[0] is None or by_kind[2] is None:
        return None
    if by_kind[1] is None:
        by_kind[1] = by_kind[0]

    def rates(above: int) -> Rates:
        amounts = []
        for price in by_kind:
            amount = getattr(price, "base", price)
            for tier in getattr(price, "tiers", ()):
                amount = tier.price if tier.start <= above else amount
            amounts.append(amount / PER_MILLION)
        return Rates(*amounts)

    starts = sorted({tier.start for price in by_kind for tier in getattr(price, "tiers", ())})
    return Price(rates(-1), tuple((start, rates(start)) for start in starts), on, _listed_source())


@cache
def _listed_source() -> str:
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"  # 8 ms to look up


def _batch_price(model: Model, on: date, live: Price) -> Price | None:
    listed = _listed_price(model, on, {"processing": "batch"})
    if listed is not None and listed.base.input < live.base.input:
        return listed
    return _scaled(live, model, "batch", on, provider=model.provider)


def _scaled(price: Price, model: Model, table: str, on: date, **keys: str) -> Price | None:
    """The price times the factor of our table's entry; None without an entry."""
    entries = [entry for entry in _table()[table] if model.name in entry.get("models", [model.name])]
    entry = _last(entries, on, **keys)
    if entry is None:
        return None
    factor = Decimal(entry["factor"])

    def scaled(rates: Rates) -> Rates:
        cached = rates.cached_input * factor if factor > 1 else min(rates.cached_input, rates.input * factor)
        return Rates(rates.input * factor, cached, rates.output * factor)

    return replace(
        price,
        base=scaled(price.base),
        tiers=tuple((above, scaled(rates)) for above, rates in price.tiers),
        source=f"{price.source}, times {factor}: {entry['source']}",
    )


def _last(entries: list[dict[str, Any]], on: date, **keys: str) -> dict[str, Any] | None:
    """The entry for these keys that is in force on a day; of several the one written last."""
    found = None
    for entry in entries:
        if all(entry[key] == value for key, value in keys.items()) and entry["from"] <= on < entry.get(
            "until", date.max
        ):
            found = entry
    return found


@cache
def _table() -> dict[str, Any]:
    from importlib.resources import files

    return tomllib.loads(files(__package__).joinpath("prices.toml").read_text("utf-8"))
