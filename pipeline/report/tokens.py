"""What one image costs, explained. Pure."""

from typing import Any

from pipeline.clock import SystemClock, utc
from pipeline.models import best_dimensions, find_model, find_price, image_tokens
from pipeline.models.catalogue import Model
from pipeline.models.image_rules import ClaudeRule, PatchRule, TileRule, cells
from pipeline.models.open_model_rules import QwenRule

POLICIES = ("original", "optimal", "economy")


def explain_tokens(name: str, width: int, height: int, detail: str, max_shrink: float) -> dict[str, Any]:
    """Tokens, and the best dimensions of every policy, as plain values. UserError for what cannot be."""
    model = find_model(name)
    tokens = image_tokens(model, width, height, detail)
    seen = model.rule.seen(width, height, model.resolve_detail(detail))
    policies = []
    for policy in POLICIES:
        size = best_dimensions(model, width, height, detail, policy, max_shrink)
        cost = image_tokens(model, *size, detail)
        policies.append({"policy": policy, "width": size[0], "height": size[1], "tokens": cost})
    price = find_price(model, utc(SystemClock().time()).date())
    return {
        "model": str(model),
        "width": width,
        "height": height,
        "detail": detail,
        "tokens": tokens,
        "seen": list(seen),
        "grid": _grid(model, *seen, model.resolve_detail(detail)),
        "usd": str(tokens * price.base.input) if price else None,
        "policies": policies,
        "documented_tokens": _documented(model, width, height, detail, tokens),
    }


def _grid(model: Model, width: int, height: int, detail: str) -> str | None:
    """How the image is cut up before it is counted, where it is."""
    match model.rule:
        case TileRule() if detail != "low":
            cell, name = 512, "tiles"
        case PatchRule():
            cell, name = 32, "patches"
        case ClaudeRule():
            cell, name = 28, "patches"
        case QwenRule(cell_px=size):
            cell, name = size, "patches"
        case _:
            return None
    across, down = cells(width, cell), cells(height, cell)
    return f"{across}x{down} = {across * down} {name} of {cell} pixels"


def _documented(model: Model, width: int, height: int, detail: str, billed: int) -> int | None:
    """What the vendor's own table says, where bills say otherwise."""
    documented = getattr(model.rule, "documented", None)
    if documented is None:
        return None
    tokens: int = documented().tokens(width, height, model.resolve_detail(detail))
    return tokens if tokens != billed else None


def render_tokens(explained: dict[str, Any]) -> str:
    """As text."""
    e = explained
    usd = f", ${float(e['usd']):.6f}" if e["usd"] is not None else ", price unknown"
    lines = [f"{e['model']}: a {e['width']}x{e['height']} image at detail {e['detail']} is {e['tokens']:,} tokens{usd}"]
    lines.append(f"  the model sees {e['seen'][0]}x{e['seen'][1]}" + (f": {e['grid']}" if e["grid"] else ""))
    if e["documented_tokens"] is not None:
        lines.append(f"  the vendor's table says {e['documented_tokens']:,}; bills say {e['tokens']:,}")
    lines += [f"  {p['policy']:<9} {p['width']:>6}x{p['height']:<6} {p['tokens']:>8,} tokens" for p in e["policies"]]
    return "\n".join(lines)
