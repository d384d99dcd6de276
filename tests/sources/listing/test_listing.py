"""Listing files as a user writes them: which images they name, under which keys, and what is wrong with a row."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources import Source, SourceOptions, open_source
from tests.sources.making import make


def source_of(path: Path | str, **options: object) -> Source:
    return open_source(SourceOptions((str(path),), **options))  # type: ignore[arg-type]


def images_of(path: Path | str, text: str | bytes, **options: object) -> list[SourceImage]:
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(source_of(path, **options).list())


def keys(images: list[SourceImage]) -> list[str]:
    return [image.key for image in images]


def test_a_csv_names_paths_relative_to_its_folder(tmp_path: Path) -> None:
    make(tmp_path, "in/a.jpg", "in/sub/b c.jpg")
    images = images_of(tmp_path / "in/list.csv", "path,category\na.jpg,food\n./sub/b c.jpg,\n")
    assert keys(images) == ["a.jpg", "sub/b c.jpg"]
    assert images[1].uri == f"file://{tmp_path}/in/sub/b%20c.jpg"
    assert [image.metadata for image in images] == [{"category": "food"}, {"category": ""}]
    source = source_of(tmp_path / "in/list.csv")
    assert [source.read(image) for image in images] == [b"in/a.jpg", b"in/sub/b c.jpg"]
    assert source.read_head(images[0], 4) == b"in/a"
    assert images[0].version == next(iter(source_of(tmp_path / "in").list())).version, "as if the folder was listed"


@pytest.mark.parametrize("column", ["path", "uri", "URL", "image", "File_Name"])
def test_the_column_is_guessed_by_its_usual_names(tmp_path: Path, column: str) -> None:
    assert keys(images_of(tmp_path / "l.tsv", f"id\t{column}\n1\ta.jpg\n")) == ["a.jpg"]


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    text = "where;id;tag;ask;etag\na.jpg;1;x;What is it?;e1\nb.jpg;2;y;;e2\n"
    images = images_of(
        tmp_path / "l.csv",
        text,
        image_column="where",
        key_column="id",
        prompt_column="ask",
        version_column="etag",
    )
    assert [(i.key, i.prompt, i.version, i.metadata) for i in images] == [
        ("1", "What is it?", "e1", {"tag": "x"}),
        ("2", None, "e2", {"tag": "y"}),
    ]


@pytest.mark.parametrize(
    ("options", "text", "said"),
    [
        ({}, "a,b\n1,2\n", "no column called path, uri, url, image or file_name; it has 'a', 'b'"),
        ({"image_column": "x"}, "path\na\n", "no column 'x', which image_column names; it has 'path'"),
        ({"key_column": "id"}, "path\na\n", "'id'"),
        ({}, "", "is empty"),
        ({}, "\n\n", "is empty"),
    ],
)
def test_a_column_that_is_not_there_is_told_before_anything_begins(
    tmp_path: Path, options: dict[str, str], text: str, said: str
) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        source_of(tmp_path / "l.csv", **options)


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a.jpg", "n": 3, "tags": ["x", "ü"], "none": None, "ok": True},
        {"file_name": "b.jpg"},
        ["c.jpg"],
        {"other": "d.jpg"},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n{broken\n\n"
    images = images_of(tmp_path / "l.jsonl", text)
    assert keys(images) == ["a.jpg", "b.jpg", "l.jsonl::3", "l.jsonl::4", "l.jsonl::5"]
    assert images[0].metadata == {"n": "3", "tags": '["x", "ü"]', "ok": "true"}
    problems = [image.failure.message if image.failure else None for image in images]
    assert problems == [
        None,
        None,
        "Line 3 of l.jsonl is not a JSON object.",
        "Line 4 of l.jsonl has no 'file_name'.",
        "Line 5 of l.jsonl is not JSON.",
    ]


def test_one_location_a_line(tmp_path: Path) -> None:
    make(tmp_path, "a b.jpg")
    text = (
        f"\ufeffa b.jpg\r\n\r\n{tmp_path}/a b.jpg\nfile://{tmp_path}/a%20b.jpg#\nhttps://h/x.jpg\ns3://bucket/k/y.jpg\n"
    )
    images = images_of(tmp_path / "l.txt", text, exclude=("file:*",))
    assert keys(images)[:2] == ["a b.jpg", f"{tmp_path}/a b.jpg"]
    assert keys(images)[3:] == ["h/x.jpg", "bucket/k/y.jpg"]
    assert [image.uri for image in images][3:] == ["https://h/x.jpg", "s3://bucket/k/y.jpg"]


def test_a_signature_behind_a_bucket_reaches_no_row(tmp_path: Path) -> None:
    [image] = images_of(tmp_path / "l.txt", "az://photos/a.jpg?sv=1&sig=SECRET\n")
    assert image.failure
    assert image.failure.reason == "invalid_row"
    assert "SECRET" not in repr(image)


@pytest.mark.parametrize("name", ["l.csv.gz", "l.CSV.GZ"])
def test_gzipped(tmp_path: Path, name: str) -> None:
    assert keys(images_of(tmp_path / name, gzip.compress(b"path\na.jpg\nb.jpg\n"))) == ["a.jpg", "b.jpg"]


def test_a_gzip_that_is_cut_off_is_one_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(b"path\n" + b"".join(b"%d.jpg\n" % n for n in range(100_000)))
    (tmp_path / "l.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="to its end"):
        list(source_of(tmp_path / "l.csv.gz").list())


def test_utf16_from_a_spreadsheet_and_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    assert keys(images_of(tmp_path / "l.csv", "path;n\ngröße.jpg;1\n".encode("utf-16"))) == ["größe.jpg"]
    name = b"Z\xfcrich.jpg"
    Path(f"{tmp_path}/{name.decode('utf-8', 'surrogateescape')}").write_bytes(b"picture")
    (image,) = images_of(tmp_path / "m.csv", b"path,where\n" + name + b"," + name + b"\n")
    assert image.key == r"Z\xfcrich.jpg"
    assert source_of(tmp_path / "m.csv").read(image) == b"picture"
    assert image.metadata
    for text in (image.key, image.uri, *image.metadata.values()):
        text.encode("utf-8")


def test_a_row_that_cannot_be_an_image_is_a_row_with_a_reason(tmp_path: Path) -> None:
    text = 'path,n\n,1\na.jpg\nb.jpg,2,3\nftp://h/c.jpg,4\nhttps:///d.jpg,5\n"x\ny.jpg",6\ns3://bucket/,7\nok.jpg,8\n'
    images = images_of(tmp_path / "l.csv", text)
    reasons = {image.key: image.failure and image.failure.reason for image in images}
    assert reasons == {
        "l.csv::2": "invalid_row",
        "l.csv::3": "invalid_row",
        "l.csv::4": "invalid_row",
        "l.csv::5": "invalid_row",
        "l.csv::6": "invalid_row",
        "x\ny.jpg": None,
        "l.csv::9": "invalid_row",
        "ok.jpg": None,
    }


def test_signatures_stay_out_of_everything_that_is_written(tmp_path: Path) -> None:
    signed = "https://me:pw@h.example/a.jpg?X-Amz-Signature=SECRET1&X-Amz-Date=1"
    again = "https://h.example/a.jpg?X-Amz-Signature=SECRET2&X-Amz-Date=2"
    other = "https://h.example/a.jpg?id=2&sig=SECRET3"
    first, third = images_of(tmp_path / "l.txt", f"{signed}\n{other}\n")
    (second,) = images_of(tmp_path / "l.txt", again)
    assert (first.uri, first.address) == ("https://h.example/a.jpg", signed)
    assert first.key == second.key == "h.example/a.jpg", "tomorrow's signature is no other image"
    assert third.key.startswith("h.example/a.jpg#")
    for image in (first, second, third):
        assert "SECRET" not in repr(image)
        assert "pw" not in repr(image)


def test_a_key_that_comes_twice_names_both(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'a\.jpg' comes twice: image 1 .* image 3"):
        images_of(tmp_path / "l.txt", "a.jpg\nb.jpg\na.jpg\n")


def test_include_and_exclude_look_at_the_keys(tmp_path: Path) -> None:
    text = "a.jpg\nthumbs/a.jpg\nb.png\n"
    for exclude in ("thumbs/**", "thumbs"):
        assert keys(images_of(tmp_path / "l.txt", text, include=("*.jpg",), exclude=(exclude,))) == ["a.jpg"]


def test_patterns_of_listings(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"l-{number}.txt").write_text(f"{number}.jpg\n")
    assert keys(list(source_of(f"{tmp_path}/l-{{0..2}}.txt").list())) == ["0.jpg", "1.jpg", "2.jpg"]
    assert keys(list(source_of(f"{tmp_path}/l-*.txt").list())) == ["0.jpg", "1.jpg", "2.jpg"]
    with pytest.raises(UserError, match="l-8"):
        source_of(f"{tmp_path}/l-{{8..9}}.txt")


def test_several_listings_have_their_names_before_their_keys(tmp_path: Path) -> None:
    make(tmp_path, "folder/a.jpg")
    (tmp_path / "l.txt").write_text("folder/a.jpg\n")
    source = open_source(SourceOptions((f"{tmp_path}/l.txt", f"{tmp_path}/folder")))
    images = list(source.list())
    assert keys(images) == ["l.txt/folder/a.jpg", "folder/a.jpg"]
    assert [source.read(image) for image in images] == [b"folder/a.jpg"] * 2


def test_a_million_rows_are_a_stream(tmp_path: Path) -> None:
    """Nothing of the file but one row is held: the first row is there before the file has been read."""
    path = tmp_path / "l.csv"
    path.write_text("path\n" + "".join(f"https://h/{number}.jpg\n" for number in range(50_000)))
    listing = source_of(path).list()
    assert next(listing).key == "h/0.jpg"
    path.unlink()
    assert sum(1 for _ in listing) == 49_999
