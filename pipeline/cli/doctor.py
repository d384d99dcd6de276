"""`nightcap doctor`."""

import json
import sys
from typing import Any

import click

from pipeline.cli.common.options import model_options, read_job
from pipeline.cli.common.sections import SectionedCommand
from pipeline.cli.common.terminal import show_line


@click.command(cls=SectionedCommand)
@click.argument("sources", nargs=-1, metavar="[SOURCE...|JOB.toml]")
@click.option("-o", "--out", help="Folder of the result.")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(sources: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Check source, model, credentials, endpoint and output folder before the night. Spends nothing.

    Without a source only what is named is looked at. The exit code is that of a run that meets the worst of it.
    """
    from pipeline.doctor import examine

    checks = examine(read_job(sources, options), whole=bool(sources))
    if as_json:
        click.echo(json.dumps([check.to_dict() for check in checks]))
    else:
        for check in checks:
            show_line(f"{'ok' if check.exit_code == 0 else 'NO':<3}{check.name:<12} {check.text}")
    sys.exit(max(check.exit_code for check in checks))
