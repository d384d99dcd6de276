"""`nightcap video index` as its user types it, against the emulator in another process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.called import called
from tests.helpers.servers import Process, emulate_process


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    with emulate_process() as process:
        yield process


@pytest.fixture(autouse=True)
def _resource(service: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_ENDPOINT", service.endpoint)
    monkeypatch.setenv("VISION_KEY", "0123456789abcdef")


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "videos.csv"
    path.write_text("url,acv_document_id,cameraId,duration\nhttps://acme.example/a.mp4?sig=SECRET,one,camera1,180\n")
    return path


def test_a_life(listing: Path, tmp_path: Path) -> None:
    made = called("video", "index", "create", "life", "--field", "cameraId", "--domain", "surveillance")
    assert (made.code, made.out) == (0, "Index life is there, with vision, speech.\n")
    priced = called("video", "index", "ingest", "life", listing, "--dry-run")
    assert priced.out == "one  https://acme.example/a.mp4\n"
    assert "1 video of 3.0 minutes: $0.15." in priced.err
    done = called("video", "index", "ingest", "life", listing, "--poll", "0.05", "--json")
    assert (done.code, json.loads(done.out)["added"]) == (0, 1)
    again = called("video", "index", "ingest", "life", listing)
    assert again.out == "0 of 1 video added to life, 1 there before.\n"
    shown = called("video", "index", "status", "life")
    assert "one  https://acme.example/a.mp4" in shown.out
    assert "life" in called("video", "index", "status").out
    listed = called("video", "index", "status", "life", "--list")
    assert json.loads(listed.out) == {
        "url": "https://acme.example/a.mp4", "acv_document_id": "one", "duration": 180.0, "cameraid": "camera1",
    }  # fmt: skip
    found = called("video", "index", "query", "life", "a man", "--filter", "cameraId=camera1", "--top", "1", "--json")
    assert [match["document_id"] for match in json.loads(found.out)] == ["one"]
    assert (
        called("video", "index", "query", "life", "a man", "--filter", "cameraId=other").out == "Nothing was found.\n"
    )
    everything = [made, priced, done, again, shown, listed, found]
    assert not any("SECRET" in ended.out + ended.err for ended in everything)
    assert called("video", "index", "delete", "life", "--yes").code == 0
    assert called("video", "index", "delete", "life", "--yes").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("create", "a--b"), 2, "at most 24"),
        (("create", "a", "--field", "x:number"), 2, "timestamp:datetime"),
        (("status", "absent"), 2, "no index 'absent'"),
        (("status", "--list"), 2, "name it"),
        (("query", "absent", "a man"), 2, "no index"),
        (("query", "absent", "a man", "--between", "x"), 2, "timestamp="),
        (("delete", "absent"), 2, "--yes"),
        (("ingest", "absent", "https://acme.example/a.mp4"), 2, "no index"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: tuple[str, ...], code: int, told: str) -> None:
    ended = called("video", "index", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1


def test_without_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISION_ENDPOINT")
    monkeypatch.delenv("VISION_KEY")
    ended = called("video", "index", "status")
    assert ended.code == 2
    assert "set VISION_ENDPOINT" in ended.err
