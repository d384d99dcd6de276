"""Small pictures made in memory. Knows Pillow and numpy, nothing of ours."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

RED, GREEN, BLUE, WHITE = (230, 20, 20), (20, 200, 30), (20, 30, 220), (255, 255, 255)

_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def photo(width: int = 64, height: int = 48, grain: float = 0.0, seed: int = 0) -> Image.Image:
    """Soft colour gradients with some edges and, if asked, sensor-like noise of standard deviation `grain`."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / max(width - 1, 1), y / max(height - 1, 1)
    channels = [
        128 + 90 * np.sin(6 * x + k) * np.cos(5 * y - k) + 30 * ((x * 7 + y * 5 + k) % 1 > 0.5) for k in range(3)
    ]
    pixels = np.stack(channels, axis=-1)
    if grain:
        pixels += np.random.default_rng(seed).normal(0, grain, (height, width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green, blue and white corners, read from top left to bottom right: any turn shows."""
    image = Image.new("RGB", (width, height), WHITE)
    half_width, half_height = width // 2, height // 2
    image.paste(RED, (0, 0, half_width, half_height))
    image.paste(GREEN, (half_width, 0, width, half_height))
    image.paste(BLUE, (0, half_height, half_width, height))
    return image


def encoded(image: Image.Image, kind: str = "jpeg", **options: object) -> bytes:
    """`image` as a file of format `kind`; `options` go to Pillow's encoder."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    """The image file `data`, loaded, as stored."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def exif(orientation: int) -> bytes:
    """An EXIF block that says nothing else."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    """How a camera stores the picture that EXIF `orientation` makes upright."""
    return upright.transpose(_STORED[orientation]) if orientation in _STORED else upright


def animation(kind: str, frames: int = 3) -> bytes:
    """The quadrants, then plain frames."""
    first, *rest = [quadrants(), *(Image.new("RGB", (64, 48), (40 * i, 0, 0)) for i in range(1, frames))]
    return encoded(first, kind, save_all=True, append_images=rest, duration=100)


def display_p3_profile() -> bytes:
    """An ICC profile with the primaries of Display P3 and the tone curve of sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for entry in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        if (xyz := primaries.get(bytes(profile[entry : entry + 4]))) is not None:
            start = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
            struct.pack_into(">iii", profile, start, *(round(value * 65536) for value in xyz))
    return bytes(profile)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def psnr(a: Image.Image, b: Image.Image) -> float:
    """Peak signal-to-noise ratio of two images of one size, in dB over all channels."""
    difference = np.asarray(a.convert("RGB"), np.float64) - np.asarray(b.convert("RGB"), np.float64)
    error = float(np.mean(difference**2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
