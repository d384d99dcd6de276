"""`nightcap models`."""

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def models(name: str | None, as_json: bool) -> None:
    """Show the catalogue, or all that is known of one model: token rule, limits, price, dates and sources."""
    from pipeline.report.models import render_model, render_models

    if name:
        click.echo(render_model(name, as_json=as_json))
    else:
        click.echo(render_models(as_json=as_json))
