"""Settings of this room."""

from dataclasses import dataclass


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
    max_sent_bytes: int = 20_000_000
    """Larger files are not passed through; OpenAI and Azure refuse more than 20 MB an image."""
