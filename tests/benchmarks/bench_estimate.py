"""How fast a listing is priced: `python tests/benchmarks/bench_estimate.py [IMAGES]`.

The whole of `estimate` (list, read headers with orientation, count for the eight models of the comparison) on 100,000
small JPEGs, hard links to a few files, on one core with a warm cache. Beside it the same files walked, opened and their
size read: with Pillow, with Pillow and the orientation that a true size needs, and with imagesize (with and without).
Methods take turns. Rates are images per second of CPU time, because the clock on the wall also counts the neighbours.

Then the same for files that all differ in size, and the command with everything it loads, by the clock on the wall.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import imagesize
from PIL import Image

from pipeline import Job, estimate
from tests.helpers.pictures import encoded, exif, photo

ROUNDS = 3
FOLDER_IMAGES = 1000
SIZES = [(640, 480), (480, 640), (512, 384), (800, 600), (320, 240), (640, 427), (427, 640), (600, 400)]


def write_links(root: Path, count: int) -> None:
    """Links to eight photographs of 20 to 110 KB, half of them with EXIF."""
    sources = []
    for number, (width, height) in enumerate(SIZES):
        options = {"exif": exif(6)} if number % 2 else {}
        sources.append(root.parent / f"{number}.jpg")
        sources[-1].write_bytes(encoded(photo(width, height, grain=6, seed=number), quality=85, **options))
    for number in range(count):
        folder = root / f"{number // FOLDER_IMAGES:03}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(sources[number % len(sources)], folder / f"{number:06}.jpg")


def write_sizes(root: Path, count: int) -> None:
    """Small files that each claim another size."""
    root.mkdir()
    data = bytearray(encoded(photo(64, 48)))
    frame = data.index(b"\xff\xc0") + 5
    for number in range(count):
        data[frame : frame + 4] = (100 + number % 397).to_bytes(2) + (100 + number // 397).to_bytes(2)
        (root / f"{number:06}.jpg").write_bytes(data)


def walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            yield os.path.join(folder, name)


def by_estimate(root: Path) -> int:
    return estimate(Job().overlay(paths=[str(root)])).models[0].images


def by_pillow(root: Path) -> int:
    count = 0
    for path in walk(root):
        with Image.open(path) as image:
            count += image.size[0] > 0
    return count


def by_pillow_upright(root: Path) -> int:
    count = 0
    for path in walk(root):
        with Image.open(path) as image:
            width, height = image.size
            if image.getexif().get(0x0112, 1) >= 5:
                width, height = height, width
            count += width > 0
    return count


def by_imagesize(root: Path) -> int:
    return sum(imagesize.get(path)[0] > 0 for path in walk(root))


def by_imagesize_upright(root: Path) -> int:
    return sum(imagesize.get(path, exif_rotation=True)[0] > 0 for path in walk(root))


METHODS: dict[str, Callable[[Path], int]] = {
    "estimate": by_estimate,
    "Pillow Image.open": by_pillow,
    "Pillow Image.open and orientation": by_pillow_upright,
    "imagesize": by_imagesize,
    "imagesize with orientation": by_imagesize_upright,
}


def compare(root: Path, count: int, methods: dict[str, Callable[[Path], int]], rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    walls: dict[str, list[float]] = {name: [] for name in methods}
    by_estimate(root)  # warms the cache, loads vocabulary and prices
    for _ in range(rounds):
        for name, method in methods.items():
            cpu, wall = time.process_time(), time.perf_counter()
            assert method(root) == count
            seconds[name].append(time.process_time() - cpu)
            walls[name].append(time.perf_counter() - wall)
    for name in methods:
        ratio = statistics.median(other / own for other, own in zip(seconds[name], seconds["estimate"], strict=True))
        best = min(seconds[name])
        print(
            f"  {name:<34} {count / best:>8,.0f} /s  {best / count * 1e6:>5.1f} us an image  {ratio:>5.2f} times"
            f"   (wall {count / min(walls[name]):,.0f} /s)"
        )


def by_command(root: Path, count: int) -> None:
    command = [sys.executable, "-m", "pipeline", "estimate", str(root)]
    begun = time.perf_counter()
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    took = time.perf_counter() - begun
    print(f"  nightcap estimate, whole process     {count / took:>9,.0f} /s   {took:.2f} s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with suppress(AttributeError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        links, sizes = Path(folder, "photos", "links"), Path(folder, "sizes")
        links.mkdir(parents=True)
        write_links(links, count)
        print(f"{count:,} JPEGs of {len(SIZES)} sizes, one core; ratios are to estimate, median of {ROUNDS} rounds")
        compare(links, count, METHODS, ROUNDS)
        by_command(links, count)
        distinct = count // 5
        write_sizes(sizes, distinct)
        print(f"{distinct:,} JPEGs, no two of one size")
        compare(sizes, distinct, {"estimate": by_estimate, "Pillow Image.open": by_pillow}, ROUNDS)


if __name__ == "__main__":
    main()
