"""What grouping costs a listing: time and memory beside the same listing without groups, and the temporary file.

python tests/benchmarks/bench_groups.py [images]
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from pipeline.items import SourceImage
from pipeline.sources.groups import source
from pipeline.sources.groups.gathering import Gathered
from pipeline.sources.groups.source import Grouped

IMAGES = 1_000_000
WAYS = ("none", "folder", r"pattern:(.+)_\d+\.jpg")


class Shop:
    """Four views of each thing, as a bucket lists them."""

    def __init__(self, images: int) -> None:
        self._images = images

    def list(self) -> Iterator[SourceImage]:
        for number in range(self._images):
            key = f"things/{number // 4:08}/thing-{number // 4:08}_{number % 4}.jpg"
            yield SourceImage(key, f"s3://shop/{key}", f"etag-{number:032}", 100_000 + number)

    def read(self, image: SourceImage) -> bytes:
        raise NotImplementedError

    def read_head(self, image: SourceImage, count: int) -> bytes:
        raise NotImplementedError


def measure(way: str, images: int) -> None:
    source._comes_by_folder = lambda source: True
    closed: list[int] = []
    close = Gathered.close

    def noted(self: Gathered) -> None:
        closed.append(self._end)
        close(self)

    Gathered.close = noted  # type: ignore[method-assign]
    listing = Shop(images) if way == "none" else Grouped(Shop(images), way)
    next(iter(Grouped(Shop(100), WAYS[2]).list()))  # imports
    closed.clear()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    rows = sum(1 for _ in listing.list())
    seconds = time.perf_counter() - began
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"{way:24} {rows:>9,} rows; an image takes {seconds / images * 1e6:6.2f} us, {memory / images:5.1f} bytes of "
        f"memory and {sum(closed) / images:4.0f} bytes of a file"
    )


if __name__ == "__main__":
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    if len(sys.argv) > 2:
        measure(sys.argv[2], images)
    else:
        for way in WAYS:
            subprocess.run([sys.executable, __file__, str(images), way], check=True)
