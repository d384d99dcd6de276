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
