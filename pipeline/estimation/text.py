"""An estimate as text, at most 100 columns wide. Pure."""

import textwrap
from collections.abc import Sequence
from decimal import Decimal

from pipeline.estimation.result import Estimate, ModelEstimate, histogram

WIDTH = 100
BAR_WIDTH = 40
HEADER = ["model", "images", "image tokens", "text", "answers", "low", "expected", "high", "batch", "hours"]


def render_estimate(estimate: Estimate) -> str:
    """What there is, a table with a row per model, what the policy saves, what should be known, the sizes."""
    sections = [_listing(estimate), _table(estimate.models), _savings(estimate), _remarks(estimate), _sizes(estimate)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _listing(estimate: Estimate) -> list[str]:
    survey = estimate.survey
    of = f" of {survey.listed:,} listed" if survey.listed != survey.images else ""
    limit = ", as many as the limit allows" if survey.limited else ""
    images = "1 image" if survey.images == 1 else f"{survey.images:,} images"
    if survey.groups:
        members = sum(len(group) * count for group, count in survey.groups.items())
        together = round(survey.groups.total() * survey.scale), round(members * survey.scale)
        rows = "1 row" if survey.images == 1 else f"{survey.images:,} rows"
        images = f"{rows}, {together[0]:,} of them groups of {together[1]:,} images,"
    lines = [f"{images}{of} to caption{limit}; {_size(survey.total_bytes)}"]
    lines += [f"{row.done:,} are finished in the output by {row.model}" for row in estimate.models if row.done]
    lines += [
        f"{round(count * survey.scale):,} cannot be captioned: {reason}"
        for reason, count in survey.unreadable.most_common()
    ]
    if not survey.listed:
        lines.append("The source holds no image; check the path and --include; videos want --video.")
    if survey.sampled:
        lines.append(f"Extrapolated from a sample of {survey.looked_at:,}; ± is the 95 % interval")
    return lines


def _table(models: Sequence[ModelEstimate]) -> list[str]:
    rows = [HEADER, *(_cells(row) for row in models)]
    differ = len({row.images for row in models}) > 1
    wanted = [n for n, name in enumerate(HEADER) if any(row[n] for row in rows[1:]) and (name != "images" or differ)]
    widths = {n: max(len(row[n]) for row in rows) for n in wanted}
    widths[0] = min(widths[0], WIDTH - sum(widths[n] + 2 for n in wanted[1:]))
    lines = ["  ".join([_clipped(row[0], widths[0]), *(row[n].rjust(widths[n]) for n in wanted[1:])]) for row in rows]
    # A line over the dollars, so that their columns need not say it one by one.
    end = lines[0].index("high") + len("high")
    start = end - sum(widths[HEADER.index(name)] for name in ("low", "expected", "high")) - 4
    return [" " * start + " live, US dollars ".center(end - start, "-"), *(line.rstrip() for line in lines)]


def _cells(row: ModelEstimate) -> list[str]:
    tokens = "unknown" if row.image_tokens is None else _number(row.image_tokens)
    if row.image_tokens and row.margin_tokens:
        tokens += f" ±{row.margin_tokens / row.image_tokens:.1%}"
    text = f"{'' if row.text_tokens_exact else '~'}{_number(row.text_tokens)}"
    live = row.live_usd
    dollars = [_usd(amount) for amount in (live.low, live.expected, live.high)] if live else ["unknown"] * 3
    if live and live.expected and row.margin_usd:
        dollars[1] += f" ±{row.margin_usd / live.expected:.1%}"
    batch = _usd(row.batch_usd.expected) if row.batch_usd else ""
    return [
        row.model,
        _number(row.images),
        tokens,
        text,
        _number(row.output_tokens.expected),
        *dollars,
        batch,
        _hours(row),
    ]


def _hours(row: ModelEstimate) -> str:
    """Expected, and up to high where that differs."""
    if row.hours is None:
        return ""
    expected, high = (f"{hours:,.1f}" if hours >= 0.1 else "<0.1" for hours in (row.hours.expected, row.hours.high))
    return expected if expected == high else f"{expected} to {high}"


def _clipped(name: str, width: int) -> str:
    return name.ljust(width) if len(name) <= width else name[: width - 1] + "…"


def _savings(estimate: Estimate) -> list[str]:
    """What the policy saves against sending the originals, and what another would."""
    lines = []
    for row in estimate.models:
        saved = []
        if row.saved_tokens and row.image_tokens is not None:
            part = row.saved_tokens / (row.saved_tokens + row.image_tokens)
            usd = "" if row.saved_usd is None else f" (${_usd(row.saved_usd)})"
            saved.append(f"{_number(row.saved_tokens)} image tokens, {part:.0%}{usd}")
        if len(estimate.models) == 1 and row.sent_bytes < 0.99 * row.original_bytes:
            saved.append(f"about {1 - row.sent_bytes / row.original_bytes:.0%} of the upload")
        if saved:
            lines += _wrapped(f"Against the originals {estimate.policy} saves {' and '.join(saved)} with {row.model}.")
        if row.economy_tokens is not None and row.image_tokens and row.economy_tokens < row.image_tokens:
            part = 1 - row.economy_tokens / row.image_tokens
            lines.append(
                f"--image-policy economy would take {_number(row.economy_tokens)} image tokens, {part:.0%} less."
            )
    return lines


def _remarks(estimate: Estimate) -> list[str]:
    models = estimate.models
    lines = []
    if sources := list(dict.fromkeys(row.output_from for row in models if row.output_from)):
        lines += _wrapped(f"Length of answers: {'; else '.join(sources)}. High is max_tokens for each.")
        if all(row.hours is None for row in models):
            lines.append("Give --rpm and --tpm of the account to see hours.")
    notes: dict[str, list[str]] = {}
    for row in models:
        for note in row.notes:
            notes.setdefault(note, []).append(row.model)
    for note, names in notes.items():
        lines += _wrapped(f"{', '.join(names)}: {note}.")
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _sizes(estimate: Estimate) -> list[str]:
    classes = histogram(estimate.survey)
    if not classes:
        return []
    most = max(images for _, _, images in classes) or 1
    names = [f"above {low:g} MP" if high is None else f"{low:g} to {high:g} MP" for low, high, _ in classes]
    return [
        "Sizes",
        *(
            f"  {name:<14} {images:>12,} {'█' * round(images / most * BAR_WIDTH)}".rstrip()
            for name, (_, _, images) in zip(names, classes, strict=True)
        ),
    ]


def _usd(amount: Decimal) -> str:
    if amount >= 1_000_000:
        return _number(round(amount))
    if amount >= 1000:
        return f"{amount:,.0f}"
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.4f}"


def _number(number: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M")):
        if number >= limit:
            return f"{number / limit:,.1f}{unit}"
    return f"{number:,}"


def _size(count: int) -> str:
    for limit, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if count >= limit:
            return f"{count / limit:,.1f} {unit}"
    return f"{count / 1000:,.1f} kB"
