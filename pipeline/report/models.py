"""The catalogue as text or plain values. Pure but for the tables it reads."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal
from typing import Any

from pipeline.models import Model, Price, Rates, find_limits, find_price
from pipeline.models.image_rules import PatchLimits

MILLION = 1_000_000
WIDTH = 100
NAME_WIDTH = 36
LABEL_WIDTH = 20
EXAMPLES = ((512, 512), (1024, 1024), (1920, 1080), (4000, 3000))


def render_models(models: Sequence[Model], today: date) -> str:
    """A line for each model: tokens of an image, context, prices of the day, when it came and went."""
    head = f"{'model':<{NAME_WIDTH}} {'1024x1024':>9} {'context':>9} {'$/M in':>8} {'$/M out':>8}  "
    lines = [f"{head}{'released':<10}  retired"]
    for model in models:
        price = find_price(model, today)
        line = (
            f"{model.provider + ':' + model.name:<{NAME_WIDTH}} {_number(model.image_tokens(1024, 1024)):>9} "
            f"{_number(model.context_tokens):>9} {_dollars(price, 'input'):>8} {_dollars(price, 'output'):>8}  "
            f"{model.released or ''!s:<10}  {model.retired or ''}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def model_facts(model: Model, today: date) -> dict[str, Any]:
    """All that is known of a model, as plain JSON values: the catalogue's fields, and

    rule              {"family", and its numbers}: how it counts images, see `models.image_rules`
    image_tokens      {"WxH": tokens at detail high}; null where the rule is unknown
    limits            of one request: {"image_bytes", "request_bytes", "images"}: {"most", "source"} or
                      null, and "sides_px": a list of them, each with "from_images"
    usd_per_million   {"live", "batch"}: {"input", "cached_input", "output", "above": [[prompt tokens, rates]]} or null
    price_date, price_source
    """
    live = find_price(model, today)
    facts = {name: _plain(value) for name, value in asdict(model).items()}
    facts["rule"] = {"family": _family(model.rule), **facts["rule"]}
    facts["image_tokens"] = {f"{width}x{height}": model.image_tokens(width, height) for width, height in EXAMPLES}
    facts["limits"] = asdict(find_limits(model))
    facts["usd_per_million"] = {"live": _price(live), "batch": _price(find_price(model, today, mode="batch"))}
    facts["price_date"] = live and live.price_date.isoformat()
    facts["price_source"] = live and live.source
    return facts


def render_model(model: Model, today: date) -> str:
    """All that is known of a model, at most 100 columns wide."""
    limits = find_limits(model)
    live, batch = find_price(model, today), find_price(model, today, mode="batch")
    sizes = [f"{width}x{height} {_number(model.image_tokens(width, height))}" for width, height in EXAMPLES]
    answers = f", answers up to {model.max_output_tokens:,}" if model.max_output_tokens else ""
    facts: list[tuple[str, object]] = [
        ("model", f"{model.provider}:{model.name}"),
        ("asked as", model.requested if model.requested != model.name else None),
        ("counts images by", _rule(model.rule)),
        ("image tokens", ", ".join(sizes)),
        ("detail", f"{', '.join(model.details)}; auto is billed as {model.auto}"),
        ("counts text by", model.encoding),
        ("answers limited by", model.max_tokens_parameter),
        ("reasons first", "yes" if model.reasoning else None),
        ("JSON schema", {True: "yes", False: "no", None: None}[model.follows_schema]),
        ("JSON mode", {True: "yes", False: "no", None: None}[model.json_mode]),
        ("chat completions", "no, served by the Responses API alone" if model.responses_only else None),
        ("context", f"{model.context_tokens:,} tokens{answers}" if model.context_tokens else None),
        ("takes", ", ".join(model.formats)),
        ("bytes an image", limits.image_bytes),
        ("bytes a request", limits.request_bytes),
        ("px a side", limits.side_px()),
        ("images a request", limits.images),
        ("US dollars, live", _rates_text(live)),
        ("US dollars, batch", _rates_text(batch)),
        ("price from", f"{live.source}, for {live.price_date}" if live else None),
        ("released", model.released),
        ("retired", model.retired),
        ("note", model.note),
        ("unverified", model.unverified),
        *(("source", source) for source in model.sources),
    ]
    lines = []
    for label, value in facts:
        if value is not None and value != "":
            text = f"{value:,}" if isinstance(value, int) else str(value)
            for part in textwrap.wrap(text, WIDTH - LABEL_WIDTH, break_long_words=False, break_on_hyphens=False):
                lines.append(f"{label:<{LABEL_WIDTH}}{part}")
                label = ""
    return "\n".join(lines)


def _rule(rule: object) -> str:
    """A rule's family and numbers, in its own words."""
    told = [_family(rule)]
    for part in fields(rule):  # type: ignore[arg-type]
        value = getattr(rule, part.name)
        if isinstance(value, PatchLimits):
            value = " and ".join(f"{most:,} {unit}" for unit, most in _limits(value)) or "without limit"
        if value is not None:
            told.append(f"{part.name.replace('_', ' ')} {value:,}" if type(value) is int else f"{part.name} {value}")
    return ", ".join(told)


def _family(rule: object) -> str:
    return type(rule).__name__.removesuffix("Rule").lower()


def _limits(limits: PatchLimits) -> list[tuple[str, int]]:
    return [(unit, most) for unit, most in (("patches", limits.patches), ("px", limits.side_px)) if most]


def _rates_text(price: Price | None) -> str:
    if price is None:
        return "unknown"

    def text(rates: Rates) -> str:
        r = _rates(rates)
        return f"{r['input']} in, {r['cached_input']} cached, {r['output']} out"

    above = [f"; above {tokens:,} prompt tokens {text(rates)}" for tokens, rates in price.tiers]
    return f"{text(price.base)}, per million{''.join(above)}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value


def _price(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {**_rates(price.base), "above": [[tokens, _rates(rates)] for tokens, rates in price.tiers]}


def _rates(rates: Rates) -> dict[str, str]:
    return {name: _per_million(amount) for name, amount in asdict(rates).items()}


def _per_million(amount: Decimal) -> str:
    return f"{(amount * MILLION).normalize():f}"


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _dollars(price: Price | None, kind: str) -> str:
    return "unknown" if price is None else f"{getattr(price.base, kind) * MILLION:.2f}"
