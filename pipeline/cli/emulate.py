"""`nightcap emulate`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.emulator.app import Running
    from pipeline.emulator.stats import Stats

_POSITIVE = click.FloatRange(min=0, min_open=True)
_NOT_NEGATIVE = click.FloatRange(min=0)


def _list_faults(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from pipeline.emulator.faults import FAULTS, LASTING

        for name, meaning in FAULTS.items():
            click.echo(f"{name:<34}{meaning}{' (each time the image is asked)' if name in LASTING else ''}")
        context.exit()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any free port.")
@click.option("--provider", type=click.Choice(["both", "openai", "azure"]), default="both", show_default=True)
@click.option("--model", help="Answer as this model whatever a request names.")
@click.option("--deployment", "deployments", multiple=True, metavar="NAME=MODEL", help="Azure: no others exist then.")
@click.option("--rpm", type=_POSITIVE, help="Requests per minute, of each model or deployment; above them 429.")
@click.option("--tpm", type=_POSITIVE, help="Tokens per minute; above them 429.")
@click.option("--request-window", type=_POSITIVE, default=60.0, help="Also hold --rpm over so many seconds (10, 1).")
@click.option("--token-window", type=_POSITIVE, default=60.0, help="Also hold --tpm over so many seconds.")
@click.option("--latency", type=_NOT_NEGATIVE, default=0.0, help="Seconds to the first token, as a median.")
@click.option("--token-latency", type=_NOT_NEGATIVE, default=0.0, help="Seconds for each further token.")
@click.option("--latency-sigma", type=_NOT_NEGATIVE, default=0.0, help="Spread of the latency (log-normal), e.g. 0.35.")
@click.option("--caption-tokens", type=click.IntRange(min=0), default=0, help="Fill answers up to about so many.")
@click.option("--reasoning-tokens", type=click.IntRange(min=0), default=0, help="What reasoning models spend first.")
@click.option("--rate", multiple=True, metavar="FAULT=SHARE", help="e.g. overloaded=0.02; may be repeated.")
@click.option("--entra-seconds", type=_POSITIVE, help="Azure takes no keys but tokens that live so long.")
@click.option("--vision-rpm", type=_POSITIVE, help="Images a minute that its Image Analysis looks at.")
@click.option("--ingestion-seconds", type=_NOT_NEGATIVE, default=0.0, help="What an ingestion of videos takes.")
@click.option("--scenario", type=click.Path(path_type=Path), help="TOML: further endpoints, and faults at set times.")
@click.option("--seed", default=0, help="Of latencies and faults.")
@click.option("--time-scale", type=_POSITIVE, default=1.0, help="How much faster its clock goes.")
@click.option("--decode", is_flag=True, help="Decode every image fully.")
@click.option(
    "--faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults, help="List all faults."
)
def emulate(rate: tuple[str, ...], deployments: tuple[str, ...], scenario: Path | None, **options: Any) -> None:
    """Serve a local endpoint that behaves like OpenAI or Azure, to try a job without money; Ctrl-C ends it.

    It reads the images, bills the tokens that the named model would, keeps limits as the provider does and makes
    faults to order. GET /stats tells what it was asked, POST /reset forgets it. With a key in NIGHTCAP_EMULATOR_KEY it
    refuses any other; with --entra-seconds it is a managed identity too, for a client that is given
    IDENTITY_ENDPOINT=http://127.0.0.1:8000/identity/token and IDENTITY_HEADER=any. `nightcap run --rehearse` does all
    but that for a job by itself.

    A scenario file has [[endpoint]] tables (a name, and any of the options below as keys: rpm = 300), which answer
    under /NAME/v1 and /NAME/openai, and [[step]] tables: fault, and where it strikes: endpoint, requests = [1, 20],
    seconds = [60, 90], image = "ab12" (as captions show), attempts = 1, rate = 0.5, retry_after = 2.
    """
    from pipeline.emulator.app import serve
    from pipeline.emulator.options import EmulatorOptions
    from pipeline.emulator.scenario import load_scenario

    rates = {name: _share(name, share) for name, _, share in (text.partition("=") for text in rate)}
    models = dict(_deployment(text) for text in deployments)
    key = os.environ.get("NIGHTCAP_EMULATOR_KEY") or None
    emulator = EmulatorOptions(rates=rates, deployments=models, api_key=key, **options)
    if scenario:
        emulator = load_scenario(scenario).applied_to(emulator)
    stats = serve(emulator, lambda running: click.echo("\n".join(_where(running, emulator.endpoints)), err=True))
    if stats:
        click.echo(_told(stats), err=True)


def _where(running: "Running", endpoints: Iterable[str]) -> Iterable[str]:
    provider = running.service.options.provider
    yield f"Listening on {running.endpoint}; counters: {running.endpoint}/stats; Ctrl-C ends it."
    for name in ("", *endpoints):
        root = f"{running.endpoint}/{name}".rstrip("/")
        if provider != "azure":
            yield f"  {name:<12} --base-url {root}/v1"
        if provider != "openai":
            yield f"  {name:<12} AZURE_OPENAI_ENDPOINT={root}"
    if provider != "openai":
        yield f"  {'':<12} VISION_ENDPOINT={running.endpoint}"


def _told(stats: "Stats") -> str:
    refused, faults = stats.rate_limited.total(), stats.faults.total()
    tokens = stats.prompt_tokens + stats.completion_tokens
    return (
        f"Answered {stats.answered:,} of {stats.requests:,} requests: {refused:,} above a limit, {faults:,} with a "
        f"fault, {stats.abandoned:,} left by the client; {tokens:,} tokens."
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
