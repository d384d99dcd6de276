"""Settings of this room."""

from dataclasses import dataclass

from pipeline.errors import ImageError, UserError

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How images are made ready to send."""

    jpeg_quality: int = 85
    pass_through: tuple[str, ...] = ("jpeg", "png", "webp", "gif")
    """Formats that the endpoint takes, so that an image that needs no change is sent byte for byte (never animated).
    The default is what OpenAI and Azure document; llama.cpp's server, for one, cannot read WebP."""
    max_pixels: int = 200_000_000
    """Larger images are not decoded (reason `bomb`): what the largest camera sensors give, 0.8 GB as a decoded frame.
    A JPEG takes a quarter to a 64th of that, because it is shrunk while it is decoded."""
    max_sent_bytes: int | None = None
    """No image is sent that takes more; None: what the provider takes (`nightcap models NAME` tells)."""

    def __post_init__(self) -> None:
        if self.max_sent_bytes is not None and self.max_sent_bytes < 1:
            raise UserError(f"max_sent_bytes is {self.max_sent_bytes}; give 1 or more.")


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that may be sent, and who says so."""

    most: int
    source: str


@dataclass(frozen=True, slots=True)
class SendBounds:
    """What an image must keep to, to be sent at all. None: no bound is known."""

    file_bytes: Bound | None = None
    side_px: Bound | None = None
    """The longer side."""
    may_shrink: bool = True
    """False: it is sent in its own dimensions or not at all; quality may be given up."""

    def take(self, data: bytes) -> bool:
        return self.file_bytes is None or len(data) <= self.file_bytes.most

    def within(self, size: Size) -> Size:
        """The same, or smaller where a side is too long."""
        longest, bound = max(size), self.side_px
        if bound is None or longest <= bound.most:
            return size
        if not self.may_shrink:
            raise ImageError(
                "too_large",
                f"A side of {longest} pixels is more than may be sent, {bound.most:,} ({bound.source}); choose an "
                "image policy that shrinks it.",
            )
        width, height = (max(1, side * bound.most // longest) for side in size)
        return width, height


NO_BOUNDS = SendBounds()
