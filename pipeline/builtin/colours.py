"""Names the main colours. Pure NumPy."""

import numpy as np
from numpy.typing import NDArray

PALETTE = {
    "black": (12, 12, 14),
    "dark grey": (68, 68, 70),
    "grey": (127, 127, 127),
    "light grey": (196, 196, 196),
    "white": (250, 250, 250),
    "red": (200, 35, 40),
    "dark red": (110, 22, 28),
    "pink": (238, 140, 170),
    "orange": (238, 128, 35),
    "brown": (112, 70, 40),
    "light brown": (165, 125, 88),
    "beige": (218, 198, 165),
    "yellow": (242, 214, 60),
    "olive": (118, 118, 48),
    "green": (55, 150, 60),
    "dark green": (28, 66, 34),
    "light green": (155, 215, 125),
    "turquoise": (50, 170, 170),
    "light blue": (150, 198, 236),
    "blue": (45, 100, 200),
    "dark blue": (22, 36, 92),
    "purple": (120, 60, 160),
}
"""sRGB examples of everyday colour words; a pixel takes the name of the nearest one, as `_feature` measures."""
SAMPLES_PER_SIDE = 64
LEAST_SHARE = 0.15
MOST_NAMES = 3
GREY_CHROMA = 8.0
"""Distance from the grey axis in L*a*b*; a picture is black-and-white when 98 % of it stays below."""
PLAIN_RANGE = 4.0
"""In L*a*b*: no eye sees a difference, and JPEG adds about 1."""


def sample(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """About 64 x 64 pixels on an even grid, as (n, 3) CIE L*a*b* under D65."""
    height, width, _ = pixels.shape
    rows = np.linspace(0, height - 1, min(height, SAMPLES_PER_SIDE)).round().astype(int)
    columns = np.linspace(0, width - 1, min(width, SAMPLES_PER_SIDE)).round().astype(int)
    return to_lab(pixels[np.ix_(rows, columns)].reshape(-1, 3))


def main_colours(lab: NDArray[np.float64]) -> tuple[str, ...]:
    """At most three names, each of at least 15 % of the picture, the most frequent first."""
    distances = ((_feature(lab)[:, None] - _PALETTE_FEATURES[None]) ** 2).sum(axis=2)
    shares = np.bincount(distances.argmin(axis=1), minlength=len(PALETTE)) / len(lab)
    names = list(PALETTE)
    order = sorted(range(len(names)), key=lambda index: -shares[index])
    return tuple(names[index] for index in order if shares[index] >= LEAST_SHARE)[:MOST_NAMES]


def is_grey(lab: NDArray[np.float64]) -> bool:
    """Whether the picture has no colour to speak of."""
    return float(np.quantile(np.hypot(lab[:, 1], lab[:, 2]), 0.98)) < GREY_CHROMA


def is_plain(lab: NDArray[np.float64]) -> bool:
    """Whether the picture is one colour all over, as an unused frame or a blank scan is."""
    return float((lab.max(axis=0) - lab.min(axis=0)).max()) < PLAIN_RANGE


def to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 3) sRGB to CIE L*a*b* under D65: IEC 61966-2-1 and CIE 15."""
    value = rgb / 255
    linear = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    xyz = linear @ _TO_XYZ
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def _feature(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hue before lightness, and strong chroma no further from muted than it looks: a dusty blue is blue, not grey."""
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    pull = 50 * np.tanh(chroma / 18) / np.maximum(chroma, 1e-9)
    return np.stack([0.6 * lab[:, 0], pull * lab[:, 1], pull * lab[:, 2]], axis=1)


_TO_XYZ = np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]]) / (0.9505, 1, 1.089)
_PALETTE_FEATURES = _feature(to_lab(np.array(list(PALETTE.values()), np.uint8)))
