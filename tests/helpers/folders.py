"""Folders of pictures for tests of the whole."""

from pathlib import Path

from tests.helpers.pictures import encoded, photo


def write_jpegs(folder: Path, count: int, width: int = 96, height: int = 64, grain: float = 4) -> list[Path]:
    """`count` different JPEGs, `0000.jpg` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(photo(width, height, grain=grain, seed=number)))
    return paths


def write_small_jpegs(folder: Path, count: int, begin: int = 0) -> list[Path]:
    """`count` JPEGs of 16x16 pixels that differ in a comment: a hundred times as fast, for runs of many images."""
    folder.mkdir(parents=True, exist_ok=True)
    data = encoded(photo(16, 16))
    paths = [folder / f"{number:07}.jpg" for number in range(begin, begin + count)]
    for number, path in enumerate(paths, begin):
        path.write_bytes(data[:2] + b"\xff\xfe\x00\x09%07d" % number + data[2:])
    return paths


def write_variant(path: Path, jpeg: bytes, number: int) -> Path:
    """The same picture in another file: a comment makes each number's content its own, so that none is reused."""
    path.write_bytes(jpeg[:2] + b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big") + jpeg[2:])
    return path
