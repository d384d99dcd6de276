"""What one image costs a model, and which dimensions would be best. Pure but for the tables it reads."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pipeline.items import Usage
from pipeline.models import Model, Price, best_dimensions, find_fee, find_model, find_price, image_tokens
from pipeline.models.image_rules import ClaudeRule, PatchRule, TileRule, cells
from pipeline.models.open_model_rules import QwenRule

Service = Literal["ocr", "grounding", "video_query"]
POLICIES = ("original", "optimal", "economy")


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What one policy would send."""

    policy: str
    width: int
    height: int
    tokens: int
    usd: Decimal | None
    """Of the image alone; None: the price is unknown."""


@dataclass(frozen=True, slots=True)
class RequestShape:
    """What else a request holds beside an image, and which services it uses."""

    images: int = 1
    text_tokens: int = 0
    answer_tokens: int = 0
    services: tuple[Service, ...] = ()
    """Azure enhancements; one fee each."""


@dataclass(frozen=True, slots=True)
class TokenReport:
    """One image at one model."""

    model: str
    width: int
    height: int
    detail: str
    """With `auto` replaced by what it is billed as."""
    tokens: int
    usd: Decimal | None
    documented_tokens: int | None
    """What the vendor's own table says, where bills say otherwise."""
    seen_width: int
    seen_height: int
    """What reaches the model after the server's own downscale."""
    grid: str | None
    """How that is cut up before it is counted, where it is."""
    policies: tuple[Dimensions, ...]
    request_usd: Decimal | None
    """Of a whole request of the shape asked about; None: the price, or that of a service, is unknown."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values by field name; money is a string."""
        document = asdict(self)
        for part in (document, *document["policies"]):
            part["usd"] = None if part["usd"] is None else str(part["usd"])
        document["request_usd"] = None if self.request_usd is None else str(self.request_usd)
        return document


def explain_tokens(
    name: str,
    width: int,
    height: int,
    detail: str,
    today: date,
    max_shrink: float = 0.25,
    budgets: Sequence[str] = (),
    shape: RequestShape = RequestShape(),
) -> TokenReport:
    """Count an image of `width` x `height` px at the model `name`; `budgets` are further policies to show.

    Raises UserError for a size, a detail, a policy or a model that cannot be.
    """
    model = find_model(name)
    detail = model.resolve_detail(detail)
    price = find_price(model, today)

    def usd(tokens: int) -> Decimal | None:
        return tokens * price.base.input if price else None

    policies = []
    for policy in (*POLICIES, *budgets):
        size = best_dimensions(model, width, height, detail, policy, max_shrink)
        tokens = image_tokens(model, *size, detail)
        policies.append(Dimensions(policy, *size, tokens, usd(tokens)))
    seen = best_dimensions(model, width, height, detail)
    tokens = image_tokens(model, width, height, detail)
    documented = _documented(model, width, height, detail)
    return TokenReport(
        model=str(model),
        width=width,
        height=height,
        detail=detail,
        tokens=tokens,
        usd=usd(tokens),
        documented_tokens=documented if documented != tokens else None,
        seen_width=seen[0],
        seen_height=seen[1],
        grid=_grid(model, *seen, detail),
        policies=tuple(policies),
        request_usd=_request_usd(price, tokens, shape, today),
    )


def _request_usd(price: Price | None, image_tokens: int, shape: RequestShape, today: date) -> Decimal | None:
    prompt = shape.images * image_tokens + shape.text_tokens
    total = price.cost(Usage(prompt_tokens=prompt, completion_tokens=shape.answer_tokens)) if price else None
    for name in shape.services:
        fee = find_fee(name, today)
        if fee is None or total is None:
            return None
        total += fee.usd
    return total


def _grid(model: Model, width: int, height: int, detail: str) -> str | None:
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
    return f"{across}x{down} = {across * down} {name} of {cell} px"


def _documented(model: Model, width: int, height: int, detail: str) -> int | None:
    if not isinstance(model.rule, PatchRule):
        return None
    return model.rule.documented().tokens(width, height, detail)


def render_tokens(report: TokenReport) -> str:
    """As text."""
    r = report
    lines = [f"{r.model}: {r.width}x{r.height} at detail {r.detail} is {r.tokens:,} tokens{_usd(r.usd)}"]
    lines.append(f"  the model sees {r.seen_width}x{r.seen_height}" + (f": {r.grid}" if r.grid else ""))
    if r.documented_tokens is not None:
        lines.append(f"  the vendor's table says {r.documented_tokens:,}; bills say {r.tokens:,}")
    width = max(len(p.policy) for p in r.policies)
    for p in r.policies:
        size = f"{p.width}x{p.height}"
        lines.append(f"  {p.policy:<{width}}  {size:>11}  {p.tokens:>8,} tokens{_usd(p.usd)}")
    if r.request_usd is not None and r.request_usd != r.usd:
        lines.append(f"  the whole request costs ${r.request_usd.normalize():f}")
    return "\n".join(lines)


def _usd(amount: Decimal | None) -> str:
    return "" if amount is None else f", ${amount.normalize():f}"
