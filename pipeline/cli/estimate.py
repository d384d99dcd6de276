"""`nightcap estimate`."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.common.options import limit_options, read_job, request_options
from pipeline.cli.common.sections import SectionedCommand
from pipeline.cli.common.terminal import show

if TYPE_CHECKING:
    from pipeline.job import Job


@click.command(cls=SectionedCommand)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...|JOB.toml")
@click.option("-o", "--out", help="Count only what is not captioned there yet, and learn from its answers.")
@click.option("-m", "--model", "models", multiple=True, help="May be repeated; without it several are compared.")
@request_options
@limit_options
@click.option("--limit", type=click.IntRange(min=0), help="Count no more than the first N images left.")
@click.option("--sample", type=click.IntRange(min=1), help="Read only N headers of the listing, drawn evenly.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def estimate(
    sources: tuple[str, ...], models: tuple[str, ...], sample: int | None, as_json: bool, **options: Any
) -> None:
    """Tokens, dollars and hours before anything is spent: reads the listing and the images' headers, asks nobody.

    Low is what short answers would cost, high is every answer as long as --max-tokens allows.
    """
    from pipeline.api.endpoint import with_deployment

    job = read_job(sources, options)
    models = tuple(with_deployment(model, os.environ) for model in models)
    if len(models) == 1:  # the job's own model, so that an Azure deployment keeps the model behind it
        job = job.overlay(model=models[0])
    show_estimate(job, models, as_json=as_json, sample=sample)


def show_estimate(job: "Job", models: Sequence[str], *, as_json: bool, sample: int | None = None) -> None:
    """Print what `job` would take."""
    from pipeline.estimation import estimate as estimate_job
    from pipeline.estimation.text import render_estimate
    from pipeline.progress import open_counter

    with open_counter("images listed") as count:
        found = estimate_job(job, models, sample, count)
    show(json.dumps(found.to_dict()) if as_json else render_estimate(found))
