"""A rehearsal as a person reads it. Pure text."""

from pipeline.rehearsal.forecast import Rehearsal


def render_rehearsal(found: Rehearsal) -> str:
    """How long, how much, how well, and where it would stop."""
    if not found.images:
        return "Nothing to rehearse: every image that is listed is captioned already."
    name = "so far" if found.stopped in ("interrupted", "terminated") else "the night"
    lines = [_head(found), _line(name, duration(found.seconds), f"at {found.images_per_second:.2f} images/s")]
    for use in found.uses:
        where = f" of {use.endpoint}" if use.endpoint else ""
        lines.append(_line("quota used", f"{use.share:.1%}", f"of {use.limit}{where}"))
    if not found.uses:
        lines.append(_line("quota used", "unknown", "no rpm or tpm was given, or it was too short to tell"))
    share = found.rate_limited / found.requests if found.requests else 0.0
    lines.append(_line("rate limited", f"{found.rate_limited:,}", f"of {found.requests:,} requests ({share:.2%})"))
    if found.retries:
        lines.append(_line("retries", f"{sum(found.retries.values()):,}", _counts(found.retries)))
    if found.reasons:
        lines.append(_line("no caption", f"{sum(found.reasons.values()):,}", _counts(found.reasons)))
    prompt = "unknown" if found.prompt_tokens is None else f"{found.prompt_tokens:,}"
    lines.append(_line("prompt tokens", prompt))
    lines.append(_line("answer tokens", f"{found.completion_tokens:,}", found.answer_tokens_from))
    lines.append(
        _line("cost", "unknown" if found.cost_usd is None else f"${found.cost_usd:,.2f}", _extrapolated(found))
    )
    lines.append(_ending(found))
    if found.machine_bound:
        lines.append(
            f"This machine prepares {found.machine_images_per_second:.1f} images/s, less than the quota allows: it is "
            "what the night would wait for."
        )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`38 s`, `12 min 5 s`, `7 h 30 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _head(found: Rehearsal) -> str:
    everything = found.rehearsed == found.images
    part = f"all {found.images:,} images" if everything else f"{found.rehearsed:,} of {found.images:,} images"
    return (
        f"Rehearsed {part} at {found.speed:.3g} times real speed against an emulated {found.model}: nothing was spent, "
        "nothing written to the output."
    )


def _extrapolated(found: Rehearsal) -> str:
    return "" if found.whole else "by an estimate of the whole listing"


def _ending(found: Rehearsal) -> str:
    if found.stopped:
        where = f"after {found.done:,} of {found.images:,} images"
        return f"It would stop {where}: {found.message or found.stopped} Exit code {found.exit_code}."
    assumed = f"Answers were taken to need {found.answer_seconds:.1f} s."
    return f"It would finish with exit code {found.exit_code}. {assumed}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _line(name: str, value: str, note: str = "") -> str:
    return f"  {name:<15} {value:>14}   {note}".rstrip()
