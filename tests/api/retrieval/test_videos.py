from pathlib import Path

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.retrieval.videos import IndexedVideos, open_images
from pipeline.errors import ImageError, UserError
from pipeline.items import SourceImage
from pipeline.sources import SourceOptions

OPTIONS = ModelOptions(name="azure:gpt-4-vision-preview", video_index="videos")


def listed(tmp_path: Path, text: str) -> list[SourceImage]:
    (tmp_path / "videos.csv").write_text(text)
    source = open_images(SourceOptions(paths=(str(tmp_path / "videos.csv"),)), OPTIONS, {})
    return list(source.list())


def test_the_key_is_the_documents_id(tmp_path: Path) -> None:
    one, two, broken = listed(
        tmp_path,
        "url,acv_document_id,duration\n"
        "https://acme.example/a.mp4?sig=SECRET,one,12.5\n"
        "https://acme.example/b?sig=SECRET,,-1\n"
        "https://acme.example/c.mp4,a b,\n",
    )
    assert (one.key, one.uri, one.duration) == ("one", "https://acme.example/a.mp4", 12.5)
    assert one.address == "https://acme.example/a.mp4?sig=SECRET"
    assert (len(two.key), two.duration) == (32, None)
    assert broken.failure
    assert broken.failure.reason == "invalid_row"


def test_the_same_id_whatever_the_signature(tmp_path: Path) -> None:
    [today] = listed(tmp_path, "url\nhttps://acme.example/a.mp4?sig=today\n")
    [tomorrow] = listed(tmp_path, "url\nhttps://acme.example/a.mp4?sig=tomorrow\n")
    assert today.key == tomorrow.key
    assert today.version == tomorrow.version == ""


def test_what_tells_videos_apart_and_what_nobody_may_see(tmp_path: Path) -> None:
    one, two = listed(
        tmp_path,
        "url\nhttps://me:SECRET@acme.example/play?id=1&sig=SECRET\nhttps://me:SECRET@acme.example/play?id=2&sig=x\n",
    )
    assert one.key != two.key
    assert one.uri == "https://acme.example/play"
    assert "SECRET" not in repr((one, two))


def test_nothing_is_read_here(tmp_path: Path) -> None:
    (tmp_path / "videos.txt").write_text("https://acme.example/a.mp4\n")
    source = IndexedVideos(SourceOptions(paths=(str(tmp_path / "videos.txt"),)), {})
    [video] = source.list()
    with pytest.raises(ImageError, match="service alone"):
        source.read(video)


def test_a_folder_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="in no Azure container"):
        list(IndexedVideos(SourceOptions(paths=(str(tmp_path),)), {}).list())


def test_groups_are_for_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="group_by"):
        open_images(SourceOptions(paths=(str(tmp_path),), group_by="folder"), OPTIONS, {})
    with pytest.raises(UserError, match="by their frames"):
        open_images(SourceOptions(paths=(str(tmp_path),), video=True), OPTIONS, {})
