"""`nightcap draw`."""

from pathlib import Path

import click

from pipeline.cli.common.terminal import show, show_line


@click.command()
@click.argument("out")
@click.argument("key")
@click.option("-o", "--picture", type=click.Path(path_type=Path), required=True, help="PNG to write.")
@click.option("--image", type=click.Path(path_type=Path), help="The image, where the row does not lead to it.")
@click.option("--replace", is_flag=True, help="Write over a file that is there.")
def draw(out: str, key: str, picture: Path, image: Path | None, replace: bool) -> None:
    """Draw what was found in an image (column grounding) on it: numbered places, and on stdout what they are.

    OUT is an output, KEY the key of a row that was made with --enhance.
    """
    from pipeline.errors import UserError
    from pipeline.report.draw import draw_row

    if picture.exists() and not replace:
        raise UserError(f"{picture} exists; give another name, or --replace.")
    try:
        drawing = draw_row(out, key, image.read_bytes() if image else None)
        picture.write_bytes(drawing.png)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}.") from None
    show("\n".join(drawing.legend))
    show_line(f"The picture is in {picture}.", err=True)
