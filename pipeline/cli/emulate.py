"""`nightcap emulate`."""

import os
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, help="0 takes any free port.")
@click.option("--provider", type=click.Choice(["both", "openai", "azure"]), default="both", show_default=True)
@click.option("--model", help="Answer as this model whatever a request names.")
@click.option("--deployment", "deployments", multiple=True, metavar="NAME=MODEL", help="Azure: no others exist then.")
@click.option(
    "--caption-tokens", type=click.IntRange(min=0), default=0, help="Fill answers up to about so many tokens."
)
@click.option("--reasoning-tokens", type=click.IntRange(min=0), default=0, help="What reasoning models spend first.")
@click.option("--rpm", type=click.IntRange(min=1), help="Requests per minute; above them 429.")
@click.option("--tpm", type=click.IntRange(min=1), help="Tokens per minute; above them 429.")
@click.option("--request-window", type=float, default=60.0, help="Enforce --rpm over so many seconds (Azure: 10 or 1).")
@click.option("--token-window", type=float, default=60.0, help="Enforce --tpm over so many seconds.")
@click.option("--latency", type=float, default=0.0, help="Seconds to the first token.")
@click.option("--token-latency", type=float, default=0.0, help="Seconds for each further token.")
@click.option("--latency-sigma", type=float, default=0.0, help="Spread of the latency (log-normal), e.g. 0.35.")
@click.option("--rate", multiple=True, metavar="FAULT=SHARE", help="e.g. overloaded=0.02; may be repeated.")
@click.option("--scenario", type=click.Path(path_type=Path), help="A file of faults at set times or requests.")
@click.option("--seed", default=0, help="Of latencies and faults.")
@click.option("--time-scale", type=float, default=1.0, help="How much faster its clock goes.")
@click.option("--decode", is_flag=True, help="Decode every image fully.")
def emulate(rate: tuple[str, ...], deployments: tuple[str, ...], scenario: Path | None, **options: Any) -> None:
    """Serve a local endpoint that behaves like OpenAI or Azure, to rehearse a job without money.

    Point a job at it with --base-url http://127.0.0.1:8000/v1. GET /stats tells what it was asked. With a key in
    NIGHTCAP_EMULATOR_KEY it refuses any other.
    """
    from pipeline.emulator.app import serve
    from pipeline.emulator.faults import load_scenario
    from pipeline.emulator.options import EmulatorOptions

    rates = {name: _share(name, share) for name, _, share in (text.partition("=") for text in rate)}
    steps = load_scenario(scenario) if scenario else ()
    models = dict(_deployment(text) for text in deployments)
    key = os.environ.get("NIGHTCAP_EMULATOR_KEY") or None
    serve(
        EmulatorOptions(rates=rates, scenario=steps, deployments=models, api_key=key, **options),
        lambda running: click.echo(f"Listening: --base-url {running.base_url}", err=True),
    )


def _deployment(text: str) -> tuple[str, str]:
    name, _, model = text.partition("=")
    if not (name and model):
        raise click.BadParameter(f"{text!r}: name the model behind the deployment, e.g. captions=gpt-4o")
    return name, model


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{name}={text}: give a share, e.g. {name}=0.02") from None
