"""`nightcap video index query`."""

import json
from dataclasses import asdict

import click

from pipeline.cli.common.terminal import show


@click.command()
@click.argument("name")
@click.argument("text")
@click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="Repeated for one field: any of them.")
@click.option(
    "--between", multiple=True, metavar="FIELD=FROM..TO", help="Of a datetime field; either end may be empty."
)
@click.option("--feature", "features", multiple=True, type=click.Choice(["vision", "speech"]), help="Default: all.")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="Moments at most.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON: a list.")
def query(
    name: str,
    text: str,
    filters: tuple[str, ...],
    between: tuple[str, ...],
    features: tuple[str, ...],
    top: int,
    as_json: bool,
) -> None:
    """Find moments of an index's videos by words, as "a man with a black hoodie". Costs a query ($0.25 for 1000)."""
    from pipeline.api.retrieval.values import Query
    from pipeline.video_index import query_index
    from pipeline.video_index.text import render_matches

    values: dict[str, tuple[str, ...]] = {}
    for each in filters:
        field, value = _split(each, "=", "cameraId=camera1")
        values[field] = (*values.get(field, ()), value)
    times = {}
    for each in between:
        field, bounds = _split(each, "=", "timestamp=2023-06-30..2023-07-01")
        begin, end = _split(bounds, "..", "2023-06-30..2023-07-01")
        times[field] = (begin or None, end or None)
    matches = query_index(name, Query(text, values, times, features, top))  # type: ignore[arg-type]
    show(json.dumps([asdict(match) for match in matches]) if as_json else render_matches(matches))


def _split(text: str, mark: str, example: str) -> tuple[str, str]:
    before, found, after = text.partition(mark)
    if not found:
        raise click.BadParameter(f"{text!r}: write e.g. {example}")
    return before, after
