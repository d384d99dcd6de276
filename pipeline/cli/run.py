"""`nightcap run`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.common.options import comma_separated, limit_options, max_cost_option, model_options, read_job
from pipeline.cli.common.sections import SectionedCommand
from pipeline.cli.common.terminal import show
from pipeline.cli.estimate import show_estimate

if TYPE_CHECKING:
    from pipeline.engine.stats import Summary
    from pipeline.job import Job


@click.command(cls=SectionedCommand)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...|JOB.toml")
@click.option(
    "-o",
    "--out",
    help="Folder, or s3://, gs://, az:// prefix, of the result; x.parquet: also one file.",
)
@model_options
@limit_options
@max_cost_option
@click.option("--limit", type=click.IntRange(min=0), help="Ask for at most N images, then stop (exit 4).")
@click.option("--reask", callback=comma_separated, help="Ask once more where the answer is: truncated, refused, ...")
@click.option("--language", help="Captions must be in this language, as de; needs the extra language.")
@click.option(
    "--deadline", help="Be done by then (exit 4): 06:00 is the next one, local time; or an ISO date and time."
)
@click.option(
    "--near-duplicates",
    type=click.IntRange(0, 16),
    help="Pictures alike but for so many of 63 bits share a caption: 4.",
)
@click.option("--prune", is_flag=True, help="Remove the rows of images that are gone from the source.")
@click.option("--replace", is_flag=True, help="Ask again for rows of OUT that were made with another request.")
@click.option(
    "--dry-run", is_flag=True, help="Say what it would take, as `nightcap estimate` does; ask and write nothing."
)
@click.option(
    "--rehearse", is_flag=True, help="Try the night out against an emulator: no key, no money, OUT untouched."
)
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), help="Of a rehearsal; default: as fast as it can."
)
@click.option("--scenario", type=click.Path(path_type=Path), help="Faults for a rehearsal, as for `nightcap emulate`.")
@click.option("--keep-raw", is_flag=True, help="Keep each reply as it came, as JSON lines in OUT/_nightcap/raw.")
@click.option("--summary-file", help="Also write the summary as JSON to this file, however the run ends.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@click.option("--quiet", is_flag=True, help="No progress, no summary.")
def run(
    sources: tuple[str, ...],
    dry_run: bool,
    rehearse: bool,
    speed: float | None,
    scenario: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Caption every image not yet captioned in OUT. Run it again to continue.

    SOURCE is a folder, a file, a glob, s3://, gs:// or az://, a URL, a list (.csv .tsv .jsonl .txt .parquet), an
    inventory's manifest.json, or an archive (.zip .tar .tar.gz, shard-{000..099}.tar); NAME=SOURCE begins its keys with
    NAME. JOB.toml is a job file, which the options overlay. Without --model the images are described offline and free.

    Exit codes: 0 every image captioned; 1 some were not (they are rows with a reason); 2 wrong command, job file or
    credentials; 3 stopped by trouble; 4 stopped at a limit you set; 130/143 interrupted.
    """
    if (speed or scenario) and not rehearse:
        raise click.UsageError("--speed and --scenario belong to --rehearse.")
    if dry_run and rehearse:
        raise click.UsageError("--dry-run and --rehearse are two things; give one of them.")
    if rehearse and any(options[name] for name in ("prune", "replace", "keep_raw", "summary_file")):
        raise click.UsageError(
            "--prune, --replace, --keep-raw and --summary-file change nothing in a rehearsal; leave them out."
        )
    job = read_job(sources, options)
    if dry_run:
        job.plan()  # says what is missing
        show_estimate(job, [job.as_one().model.name], as_json=as_json)
        return
    if rehearse:
        sys.exit(_rehearse(job, speed, scenario, as_json, quiet))
    sys.exit(run_and_show(job, as_json, quiet).exit_code)


def run_and_show(job: "Job", as_json: bool, quiet: bool) -> "Summary":
    """Run a job with a bar, and print how it ended."""
    from pipeline.errors import NightcapError
    from pipeline.job import run as run_job
    from pipeline.progress import open_progress
    from pipeline.report.summary import render_summary

    try:
        with open_progress(quiet=quiet) as observer:
            summary = run_job(job, observer)
    except NightcapError as error:
        _show(error.summary, as_json, quiet, render_summary)
        raise
    _show(summary, as_json, quiet, render_summary)
    return summary


def _rehearse(job: "Job", speed: float | None, scenario: Path | None, as_json: bool, quiet: bool) -> int:
    from pipeline.progress import open_counter, open_progress
    from pipeline.rehearsal import rehearse
    from pipeline.rehearsal.text import render_rehearsal

    with open_counter("images listed") as count, open_progress(quiet=quiet) as observer:
        found = rehearse(job, speed, scenario, observer, count)
    click.echo(json.dumps(found.to_dict()) if as_json else render_rehearsal(found))
    return found.exit_code


def _show(summary: Any, as_json: bool, quiet: bool, render: Any) -> None:
    if summary is None:
        return
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
    if not quiet and not as_json:
        show(render(summary), err=True)
