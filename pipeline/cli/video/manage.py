"""`nightcap video index create`, `status` and `delete`."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline.cli.common.terminal import show, show_line

if TYPE_CHECKING:
    from pipeline.api.retrieval.values import Field


@click.command()
@click.argument("name")
@click.option("--feature", "features", multiple=True, type=click.Choice(["vision", "speech"]), help="Default: both.")
@click.option("--domain", type=click.Choice(["generic", "surveillance"]), help="Of the vision model.")
@click.option("--field", "fields", multiple=True, metavar="NAME[:datetime][:searchable]", help="Metadata of videos.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def create(name: str, features: tuple[str, ...], domain: str | None, fields: tuple[str, ...], as_json: bool) -> None:
    """Make an index. NAME: at most 24 letters and digits, with single hyphens between them, or a GUID."""
    from pipeline.api.retrieval.values import IndexSettings
    from pipeline.video_index import create_index

    settings = IndexSettings(
        features=features or IndexSettings().features,  # type: ignore[arg-type]
        domain=domain,  # type: ignore[arg-type]
        fields=tuple(map(_field, fields)),
    )
    made = create_index(name, settings)
    show_line(json.dumps(asdict(made)) if as_json else f"Index {made.name} is there, with {', '.join(made.features)}.")


@click.command()
@click.argument("name", required=False)
@click.option("--list", "as_list", is_flag=True, help="Print the documents as a list (.jsonl) that `run` takes.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(name: str | None, as_list: bool, as_json: bool) -> None:
    """Show the ingestions and documents of an index; without NAME, the indexes of the resource."""
    from pipeline.errors import UserError
    from pipeline.video_index import index_contents, list_indexes
    from pipeline.video_index.text import render_contents, render_indexes, to_list

    if name is None:
        if as_list:
            raise UserError("--list is for the documents of one index; name it.")
        indexes = list_indexes()
        show(json.dumps([asdict(index) for index in indexes]) if as_json else render_indexes(indexes))
        return
    contents = index_contents(name)
    if as_list:
        show("\n".join(map(json.dumps, to_list(contents))))
    else:
        show(json.dumps(contents.to_dict()) if as_json else render_contents(contents))


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete an index with all that was ingested into it, which was paid for. The videos stay where they are."""
    from pipeline.api.retrieval.names import check_index_name
    from pipeline.errors import UserError
    from pipeline.video_index import delete_index

    check_index_name(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"Deleting {name} cannot be undone; give --yes to do it without being asked.")
        click.confirm(f"Delete index {name}, and pay again for what would be ingested anew?", abort=True, err=True)
    delete_index(name)
    show_line(f"Index {name} is deleted.", err=True)


def _field(text: str) -> "Field":
    from pipeline.api.retrieval.values import Field

    name, *words = text.split(":")
    if not name or not set(words) <= {"string", "datetime", "searchable"}:
        raise click.BadParameter(f"{text!r}: write e.g. cameraId, timestamp:datetime or place:searchable")
    return Field(name, "datetime" if "datetime" in words else "string", searchable="searchable" in words)
