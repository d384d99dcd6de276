"""`nightcap status`."""

import json

import click

from pipeline.cli.common.terminal import show


@click.command()
@click.argument("out")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(out: str, as_json: bool) -> None:
    """Show what is done in OUT, what it cost, what failed and why. Works during a run too."""
    from pipeline.report.status import render_status
    from pipeline.store import read_status

    found = read_status(out)
    show(json.dumps(found.to_dict()) if as_json else render_status(found))
