"""The pictures that Nightcap ships: each shows what LICENSES.md says."""

from pathlib import Path

import pytest

from pipeline.errors import ImageError
from pipeline.images import ImageOptions, prepare, probe
from tests.helpers.pictures import decoded

FOLDER = Path(__file__).parents[2] / "sample_data"
PICTURES = sorted(path for path in FOLDER.iterdir() if path.suffix != ".md")


def as_it_is(width: int, height: int) -> tuple[int, int]:
    return width, height


def test_each_picture_has_its_origin_and_licence() -> None:
    rows = (FOLDER / "LICENSES.md").read_text("utf-8").splitlines()
    named = {row.split("`")[1]: row for row in rows if row.startswith("| `")}
    assert set(named) == {path.name for path in PICTURES}
    assert all(row.rstrip(" |").endswith(("CC0", "public domain")) for row in named.values())


def test_a_clone_stays_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES) < 2_000_000


@pytest.mark.parametrize(
    "path", [path for path in PICTURES if "truncated" not in path.name], ids=lambda path: path.name
)
def test_each_can_be_sent(path: Path) -> None:
    prepared = prepare(path.read_bytes(), as_it_is, ImageOptions())
    sent = decoded(prepared.data)
    assert sent.size == (prepared.probe.width, prepared.probe.height)
    assert sent.mode in ("RGB", "L", "P")


def test_the_broken_one_is_noticed() -> None:
    data = (FOLDER / "rocket-truncated.jpg").read_bytes()
    assert probe(data).width == 640
    with pytest.raises(ImageError) as failure:
        prepare(data, as_it_is, ImageOptions())
    assert failure.value.reason == "truncated_file"


def test_edge_cases() -> None:
    def found(name: str) -> tuple[int, int, int, int]:
        header = probe((FOLDER / name).read_bytes())
        return header.width, header.height, header.orientation, header.frames

    assert found("coffee-rotated.jpg") == (600, 400, 6, 1)
    assert found("horse-tiny.png") == (16, 16, 1, 1)
    assert found("stars-panorama.jpg") == (3000, 840, 1, 1)
    assert found("rocket-animated.gif") == (240, 160, 1, 2)
    assert decoded((FOLDER / "rocket-cmyk.jpg").read_bytes()).mode == "CMYK"
    assert decoded((FOLDER / "cat-cut-out.png").read_bytes()).mode == "RGBA"
    assert decoded((FOLDER / "photographer-16-bit.png").read_bytes()).mode == "I;16"
    assert decoded((FOLDER / "horse.png").read_bytes()).mode == "P"
