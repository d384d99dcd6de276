"""An estimate as text or plain values. Pure."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from pipeline.estimation import Estimate
from pipeline.estimation.costs import ModelEstimate, Range
from pipeline.estimation.survey import histogram

BAR_WIDTH = 40
COLUMNS = (
    f"{'model':<28} {'image tokens':>16} {'text':>10} {'answers':>10} "
    f"{'live, low to high':>23} {'batch':>10} {'hours':>7}"
)


def render_estimate(estimate: Estimate) -> str:
    """A table with a row per model, what the policy saves, and the sizes."""
    survey = estimate.survey
    lines = [f"{survey.images:,} images to caption, {_short(round(survey.bytes * survey.scale))}B"]
    if survey.done:
        lines.append(f"{survey.done:,} of {survey.listed:,} listed are in the output already and not counted")
    for reason, count in survey.unreadable.most_common():
        lines.append(f"{round(count * survey.scale):,} cannot be captioned: {reason}")
    if survey.sampled:
        lines.append(f"From a sample of {survey.looked_at:,}; image tokens with their 95 % interval")
    lines += ["", COLUMNS]
    lines += [_row(row) for row in estimate.models]
    if not all(row.text_tokens_exact for row in estimate.models):
        lines.append("~ text tokens are approximate: the model's vocabulary is not public or not known here")
    lines.append("")
    lines += [saving for row in estimate.models if (saving := _saving(row, estimate))]
    lines.append(f"Answers are taken from {estimate.models[0].output_from}; high is max_tokens for each.")
    if all(row.hours is None for row in estimate.models):
        lines.append("Give --rpm and --tpm of the account to see hours.")
    sizes = histogram(survey.sizes.items())
    if sizes:
        most = max(count for _, count in sizes)
        lines += ["", "Sizes"]
        lines += [
            f"  {name:<16} {round(n * survey.scale):>10,} {'█' * round(n / most * BAR_WIDTH)}" for name, n in sizes
        ]
    return "\n".join(lines)


def _row(row: ModelEstimate) -> str:
    tokens = "unknown" if row.image_tokens is None else f"{row.image_tokens:,}"
    if row.image_tokens_margin and row.image_tokens:
        tokens += f" ±{row.image_tokens_margin / row.image_tokens:.1%}"
    text = f"{'' if row.text_tokens_exact else '~'}{_short(row.text_tokens)}"
    live = f"{_usd(row.live.low)} {_usd(row.live.expected)} {_usd(row.live.high)}" if row.live else "unknown"
    batch = _usd(row.batch.expected) if row.batch else "unknown"
    hours = "" if row.hours is None else f"{row.hours:.1f}"
    return (
        f"{row.model:<28} {tokens:>16} {text:>10} {_short(row.output_tokens[1]):>10} {live:>23} {batch:>10} {hours:>7}"
    )


def _saving(row: ModelEstimate, estimate: Estimate) -> str | None:
    survey = estimate.survey
    original = survey.bytes * survey.scale
    parts = []
    if row.saved_tokens:
        usd = f" ({_usd(row.saved_usd)})" if row.saved_usd is not None else ""
        parts.append(f"{row.saved_tokens:,} image tokens{usd}")
    if row.sent_bytes < 0.99 * original:
        parts.append(f"about {1 - row.sent_bytes / original:.0%} of the bytes")
    if not parts:
        return None
    return f"{row.model}: {estimate.policy} saves {' and '.join(parts)} against sending the originals"


def _usd(amount: Decimal | None) -> str:
    if amount is None:
        return "unknown"
    return f"${amount:,.2f}" if amount >= Decimal("0.995") or not amount else f"${amount:.4f}"


def _short(number: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if number >= limit:
            return f"{number / (limit if unit != 'k' else 1000):.1f}{unit}"
    return str(number)


def estimate_to_dict(estimate: Estimate) -> dict[str, Any]:
    """Plain JSON values; money is a string."""
    survey = estimate.survey
    return {
        "images": survey.images,
        "listed": survey.listed,
        "done": survey.done,
        "unreadable": {reason: round(count * survey.scale) for reason, count in survey.unreadable.items()},
        "sampled": survey.looked_at if survey.sampled else None,
        "bytes": round(survey.bytes * survey.scale),
        "policy": estimate.policy,
        "detail": estimate.detail,
        "models": [_model_to_dict(row) for row in estimate.models],
        "sizes": [[name, round(count * survey.scale)] for name, count in histogram(survey.sizes.items())],
    }


def _model_to_dict(row: ModelEstimate) -> dict[str, Any]:
    values = {name: value for name, value in asdict(row).items() if name not in ("live", "batch")}
    values["saved_usd"] = None if row.saved_usd is None else str(row.saved_usd)
    return {**values, "live_usd": _range(row.live), "batch_usd": _range(row.batch)}


def _range(found: Range | None) -> dict[str, str] | None:
    return None if found is None else {name: str(value) for name, value in asdict(found).items()}
