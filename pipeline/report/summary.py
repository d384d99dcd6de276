"""The closing lines of a run. Pure text."""

from collections.abc import Iterator

from pipeline.engine.stats import Summary
from pipeline.report.traffic import Row, traffic_rows
from pipeline.texts import printable

ENDINGS = {
    "interrupted": "Interrupted",
    "terminated": "Terminated",
    "limit": "Stopped at the limit",
    "deadline": "Stopped for the deadline",
    "budget": "Stopped at the cost limit",
    "trouble": "Stopped by trouble",
}


def render_summary(summary: Summary) -> str:
    """What was done, what it cost, what is left, where it is and what to do next."""
    rows = (*_images(summary), *_expense(summary), *_traffic(summary))
    lines = [_first_line(summary), *(f"  {name:<15} {count:>9}   {told}".rstrip() for name, count, told in rows)]
    lines += _systematic(summary)
    lines.append(f"The result is in {printable(summary.out)} (Parquet).")
    if advice := _advice(summary):
        lines.append(advice)
    return "\n".join(lines)


def _images(summary: Summary) -> Iterator[Row]:
    stats = summary.stats
    if summary.stopped and stats.left:
        yield "left", f"{stats.left:,}", _left(summary)
    if stats.skipped:
        yield "finished before", f"{stats.skipped}", ""
    if stats.reused:
        yield "reused", f"{stats.reused:,}", "same content as an image that was paid for already"
    if stats.pruned:
        yield "pruned", f"{stats.pruned:,}", "rows whose images are gone from the source"
    for reason, count in stats.reasons.most_common():
        yield reason, f"{count}", f"e.g. {printable(stats.examples[reason])}"


def _expense(summary: Summary) -> Iterator[Row]:
    stats = summary.stats
    if stats.prompt_tokens or stats.completion_tokens:
        yield "prompt tokens", f"{stats.prompt_tokens:,}", _prediction(summary)
        yield "answer tokens", f"{stats.completion_tokens:,}", ""
        perhaps = f"and up to ${stats.unknown_usd:.4f} for answers that never came" if stats.unknown_usd else ""
        yield "cost", _cost(summary), perhaps
    if stats.unrecorded:
        yield "not recorded", f"{stats.unrecorded:,}", f"answers for ${stats.unrecorded_usd:.4f} that the disk refused"


def _traffic(summary: Summary) -> Iterator[Row]:
    stats = summary.stats
    if stats.original_bytes:
        yield "megabytes sent", f"{stats.sent_bytes / 1e6:.1f}", f"of {stats.original_bytes / 1e6:.1f} read"
    if stats.retries:
        told = ", ".join(f"{reason} {count}" for reason, count in stats.retries.most_common())
        yield "retries", f"{stats.retries.total()}", told
    yield from traffic_rows(summary.metrics.to_dict())


def _first_line(summary: Summary) -> str:
    stats = summary.stats
    ending = ENDINGS[summary.stopped] if summary.stopped else "Done"
    if not stats.recorded:
        return f"{ending}: no image was answered." if stats.left else f"{ending}: nothing to ask."
    done = f"{ending}: {stats.captioned:,} of {stats.recorded:,} images captioned by {summary.model}"
    return f"{done} in {summary.seconds:.1f} s, {stats.recorded / summary.seconds:.1f} images/s."


def _left(summary: Summary) -> str:
    """How sure the number of images left is, and what they would cost."""
    known = "" if summary.stats.listing_done else "at least; the listing had not ended"
    usd = summary.left_usd
    cost = f"about ${usd:,.2f} at this run's mean" if usd else ""
    return ", ".join(filter(None, (known, cost)))


def _prediction(summary: Summary) -> str:
    """What the self-check found, in a few words."""
    residuals = summary.stats.residuals.values()
    if not residuals:
        return "not predicted: the model's rule or the server's usage is unknown"
    largest = max((residual.largest for residual in residuals), key=abs)
    if not largest:
        return "exactly as predicted"
    return f"{sum(residual.total for residual in residuals):+,} against the prediction, at most {largest:+,} an image"


def _systematic(summary: Summary) -> list[str]:
    """A sentence for each model and detail that was billed by another rule than the catalogue's."""
    lines = []
    for (model, detail), residual in summary.stats.residuals.items():
        if residual.systematic:
            usd = summary.input_usd and residual.usd(summary.input_usd)
            cost = f", {'-' if usd < 0 else '+'}${abs(usd):,.4f} in this run" if usd else ""
            more = "more" if residual.mean > 0 else "less"
            lines.append(
                f"{model} at detail {detail} was billed {abs(residual.mean):,.1f} tokens an image {more} than predicted"
                f"{cost}: the provider may have changed its rule; `nightcap models {model}` shows the one assumed."
            )
    return lines


def _cost(summary: Summary) -> str:
    stats = summary.stats
    if not stats.unpriced:
        return f"${stats.cost_usd:.4f}"
    return "unknown" if not stats.cost_usd else f"${stats.cost_usd:.4f} and {stats.unpriced} images of unknown price"


def _advice(summary: Summary) -> str | None:
    stats = summary.stats
    if summary.stopped:
        return "Run the same command again to continue; nothing is asked twice."
    if stats.reasons or stats.skipped_without_caption:
        return f"`nightcap status {printable(summary.out)}` shows the images without a caption."
    if not stats.listed:
        return "The source holds no image; check the path and --include; videos want --video."
    return None
