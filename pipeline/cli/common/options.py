"""Options that several commands share. Each has the name of the job's flat option that it overlays."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.common.sections import SectionOption
from pipeline.presets import PRESETS

if TYPE_CHECKING:
    from pipeline.job import Job


def comma_separated(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """`a,b` as a tuple."""
    return tuple(word.strip() for word in (value or "").split(",") if word.strip())


WAYS = ["auto", "azure-openai", "image-analysis", "rapidocr"]

_model, _question, _pictures, _videos, _images, _limits = (
    partial(click.option, cls=SectionOption, section=name)
    for name in ("Model", "Question", "Pictures sent", "Videos", "Which images", "Limits")
)

_MODEL = _model("-m", "--model", help="provider:model, e.g. openai:gpt-4o, azure:DEPLOYMENT, compatible:NAME.")
_REQUEST = (
    _model("--azure-model", help="The model behind an Azure deployment."),
    _model("--base-url", help="Address of an OpenAI-compatible endpoint."),
    _model("--api-version", help="Azure api-version; without one the undated /openai/v1/ form is used."),
    _question("--prompt", help="What to ask about each image; {column} is filled in from a listing."),
    _question("--system", help="System prompt."),
    _question("--preset", type=click.Choice(PRESETS), help="A ready-made question, which other options overlay."),
    _question("--schema", help="Typed answers: FILE.json with a JSON Schema, or MODULE:MODEL of pydantic."),
    _question("--max-tokens", type=click.IntRange(min=1), help="Upper bound of an answer."),
    _question("--temperature", type=click.FloatRange(0, 2), help="0 to 2; default: the model's own."),
    _question("--pack", type=click.IntRange(min=1), help="Ask about N images in one request, an answer for each."),
    _question("--group-by", help="Ask about several images at once: folder, column:NAME or pattern:(.+)_[0-9]+.jpg."),
    _question("--enhance", callback=comma_separated, help="Find ocr,grounding first, tell the model and the row."),
    _question("--enhance-with", type=click.Choice(WAYS), help="Who finds; default: the first of them that is set up."),
    _pictures("--detail", help="high (default; of frames: low), low, auto or original."),
    _pictures("--image-policy", help="optimal (default), economy, budget:N or original."),
    _pictures("--max-shrink", type=click.FloatRange(0, 1), help="What economy may take off a side (0.25)."),
    _pictures("--send", type=click.Choice(["bytes", "url"]), help="url: the model fetches images at web addresses."),
    _videos("--video", is_flag=True, help="Videos too, by their frames; those that SOURCE names need no flag."),
    _videos("--frames", type=click.IntRange(min=1), help="Of a video, sent in one request; default: 20."),
    _videos("--frames-at", type=click.Choice(["even", "scenes"]), help="even: spread over the video (default)."),
    _videos("--video-index", metavar="NAME", help="Sources are videos of this Azure AI Vision index."),
    _videos(
        "--video-access",
        type=click.Choice(["auto", "vision", "vision-endpoint", "ai-services", "managed-identity"]),
        help="How the model's service gets at the index; see the README.",
    ),
    _images("--include", multiple=True, help="Only files that match this glob; may be repeated."),
    _images("--exclude", multiple=True, help="No files or folders that match this glob; may be repeated."),
    _images("--allow-private-network", is_flag=True, help="URLs may lead to machines that are not public."),
    _images("--image-column", help="Of a listing file: the column of paths, URLs or images."),
    _images("--key-column", help="Of a listing file: the column that names each image for ever."),
    _images("--prompt-column", help="Of a listing file: the column with the image's own prompt."),
    _images("--version-column", help="Of a listing file: the column that changes with the image, e.g. an etag."),
)
_LIMITS = (
    _limits("--rpm", type=click.FloatRange(min=0, min_open=True), help="Requests per minute of the account."),
    _limits("--tpm", type=click.FloatRange(min=0, min_open=True), help="Tokens per minute of the account."),
    _limits("--concurrency", type=click.IntRange(min=1), help="Requests in flight at most; default: adaptive."),
    _limits(
        "--vision-rpm", type=click.FloatRange(min=0, min_open=True), help="Images a minute of Image Analysis (1200)."
    ),
    _limits("--fetchers", type=click.IntRange(min=1), help="Remote files on their way at once; default: 32."),
)

max_cost_option = _limits(
    "--max-cost", type=click.FloatRange(min=0, min_open=True), help="Spend at most so many USD in this run (exit 4)."
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which model is asked what about which images."""
    return _decorate(command, (_MODEL, *_REQUEST))


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same without the model, for a command that takes several."""
    return _decorate(command, _REQUEST)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How fast it may be asked."""
    return _decorate(command, _LIMITS)


def _decorate(command: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def read_job(sources: tuple[str, ...], options: dict[str, Any]) -> "Job":
    """The job of a command line: `JOB.toml` or sources, with the options given overlaid. Empty options say nothing."""
    from pipeline.api.endpoint import with_deployment
    from pipeline.errors import UserError
    from pipeline.job import Job

    if options.get("model"):
        options = {**options, "model": with_deployment(options["model"], os.environ)}
    # By identity: 0 equals False, and a limit or a temperature of 0 says a lot.
    given = {name: value for name, value in options.items() if value is not None and value is not False and value != ()}
    job_files = [source for source in sources if Path(source).suffix == ".toml"]
    if not job_files:
        return Job().overlay(paths=sources, **given)
    if len(sources) > 1:
        raise UserError(f"{job_files[0]} is a job file and names its own sources; give it alone.")
    return Job.load(job_files[0]).overlay(**given)
