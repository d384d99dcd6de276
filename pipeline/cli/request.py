"""`nightcap request`."""

import json
import os
from pathlib import Path
from typing import Any

import click

from pipeline.cli.common.options import model_options, read_job
from pipeline.cli.common.sections import SectionedCommand
from pipeline.cli.common.terminal import show_line


@click.command(cls=SectionedCommand)
@click.argument("sources", nargs=-1, required=True, metavar="IMAGE...|JOB.toml")
@model_options
@click.option("--as", "form", type=click.Choice(["json", "curl", "python"]), default="json", show_default=True)
@click.option(
    "--image-file", type=click.Path(path_type=Path), help="Where curl and python find the image as it is sent."
)
@click.option("--endpoint", help="Of several endpoints of a job file, by name; default: the first.")
@click.option("--limit", type=click.IntRange(min=1), default=1, help="The first N requests; default: 1.")
def request(
    sources: tuple[str, ...], form: str, image_file: Path | None, endpoint: str | None, limit: int, **options: Any
) -> None:
    """Print what would be sent for an image: JSON without the image's bytes, a curl command, or Python with openai.

    Sends nothing. Keys appear by the name of their variable only. The commands send the image as Nightcap would, shrunk
    and turned, from a file that is written beside you (NAME.sent.jpeg), or to --image-file. IMAGE is any source that
    `run` takes.
    """
    from pipeline.errors import UserError
    from pipeline.preview import preview

    if image_file and (limit > 1 or form == "json"):
        raise UserError("--image-file is the file of one image, for --as curl or --as python.")
    for found in preview(read_job(sources, options), os.environ, limit, endpoint):
        if form == "json":
            click.echo(json.dumps(found.to_dict(), indent=2))
            continue
        if image_file and len(found.images) > 1:
            raise UserError(f"--image-file is the file of one image, and {found.key} is {len(found.images)}.")
        files = [image_file] if image_file else [Path(name) for name in found.file_names]
        written = [_written(image.data, file) for image, file in zip(found.images, files, strict=False)]
        click.echo(found.to_curl(written) if form == "curl" else found.to_python(written))


def _written(image: bytes, file: Path) -> str:
    """Where the image is; nothing else is ever overwritten."""
    from pipeline.errors import UserError

    try:
        if file.exists() and file.read_bytes() != image:
            raise UserError(f"{file} exists and is something else; give another --image-file.")
        file.write_bytes(image)
    except OSError as error:
        raise UserError(
            f"The image cannot be written to {file}: {error.strerror}; give another --image-file."
        ) from None
    show_line(f"The image as it is sent is in {file}.", err=True)
    return str(file)
