"""Colour: whatever mode an image was stored in, to what a viewer shows: 8 bits of grey or sRGB on a white ground."""

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

_WHITE = (255, 255, 255)
_SRGB = ImageCms.createProfile("sRGB")
_PROFILE_BYTES_MAX = 8_000_000
"""Larger ones are ignored; those of printing presses, the largest, have 3 MB."""
_VISIBLE = 8
"""Levels of 255 by which a profile must change some colour to be worth applying; sRGB's many variants stay below."""


def resizable(image: Image.Image) -> Image.Image:
    """`image` in a mode whose pixels can be averaged: L, RGB, RGBA, CMYK (or LAB, which Pillow alone resizes)."""
    mode = image.mode
    if mode in ("P", "1", "L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")
    if mode in ("L", "RGB", "RGBA", "CMYK", "LAB"):
        return image
    if mode.startswith("I;16"):
        words = image if mode == "I;16" else image.convert("I")  # Pillow computes with this machine's byte order alone
        return _scaled_to_8_bits(words, 0, 65535)  # `convert` would clip at 255: all white
    if mode in ("I", "F"):
        # 32-bit integers and floats name no white point: stretch what is there.
        darkest, brightest = image.getextrema()
        return _scaled_to_8_bits(image, float(darkest), float(brightest))  # type: ignore[arg-type]
    if mode in ("LA", "La", "PA", "RGBa"):
        return image.convert("RGBA")
    return image.convert("L" if mode == "1" else "RGB")


def keeps_its_colours(image: Image.Image) -> bool:
    """Whether a palette or black-and-white image can stay one, as long as it is not resampled."""
    if image.mode == "1":
        return "transparency" not in image.info
    return image.mode == "P" and not needs_conversion(image.info.get("icc_profile"))


def flattened(image: Image.Image) -> Image.Image:
    """`image` on white where it is transparent; a palette stays a palette."""
    if image.mode == "P" and "transparency" in image.info:
        image.apply_transparency()
        colours = image.getpalette("RGBA") or []
        # Of each four numbers the last is the opacity, which `| 3` finds from any of the others.
        blended = [round(255 + (value - 255) * colours[i | 3] / 255) for i, value in enumerate(colours) if i % 4 != 3]
        image.putpalette(blended)
        return image
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, _WHITE)
        ground.paste(image, mask=image.getchannel("A"))
        return ground
    return image


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """L and palette images as they are, the rest as sRGB by the embedded ICC `profile`; a broken profile is ignored.

    Grey profiles shift the tone only, which changes no caption.
    """
    if image.mode in ("L", "1", "P"):
        return image
    transform = _usable_transform(profile, image.mode)
    if transform is not None:
        return transform.apply(image)
    if image.mode == "LAB":
        return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _SRGB, "LAB", "RGB").apply(image)
    return image.convert("RGB")


def needs_conversion(profile: object) -> bool:
    """Whether an RGB image with this embedded profile would look different in sRGB."""
    return _usable_transform(profile, "RGB") is not None


def _usable_transform(profile: object, mode: str) -> ImageCms.ImageCmsTransform | None:
    if not isinstance(profile, bytes) or len(profile) > _PROFILE_BYTES_MAX:  # a TIFF may hold anything there
        return None
    return _transform(profile, mode)


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From `profile` to sRGB; None when it is broken, not for this mode, or changes nothing that can be seen.

    Building takes 3 ms, and a collection has few different profiles. Applying takes 15 ms at 1024x768 (decoding the
    12-megapixel original takes 40), so it is done after the resize, and not for sRGB in its many spellings.
    """
    try:
        # Without lcms's one-pixel cache, which is what makes a shared transform unsafe in threads.
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, mode, "RGB", flags=ImageCms.Flags.NOCACHE
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    if mode == "RGB":
        samples = _colour_samples()
        change = ImageChops.difference(samples, transform.apply(samples)).getextrema()
        if max(high for _, high in change) <= _VISIBLE:  # type: ignore[misc]
            return None
    return transform


def _colour_samples() -> Image.Image:
    """A strip of 125 colours, five levels of each channel."""
    levels = (0, 64, 128, 192, 255)
    return Image.frombytes("RGB", (125, 1), bytes(v for r in levels for g in levels for b in levels for v in (r, g, b)))


def _scaled_to_8_bits(image: Image.Image, black: float, white: float) -> Image.Image:
    scale = 255 / (white - black) if white > black else 0.0
    return image.point(lambda value: value * scale - black * scale).convert("L")
