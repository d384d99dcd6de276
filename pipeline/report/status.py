"""What an output holds, as text. Pure."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from pipeline.report.traffic import traffic_rows
from pipeline.store import Status
from pipeline.texts import printable


def render_status(status: Status) -> str:
    """Counts, reasons with examples, tokens, cost, runs."""
    out = printable(status.out)
    lines = [f"{out}: {status.rows:,} images"]
    lines += [f"  {name:<18} {rows:>12,}" for name, rows in status.statuses.items()]
    if status.reused:
        lines.append(f"  {'of these reused':<18} {status.reused:>12,}   same content as an image that was paid for")
    if status.reasons:
        lines.append("Without a whole caption, by reason")
        for reason in status.reasons:
            lines.append(f"  {reason.reason:<18} {reason.rows:>12,}   e.g. {printable(', '.join(reason.examples))}")
            lines.append(f"  {'':<31}   {printable(shorten(reason.message, 100))}")
        lines.append(f"`nightcap retry {out} --reason {status.reasons[0].reason}` asks such images again.")
    lines.append("By model")
    lines += [f"  {name:<18} {rows:>12,}" for name, rows in status.models.items()]
    if status.total_tokens or status.prompt_tokens:
        lines.append("Tokens")
        lines.append(f"  {'prompt':<18} {status.prompt_tokens:>12,}   of these cached {status.cached_tokens:,}")
        lines.append(
            f"  {'answers':<18} {status.completion_tokens:>12,}   of these reasoning {status.reasoning_tokens:,}"
        )
    unknown = f", and {status.unpriced:,} images whose price is unknown" if status.unpriced else ""
    lines.append(f"Cost ${status.cost_usd:,.4f}{unknown}")
    if status.raw_files:
        lines.append(f"Raw replies: {status.raw_bytes:,} bytes in {out}/_nightcap/raw")
    lines += [_run(run) for run in status.runs[-5:]]
    if status.runs:
        rows = traffic_rows(status.runs[-1].get("endpoints", {}))
        lines += [f"  {name:<18} {count:>12}   {told}" for name, count, told in rows]
    return "\n".join(lines)


def _run(run: Mapping[str, Any]) -> str:
    rows = sum(run.get("statuses", {}).values())
    ended = f"{run.get('stopped') or 'finished'}, exit {run.get('exit_code')}"
    if any(residual["systematic"] for residual in run.get("residuals", ())):
        ended += ", billed otherwise than predicted"
    return f"Run {run.get('run_id')}: {rows:,} rows by {run.get('model')}, {ended}"
