"""`nightcap estimate`."""

import json
from typing import Any

import click

from pipeline.cli.options import limit_options, read_job, request_options


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...|JOB.toml")
@click.option("-o", "--out", help="Count only what is not captioned there yet, and learn from its answers.")
@click.option("-m", "--model", "models", multiple=True, help="May be repeated; without it several are compared.")
@request_options
@limit_options
@click.option("--sample", type=click.IntRange(min=1), help="Read only N headers of the listing, drawn evenly.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def estimate(
    sources: tuple[str, ...], models: tuple[str, ...], sample: int | None, as_json: bool, **options: Any
) -> None:
    """Tokens, dollars and hours before anything is spent: reads the listing and the images' headers, asks nobody.

    Low is what short answers would cost, high is every answer as long as --max-tokens allows.
    """
    from pipeline.estimation import estimate as estimate_job
    from pipeline.estimation.text import render_estimate
    from pipeline.progress import open_counter

    job = read_job(sources, options)
    if len(models) == 1:  # the job's own model, so that an Azure deployment keeps the model behind it
        job = job.overlay(model=models[0])
    with open_counter("images listed") as count:
        found = estimate_job(job, models, sample, count)
    click.echo(json.dumps(found.to_dict()) if as_json else render_estimate(found))
