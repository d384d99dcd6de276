"""Makes `sample_data/` from the photographs in scikit-image's wheel: python tests/helpers/make_sample_data.py

Writes the same bytes each time with the same Pillow. Origins and licences are in sample_data/LICENSES.md.
"""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

ROTATED = 6
"""EXIF: the camera was held upright, turned a quarter against the clock."""


def make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    astronaut, cat, coffee, horse = (_original(name) for name in ("astronaut", "chelsea", "coffee", "horse"))
    photographer, rocket, stars = (_original(name) for name in ("camera", "rocket", "hubble_deep_field"))

    astronaut.save(folder / "astronaut.jpg", quality=85)
    cat.save(folder / "cat.webp", quality=80)
    coffee.resize((2400, 1600), Image.Resampling.BICUBIC).save(folder / "coffee-large.jpg", quality=80)
    rocket.convert("CMYK").save(folder / "rocket-cmyk.jpg", quality=85)
    stars.crop((0, 300, 1000, 580)).resize((3000, 840)).save(folder / "stars-panorama.jpg", quality=75)

    exif = Image.Exif()
    exif[0x0112] = ROTATED
    coffee.transpose(Image.Transpose.ROTATE_90).save(folder / "coffee-rotated.jpg", quality=85, exif=exif)

    small_cat = cat.resize((300, 200))
    shape = Image.new("L", small_cat.size)
    ImageDraw.Draw(shape).ellipse((40, 5, 290, 195), fill=255)
    small_cat.putalpha(shape.filter(ImageFilter.GaussianBlur(3)))
    small_cat.save(folder / "cat-cut-out.png", optimize=True)

    silhouette = horse.convert("L").quantize(4)
    lightest = max(range(4), key=lambda index: silhouette.getpalette()[3 * index])  # type: ignore[index]
    silhouette.save(folder / "horse.png", transparency=lightest, optimize=True)
    horse.convert("L").resize((16, 16)).quantize(4).save(folder / "horse-tiny.png", optimize=True)

    grey = np.asarray(photographer.resize((256, 256)), np.uint16) * 257
    Image.fromarray(grey).save(folder / "photographer-16-bit.png", optimize=True)

    frames = [rocket.crop((n * 40, n * 27, 640 - n * 40, 427 - n * 27)).resize((240, 160)) for n in range(4)]
    frames[0].save(folder / "rocket-animated.gif", save_all=True, append_images=frames[1:], duration=300, loop=0)

    whole = folder / "rocket-truncated.jpg"
    rocket.save(whole, quality=85)
    whole.write_bytes(whole.read_bytes()[:30_000])


def _original(name: str) -> Image.Image:
    package = importlib.util.find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("The photographs come with scikit-image: pip install scikit-image")
    (path,) = (Path(package.submodule_search_locations[0]) / "data").glob(f"{name}.*")
    image = Image.open(path)
    image.load()
    image.info.clear()
    return image


if __name__ == "__main__":
    make(Path(__file__).parents[2] / "sample_data")
