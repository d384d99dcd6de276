"""Settings of this room."""

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.sources.groups.by import parse_group_by


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Which images there are."""

    paths: tuple[str, ...] = ()
    """Folders, globs, buckets, URLs, lists, archives; see the README. Several: each key begins with its source's name,
    or with NAME where it is written `NAME=SOURCE`."""
    include: tuple[str, ...] = ()
    """Globs that a file must match; none: the usual suffixes of images. See `globs` for what a glob may say."""
    exclude: tuple[str, ...] = ()
    """Globs of files and folders to leave out."""
    hidden: bool = False
    """Also files and folders whose name begins with a dot."""
    image_column: str | None = None
    """Of a listing file: the column of paths, URLs or images; None: by its usual names."""
    key_column: str | None = None
    """The column that is the key; None: the path, or the URL without its query."""
    prompt_column: str | None = None
    """The column of the image's own prompt; where it is empty, the job's counts."""
    version_column: str | None = None
    """The column that changes with the image, such as an etag; None: size and time of local files, nothing of URLs."""
    group_by: str | None = None
    """Images that are asked about together, with one row: `folder`, `column:NAME` of a listing, or `pattern:REGEX` of
    which the part in parentheses is what their keys have in common. An image without a group is asked about alone."""
    video: bool = False
    """Videos too: captioned by their frames. Without it only those that a path or a glob names by their suffix."""
    max_bytes: int = 200_000_000
    """Larger files are not read (reason `too_large`). A 16-bit TIFF of 24 megapixels has 150 MB."""
    max_video_bytes: int = 2_000_000_000
    """Larger videos are not read. One that is far away is fetched into a temporary file; one inside an archive is read
    into memory, so that `max_bytes` counts."""
    url_timeout_seconds: float = 60.0
    """For one image at a web address, redirects included; a video has ten times as long."""
    allow_private_network: bool = False
    """Whether URLs may lead to machines of private networks, this one included."""

    def __post_init__(self) -> None:
        if self.group_by is not None:
            parse_group_by(self.group_by)
        if not 0 < self.url_timeout_seconds < float("inf"):
            raise UserError(f"url_timeout_seconds is {self.url_timeout_seconds}; give a number above 0.")
