"""`nightcap retry`."""

import json
import sys
from typing import Any

import click

from pipeline.cli.common.options import comma_separated, limit_options, max_cost_option
from pipeline.cli.common.sections import SectionedCommand
from pipeline.cli.common.terminal import show
from pipeline.cli.run import run_and_show


@click.command(cls=SectionedCommand)
@click.argument("out")
@click.option(
    "--reason",
    "reasons",
    required=True,
    callback=comma_separated,
    help="Reasons as `nightcap status` shows them, separated by commas.",
)
@click.option(
    "--max-tokens", "raised_max_tokens", type=click.IntRange(min=1), help="For truncated; default: twice as many."
)
@limit_options
@max_cost_option
@click.option("--limit", type=click.IntRange(min=0), help="Ask for at most N images, then stop (exit 4).")
@click.option("--dry-run", is_flag=True, help="Say which rows it would ask again; ask and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
def retry(out: str, reasons: tuple[str, ...], dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Ask again for the rows of OUT that ended for one of these reasons.

    The images are read again from the sources of the job that made OUT, with today's environment. `filtered` means all
    of `filtered:CATEGORY`; `filtered:hate` that one alone, and `rejected:CODE` likewise.

    Exit codes as `nightcap run`; 0 when no row matches.
    """
    from pipeline.errors import UserError
    from pipeline.job import Job
    from pipeline.objects import without_secrets
    from pipeline.reasons import unknown_reason
    from pipeline.report.retry import render_retry, retry_to_dict
    from pipeline.store import rows_to_retry

    if wrong := unknown_reason(reasons) if reasons else "--reason is empty; `nightcap status` shows the reasons.":
        raise UserError(wrong)
    rows = rows_to_retry(out, reasons)
    if dry_run or not len(rows):
        show(json.dumps(retry_to_dict(rows)) if as_json else render_retry(without_secrets(out), reasons, rows))
        return
    given = {name: value for name, value in options.items() if value not in (None, ())}
    summary = run_and_show(Job.of_output(out).overlay(retry=reasons, **given), as_json, quiet)
    if not summary.stopped and not quiet and summary.stats.todo < len(rows):
        click.echo(f"{len(rows) - summary.stats.todo} of the rows' images are not in the source any more.", err=True)
    sys.exit(summary.exit_code)
