"""What an output holds, as text. Pure."""

from pipeline.store import Status


def render_status(status: Status) -> str:
    """Counts, reasons with examples, tokens, cost, runs."""
    lines = [f"{status.out}: {status.rows:,} images"]
    lines += [f"  {name:<18} {rows:>12,}" for name, rows in status.statuses.items()]
    if status.reasons:
        lines.append("Without a caption, by reason")
        lines += [f"  {r.reason:<18} {r.rows:>12,}   e.g. {', '.join(r.examples)}" for r in status.reasons]
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
    for run in status.runs[-5:]:
        ended = run.get("stopped") or "finished"
        rows = sum(run.get("statuses", {}).values())
        lines.append(
            f"Run {run.get('run_id')}: {rows:,} rows by {run.get('model')}, {ended}, exit {run.get('exit_code')}"
        )
    return "\n".join(lines)
