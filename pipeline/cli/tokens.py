"""`nightcap tokens`."""

import json
import re

import click


@click.command()
@click.argument("size", metavar="WxH")
@click.option("-m", "--model", "models", multiple=True, required=True, help="May be repeated.")
@click.option("--detail", default="high", show_default=True)
@click.option("--max-shrink", type=click.FloatRange(0, 1), default=0.25, help="What economy may take off a side.")
@click.option("--image-policy", "policies", multiple=True, metavar="budget:N", help="Show this policy too.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON: a list, one object a model.")
def tokens(
    size: str, models: tuple[str, ...], detail: str, max_shrink: float, policies: tuple[str, ...], as_json: bool
) -> None:
    """Show what one image costs in tokens, and which dimensions would be best for each policy."""
    from pipeline.clock import SystemClock, utc
    from pipeline.errors import UserError
    from pipeline.report.tokens import explain_tokens, render_tokens

    sides = re.fullmatch(r"(\d+)\s*[xX,]\s*(\d+)", size.strip())
    if not sides:
        raise UserError(f"{size!r} is not a size in pixels; write e.g. 4000x3000.")
    width, height = int(sides[1]), int(sides[2])
    today = utc(SystemClock().time()).date()
    reports = [explain_tokens(name, width, height, detail, today, max_shrink, policies) for name in models]
    if as_json:
        click.echo(json.dumps([report.to_dict() for report in reports]))
    else:
        click.echo("\n\n".join(render_tokens(report) for report in reports))
