"""`nightcap video`: what concerns videos beside `run`, which captions them."""

import click

from pipeline.cli.video.ingest import ingest
from pipeline.cli.video.manage import create, delete, status
from pipeline.cli.video.query import query


@click.group()
def video() -> None:
    """Video indexes of Azure AI Vision. Video files are captioned by `nightcap run --video`."""


@video.group()
def index() -> None:
    """Make video indexes, fill them, search them.

    The resource comes from VISION_ENDPOINT and VISION_KEY; without a key, tokens of Entra ID are shown (extra azure).
    `nightcap run --video-index NAME` captions the videos of an index.
    """


for command in (create, ingest, status, query, delete):
    index.add_command(command)
