"""`nightcap video index ingest`."""

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.common.terminal import show, show_line


@click.command()
@click.argument("name")
@click.argument("sources", nargs=-1, required=True, metavar="VIDEO...")
@click.option("--managed-identity", is_flag=True, help="The service reads the blobs in its own name, unsigned.")
@click.option(
    "--wait",
    "wait_minutes",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    help="Minutes to wait for the service.",
)
@click.option(
    "--poll",
    "poll_seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--include", multiple=True, help="Only blobs that match this glob; may be repeated.")
@click.option("--image-column", help="Of a listing: the column of the videos' addresses.")
@click.option("--dry-run", is_flag=True, help="Say which videos, and what it would cost; ask nobody.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def ingest(
    name: str,
    sources: tuple[str, ...],
    managed_identity: bool,
    wait_minutes: float,
    poll_seconds: float,
    dry_run: bool,
    as_json: bool,
    **listing: Any,
) -> None:
    """Put videos into an index, those that are not there yet, and wait for it. $0.05 for each minute of them.

    VIDEO is an address with its signature, az://CONTAINER/PREFIX, a container's https:// address with a signature, or
    a listing of such; its column acv_document_id names the documents, else they are named after their addresses.
    Columns that the index has as fields become metadata. Ctrl-C leaves the service at work; started again, the
    command waits for the same ingestions.

    Exit codes: 0 all are in the index; 1 some could not be read; 4 the wait was over before; 130 interrupted.
    """
    import os

    from pipeline.api.retrieval.names import check_index_name
    from pipeline.clock import SystemClock, utc
    from pipeline.progress import open_ingestion
    from pipeline.sources import SourceOptions
    from pipeline.video_index import IngestOptions
    from pipeline.video_index import ingest as ingest_videos
    from pipeline.video_index.ingesting import videos_in
    from pipeline.video_index.text import render_ingested, render_price

    options = IngestOptions(
        check_index_name(name), managed_identity, wait_seconds=60 * wait_minutes, poll_seconds=poll_seconds
    )
    today = utc(SystemClock().time()).date()
    source = SourceOptions(paths=sources, **{key: value for key, value in listing.items() if value})
    if dry_run:
        videos = videos_in(source, os.environ, options)
        lengths = [video.duration for video in videos if video.duration is not None]
        show("\n".join(f"{video.id}  {video.url.partition('?')[0]}" for video in videos))
        show_line(render_price(len(videos), lengths, today), err=True)
        return
    try:
        with open_ingestion() as observer:
            done = ingest_videos(source, options, observer=observer)
    except KeyboardInterrupt:
        show_line(f"The service goes on; `nightcap video index status {name}` shows how far it is.", err=True)
        sys.exit(130)
    show(json.dumps(asdict(done)) if as_json else render_ingested(done, today))
    sys.exit(done.exit_code)
