"""The catalogue as text or JSON."""

import json
from dataclasses import asdict
from datetime import date

from pipeline.clock import SystemClock, utc
from pipeline.models import Model, Price, find_model, find_price, list_models

MILLION = 1_000_000


def render_models(*, as_json: bool) -> str:
    """Every model, one line each: tokens of a 1024x1024 image, context, price today."""
    today = utc(SystemClock().time()).date()
    models = list_models()
    if as_json:
        return json.dumps([_facts(model, today) for model in models], default=str)
    lines = [f"{'model':<44} {'1024x1024':>9} {'context':>9} {'$/M in':>8} {'$/M out':>8}  limit by"]
    for model in models:
        price = find_price(model, today)
        lines.append(
            f"{model.provider + ':' + model.name:<44} {_number(_tokens(model)):>9} {_number(model.context_tokens):>9} "
            f"{_money(price, 'input'):>8} {_money(price, 'output'):>8}  {model.max_tokens_parameter}"
        )
    return "\n".join(lines)


def render_model(name: str, *, as_json: bool) -> str:
    """All that is known of one model, with sources."""
    today = utc(SystemClock().time()).date()
    facts = _facts(find_model(name), today)
    if as_json:
        return json.dumps(facts, default=str)
    lines = []
    for key, value in facts.items():
        if isinstance(value, list | tuple):
            value = ("\n" + " " * 25).join(str(v) for v in value)
        if value not in (None, "", "()"):
            lines.append(f"{key.replace('_', ' '):<24} {value}")
    return "\n".join(lines)


def _facts(model: Model, today: date) -> dict[str, object]:
    facts: dict[str, object] = {name: value for name, value in asdict(model).items() if name != "rule"}
    facts["rule"] = repr(model.rule)
    facts["tokens_1024x1024"] = _tokens(model)
    price = find_price(model, today)
    facts["usd_per_million"] = price and {
        "input": str(price.base.input * MILLION),
        "cached_input": str(price.base.cached_input * MILLION),
        "output": str(price.base.output * MILLION),
    }
    facts["price_date"] = price and price.price_date
    facts["price_source"] = price and price.source
    return facts


def _tokens(model: Model) -> int | None:
    return model.image_tokens(1024, 1024, "high")


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _money(price: Price | None, kind: str) -> str:
    return "unknown" if price is None else f"{getattr(price.base, kind) * MILLION:.2f}"
