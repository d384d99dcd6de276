"""Parquet as a list of paths, and as what holds the images."""

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ImageError, UserError
from pipeline.sources import Source, SourceOptions, open_source
from pipeline.sources.listing import parquet
from tests.sources.making import make


def source_of(path: Path, **options: Any) -> Source:
    return open_source(SourceOptions((str(path),), **options))


def write_images(path: Path, count: int, rows_per_group: int = 40, **extra: list[Any]) -> None:
    images = [{"bytes": b"image %d " % n * 100, "path": f"{n:04}.jpg"} for n in range(count)]
    pq.write_table(pa.table({"image": images, **extra}), path, row_group_size=rows_per_group, data_page_size=4096)


def test_a_table_of_paths(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    table = pa.table({"n": [1, None], "path": ["a.jpg", None], "thumbnail": [b"x", b"y"], "tags": [["p", "q"], []]})
    pq.write_table(table, tmp_path / "l.parquet")
    source = source_of(tmp_path / "l.parquet")
    first, second = source.list()
    assert (first.key, first.metadata) == ("a.jpg", {"n": "1", "tags": '["p", "q"]'})
    assert source.read(first) == b"a.jpg"
    assert second.failure
    assert second.failure.message == "Row 2 of l.parquet has no 'path'."


def test_images_inside(tmp_path: Path) -> None:
    write_images(tmp_path / "l.parquet", 100, label=[f"l{n}" for n in range(100)])
    source = source_of(tmp_path / "l.parquet")
    images = list(source.list())
    assert [image.key for image in images] == [f"{n:04}.jpg" for n in range(100)]
    assert images[7].metadata == {"label": "l7"}
    assert images[57].uri.startswith(f"file://{tmp_path}/l.parquet#row_group=1&row=17&")
    for number in (99, 0, 1, 50, 49, 48, 47, 13, 99):
        assert source.read(images[number]) == b"image %d " % number * 100
    assert source.read_head(images[5], 5) == b"image"


def test_another_process_reads_with_options_and_image_alone(tmp_path: Path) -> None:
    write_images(tmp_path / "l.parquet", 10)
    image = list(source_of(tmp_path / "l.parquet").list())[7]
    assert source_of(tmp_path / "l.parquet").read(image).startswith(b"image 7 ")


def test_reading_in_order_reads_each_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "l.parquet", 200)
    source = source_of(tmp_path / "l.parquet")
    images = list(source.list())
    opened: list[object] = []

    class Counted(parquet._Cursor):
        def __init__(self, *key: Any) -> None:
            opened.append(key)
            super().__init__(*key)

    monkeypatch.setattr(parquet, "_Cursor", Counted)
    for number in range(0, 200, 4):  # four workers, each a little before or behind the others
        for each in (3, 1, 0, 2):
            assert source.read(images[number + each]).startswith(b"image %d " % (number + each))
    assert len(opened) == 5


def test_many_threads(tmp_path: Path) -> None:
    write_images(tmp_path / "l.parquet", 120)
    source = source_of(tmp_path / "l.parquet")
    images = list(source.list())
    wrong: list[int] = []

    def read(numbers: range) -> None:
        wrong.extend(n for n in numbers if source.read(images[n]) != b"image %d " % n * 100)

    threads = [threading.Thread(target=read, args=(range(start, 120, 4),)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_without_paths_the_row_is_the_key(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": None}, {"bytes": None, "path": None}]
    pq.write_table(pa.table({"image": pa.array(images)}), tmp_path / "l.parquet")
    pq.write_table(pa.table({"jpg": [b"plain"]}), tmp_path / "m.parquet")
    source = source_of(tmp_path / "l.parquet")
    first, second = source.list()
    assert (first.key, second.key) == ("l.parquet::1", "l.parquet::2")
    assert source.read(first) == b"x"
    with pytest.raises(ImageError, match="no image"):
        source.read(second)
    (plain,) = source_of(tmp_path / "m.parquet").list()
    assert (plain.key, source_of(tmp_path / "m.parquet").read(plain)) == ("m.parquet::1", b"plain")


def test_a_struct_of_paths_alone_names_files(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array([{"bytes": None, "path": "a.jpg"}], kind)}), tmp_path / "l.parquet")
    source = source_of(tmp_path / "l.parquet")
    (image,) = source.list()
    assert (image.key, source.read(image)) == ("a.jpg", b"a.jpg")


def test_a_column_of_ones_own_choice(tmp_path: Path) -> None:
    table = pa.table({"image": [{"bytes": b"1", "path": "a"}], "mask": [{"bytes": b"2", "path": "b"}], "id": ["k"]})
    pq.write_table(table, tmp_path / "l.parquet")
    source = source_of(tmp_path / "l.parquet", image_column="mask", key_column="id")
    (image,) = source.list()
    assert (image.key, source.read(image)) == ("k", b"2")


def test_too_large(tmp_path: Path) -> None:
    write_images(tmp_path / "l.parquet", 1)
    source = source_of(tmp_path / "l.parquet", max_bytes=10)
    (image,) = source.list()
    with pytest.raises(ImageError) as failure:
        source.read(image)
    assert failure.value.reason == "too_large"


def test_a_file_that_is_no_parquet_is_one_sentence(tmp_path: Path) -> None:
    make(tmp_path, "l.parquet")
    with pytest.raises(UserError, match=r"l\.parquet cannot be read as Parquet"):
        source_of(tmp_path / "l.parquet")


def test_a_damaged_page_costs_its_images_only(tmp_path: Path) -> None:
    write_images(tmp_path / "l.parquet", 40, rows_per_group=10)
    source = source_of(tmp_path / "l.parquet")
    images = list(source.list())
    path = tmp_path / "l.parquet"
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 30] = b"\xff" * 30
    path.write_bytes(data)
    assert source.read(images[0]).startswith(b"image 0")
    with pytest.raises(ImageError) as failure:
        source.read(images[12])
    assert failure.value.reason == "unreadable"
    assert source.read(images[25]).startswith(b"image 25")
