"""What a retry would ask again, as text and as JSON values. Pure."""

from collections.abc import Sequence

from pipeline.store import RowsToRetry


def retry_to_dict(rows: RowsToRetry) -> dict[str, object]:
    """Plain JSON values; money is a string, null when the price is unknown."""
    usd = None if rows.caption_usd is None else str(rows.caption_usd * len(rows))
    return {"rows": len(rows), "reasons": dict(rows.reasons), "expected_cost_usd": usd}


def render_retry(out: str, reasons: Sequence[str], rows: RowsToRetry) -> str:
    """How many rows of each reason, and what asking them again costs if they are like the others."""
    if not len(rows):
        return f"No row of {out} ended as {' or '.join(reasons)}; `nightcap status {out}` shows how they ended."
    lines = [f"{len(rows):,} images of {out} would be asked again"]
    lines += [f"  {reason:<18} {count:>12,}" for reason, count in rows.reasons.items()]
    if rows.caption_usd is not None:
        lines.append(f"Expected cost ${rows.caption_usd * len(rows):,.4f}, if they cost what a caption of {out} does.")
    return "\n".join(lines)
