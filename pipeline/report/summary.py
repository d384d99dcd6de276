"""The closing lines of a run. Pure text."""

from pipeline.engine.stats import Summary
from pipeline.texts import printable

ENDINGS = {
    "interrupted": "Interrupted",
    "terminated": "Terminated",
    "limit": "Stopped at the limit",
    "trouble": "Stopped by trouble",
}


def render_summary(summary: Summary) -> str:
    """What was done, what it cost, where it is and what to do next."""
    stats = summary.stats
    ending = ENDINGS[summary.stopped] if summary.stopped else "Done"
    if stats.recorded:
        lines = [f"{ending}: {stats.captioned:,} of {stats.recorded:,} images captioned by {summary.model}"]
        lines[0] += f" in {summary.seconds:.1f} s, {stats.recorded / summary.seconds:.1f} images/s."
    else:
        lines = [f"{ending}: nothing to ask."]
    if stats.skipped:
        lines.append(f"  finished before {stats.skipped:>9}")
    if stats.reused:
        lines.append(f"  reused          {stats.reused:>9,}   same content as an image that was paid for already")
    for reason, count in stats.reasons.most_common():
        lines.append(f"  {reason:<15} {count:>9}   e.g. {printable(stats.examples[reason])}")
    if stats.prompt_tokens or stats.completion_tokens:
        lines.append(f"  prompt tokens   {stats.prompt_tokens:>9,}   {_prediction(summary)}")
        lines.append(f"  answer tokens   {stats.completion_tokens:>9,}")
        lines.append(f"  cost            {_cost(summary):>9}")
    if stats.original_bytes:
        sent, original = stats.sent_bytes / 1e6, stats.original_bytes / 1e6
        lines.append(f"  megabytes sent  {sent:>9.1f}   of {original:.1f} read")
    if stats.retries:
        told = ", ".join(f"{reason} {count}" for reason, count in stats.retries.most_common())
        lines.append(f"  retries         {stats.retries.total():>9}   {told}")
    lines += _systematic(summary)
    lines.append(f"The result is in {printable(summary.out)} (Parquet).")
    if advice := _advice(summary):
        lines.append(advice)
    return "\n".join(lines)


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
        return "The source holds no image; check the path and --include."
    return None
