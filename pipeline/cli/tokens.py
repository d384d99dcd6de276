"""`nightcap tokens`."""

import json
import re

import click


@click.command()
@click.argument("size", metavar="WxH")
@click.option("-m", "--model", "models", multiple=True, required=True, help="May be repeated.")
@click.option("--detail", default="high", show_default=True)
@click.option("--max-shrink", type=click.FloatRange(0, 1), default=0.25, help="What economy may take off a side.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def tokens(size: str, models: tuple[str, ...], detail: str, max_shrink: float, as_json: bool) -> None:
    """Show what one image costs in tokens, and which dimensions would be best for each policy."""
    from pipeline.report.tokens import explain_tokens, render_tokens

    sides = re.fullmatch(r"(\d+)\s*[xX,]\s*(\d+)", size.strip())
    if not sides:
        raise click.BadParameter(f"{size!r} is not a size; write e.g. 4000x3000", param_hint="WxH")
    explained = [explain_tokens(name, int(sides[1]), int(sides[2]), detail, max_shrink) for name in models]
    click.echo(json.dumps(explained) if as_json else "\n\n".join(render_tokens(e) for e in explained))
