"""Which column says what; pure. What the user names counts; else the names that such files usually have."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.sources.options import SourceOptions

IMAGE_COLUMNS = (
    "path", "uri", "url", "image", "file_name",
    "filename", "filepath", "file_path", "file", "image_path", "image_url", "image_uri", "img",
)  # fmt: skip
"""What the column of paths or URLs is usually called; the first that there is counts."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that mean something to us; the others are the image's metadata."""

    image: str
    key: str | None = None
    prompt: str | None = None
    version: str | None = None

    def is_metadata(self, column: str) -> bool:
        return column not in (self.image, self.key, self.prompt, self.version)


def find_columns(columns: Sequence[str], options: SourceOptions, name: str, image: str | None = None) -> Columns:
    """The columns of the listing `name`. `image`: the one that holds the images themselves, where there is such a one.

    Raises UserError for one that is not there, naming those that are.
    """
    for option in ("image_column", "key_column", "prompt_column", "version_column"):
        wanted = getattr(options, option)
        if wanted is not None and wanted not in columns:
            raise UserError(f"{name} has no column {wanted!r}, which {option} names; it has {_named(columns)}.")
    image = options.image_column or image or _usual(columns)
    if image is None:
        raise UserError(
            f"{name} has no column called {', '.join(IMAGE_COLUMNS[:4])} or {IMAGE_COLUMNS[4]}; "
            f"it has {_named(columns)}: say which names the image by --image-column."
        )
    return Columns(image, options.key_column, options.prompt_column, options.version_column)


def _usual(columns: Sequence[str]) -> str | None:
    by_lower = {column.lower(): column for column in reversed(columns)}
    return next((by_lower[usual] for usual in IMAGE_COLUMNS if usual in by_lower), None)


def _named(columns: Sequence[str]) -> str:
    shown = ", ".join(map(repr, columns[:20]))
    return shown + (" and more" if len(columns) > 20 else "") if columns else "none"
