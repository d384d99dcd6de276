"""`nightcap models`."""

import json

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def models(name: str | None, as_json: bool) -> None:
    """Show the catalogue, or all that is known of one model: token rule, limits, price, dates and sources."""
    from pipeline.clock import SystemClock, utc
    from pipeline.models import find_model, list_models
    from pipeline.report.models import model_facts, render_model, render_models

    today = utc(SystemClock().time()).date()
    if not name:
        known = list_models()
        click.echo(json.dumps([model_facts(m, today) for m in known]) if as_json else render_models(known, today))
    else:
        model = find_model(name)
        click.echo(json.dumps(model_facts(model, today)) if as_json else render_model(model, today))
