"""`nightcap tokens`."""

import json
import re
from typing import Any

import click

SERVICES = ("ocr", "grounding", "video_query")


@click.command()
@click.argument("size", metavar="WxH")
@click.option("-m", "--model", "models", multiple=True, required=True, help="May be repeated.")
@click.option("--detail", default="high", show_default=True)
@click.option("--max-shrink", type=click.FloatRange(0, 1), default=0.25, help="What economy may take off a side.")
@click.option("--image-policy", "policies", multiple=True, metavar="budget:N", help="Show this policy too.")
@click.option("--images", type=click.IntRange(min=1), default=1, help="Images of this size in a request.")
@click.option("--text-tokens", type=click.IntRange(min=0), default=0, help="Of the prompt, beside the images.")
@click.option("--answer-tokens", type=click.IntRange(min=0), default=0, help="Of the answer.")
@click.option("--service", "services", multiple=True, type=click.Choice(SERVICES), help="Add its fee.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON: a list, one object a model.")
def tokens(
    size: str,
    models: tuple[str, ...],
    detail: str,
    max_shrink: float,
    policies: tuple[str, ...],
    as_json: bool,
    **shape: Any,
) -> None:
    """Show what one image costs in tokens, which dimensions would be best, and what a whole request costs."""
    from pipeline.clock import SystemClock, utc
    from pipeline.errors import UserError
    from pipeline.report.tokens import RequestShape, explain_tokens, render_tokens

    sides = re.fullmatch(r"(\d+)\s*[xX,]\s*(\d+)", size.strip())
    if not sides:
        raise UserError(f"{size!r} is not a size in pixels; write e.g. 4000x3000.")
    width, height = int(sides[1]), int(sides[2])
    today = utc(SystemClock().time()).date()
    asked = RequestShape(**shape)
    reports = [explain_tokens(name, width, height, detail, today, max_shrink, policies, asked) for name in models]
    if as_json:
        click.echo(json.dumps([report.to_dict() for report in reports]))
    else:
        click.echo("\n\n".join(render_tokens(report) for report in reports))
