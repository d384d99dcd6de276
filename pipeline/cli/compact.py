"""`nightcap compact`."""

import json

import click

from pipeline.cli.common.terminal import show


@click.command()
@click.argument("out")
@click.option(
    "--rows-per-part",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="How large the parts become; about 5 KB of memory a row.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compact(out: str, rows_per_part: int, as_json: bool) -> None:
    """Merge the small parts of OUT into large ones.

    A run does so by itself when there are many. Readers see every row at every moment; a kill at any moment loses
    nothing.
    """
    from pipeline.clock import SystemClock
    from pipeline.engine.live.run import new_run_id
    from pipeline.objects import without_secrets
    from pipeline.store import StoreOptions
    from pipeline.store import compact as compact_output

    clock = SystemClock()
    before, after = compact_output(out, StoreOptions(rows_per_part), clock, new_run_id(clock))
    name = without_secrets(out)
    if as_json:
        show(json.dumps({"out": name, "parts_before": before, "parts": after}))
    elif after < before:
        show(f"{name}: {before} parts became {after}.")
    else:
        show(f"{name}: nothing to merge, {after} parts.")
