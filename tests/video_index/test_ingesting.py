"""Ingestions told the time: what is new, what is waited for, what is not paid for twice."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline.api.entra.clouds import PUBLIC
from pipeline.api.retrieval.client import RetrievalClient, open_retrieval
from pipeline.api.retrieval.values import Field, IndexSettings, Progress, Video
from pipeline.api.vision.resource import VisionResource
from pipeline.emulator.options import EmulatorOptions
from pipeline.errors import UserError
from pipeline.sources import SourceOptions
from pipeline.video_index.ingesting import Ingested, IngestOptions, Observer, run_ingestion, videos_in
from tests.helpers.clock import FakeClock
from tests.helpers.servers import emulate
from tests.helpers.video_web import VIDEOS
from tests.helpers.web_server import serve

IDLE_SECONDS = 0.02
OPTIONS = IngestOptions("videos", wait_seconds=600)


class Bench:
    """The service, and a command that puts videos into its index."""

    def __init__(self, client: RetrievalClient, clock: FakeClock, url: str) -> None:
        self.client = client
        self.clock = clock
        self.url = url

    def video(self, name: str, **metadata: str) -> Video:
        return Video(name.partition(".")[0], f"{self.url}{name}?sig=SECRET", metadata)

    async def ingest(
        self, *videos: Video, options: IngestOptions = OPTIONS, observer: Observer = lambda progress: None
    ) -> Ingested:
        with self.clock.autojump(IDLE_SECONDS):
            return await run_ingestion(self.client, videos, options, self.clock, observer)

    async def ingestions(self) -> list[str]:
        return [ingestion.name async for ingestion in self.client.ingestions("videos")]


@asynccontextmanager
async def bench(seconds: float = 60.0) -> AsyncIterator[Bench]:
    clock = FakeClock()
    async with (
        emulate(EmulatorOptions(ingestion_seconds=seconds), clock) as running,
        serve(VIDEOS) as web,
        open_retrieval(VisionResource(running.endpoint, "key", PUBLIC), clock, random.Random(1)) as client,
    ):
        await client.create_index("videos", IndexSettings(fields=(Field("cameraId"),)))
        yield Bench(client, clock, web.url)


async def test_each_video_is_followed_to_its_end() -> None:
    seen: list[Progress] = []
    async with bench() as b:
        done = await b.ingest(b.video("a.mp4", cameraId="1", other="x"), b.video("b.webm"), b.video("text.mp4"),
                              observer=seen.append)  # fmt: skip
        assert (done.videos, done.known, done.added, done.running, done.exit_code) == (3, 0, 2, 0, 1)
        assert done.seconds is None, "nobody said how long they are"
        assert done.failed == {"text": "The video format is not supported."}
        assert seen[-1] == Progress(videos=3, begun=3, done=3, failed=1)
        assert seen[0] == Progress(videos=3, begun=1, done=0, failed=0)
        [first, *_] = [document async for document in b.client.documents("videos")]
        assert first.metadata == {"cameraid": "1"}, "a column that the index does not know is left out"


async def test_what_is_there_is_not_paid_for_again() -> None:
    async with bench() as b:
        await b.ingest(b.video("a.mp4"))
        again = await b.ingest(b.video("a.mp4"), b.video("b.webm"))
        assert (again.known, again.added, again.exit_code) == (1, 1, 0)
        assert await b.ingestions() == ["a", "b"]


async def test_a_wait_that_is_over_and_one_that_goes_on() -> None:
    async with bench() as b:
        begun = await b.ingest(b.video("a.mp4"), options=IngestOptions("videos", wait_seconds=15))
        assert (begun.added, begun.running, begun.exit_code) == (0, 1, 4)
        # Started again with another video beside it, the first is waited for and not ingested twice.
        done = await b.ingest(b.video("a.mp4"), b.video("b.webm"))
        assert (done.added, done.exit_code) == (2, 0)
        assert await b.ingestions() == ["a", "b"]


async def test_a_failed_one_is_tried_anew() -> None:
    async with bench(0) as b:
        await b.ingest(b.video("text.mp4"))
        done = await b.ingest(b.video("text.mp4"))
        assert (done.failed, done.exit_code) == ({"text": "The video format is not supported."}, 1)
        assert await b.ingestions() == ["text", "text-2"]


async def test_an_index_that_is_not_there() -> None:
    async with bench() as b:
        with pytest.raises(UserError, match="no index 'other'"):
            await b.ingest(b.video("a.mp4"), options=IngestOptions("other"))


def test_videos_of_a_listing(tmp_path: Path) -> None:
    listing = tmp_path / "videos.csv"
    listing.write_text(
        "url,acv_document_id,duration,cameraId\n"
        "https://acme.blob.core.windows.net/v/a.mp4?sig=SECRET,one,30,camera1\n"
        "https://acme.blob.core.windows.net/v/b,,x,\n"
    )
    one, two = videos_in(SourceOptions(paths=(str(listing),)), {}, OPTIONS)
    assert (one.id, one.duration, one.metadata["cameraId"]) == ("one", 30.0, "camera1")
    assert one.url.endswith("?sig=SECRET")
    assert "SECRET" not in repr(one)
    assert (len(two.id), two.duration) == (32, None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("url\nclip.mp4\n", "in no Azure container"),
        ("url,acv_document_id\nhttps://h/a.mp4,a b\n", "id of a document"),
        ("url,acv_document_id\nhttps://h/a.mp4,one\nhttps://h/b.mp4,one\n", "comes twice"),
        ("url\ns3://bucket/a.mp4\n", "in no Azure container"),
        ("url\n", "no video"),
    ],
)
def test_listings_that_cannot_be(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "videos.csv").write_text(rows)
    (tmp_path / "clip.mp4").write_bytes(VIDEOS["a.mp4"])
    with pytest.raises(UserError, match=message):
        videos_in(SourceOptions(paths=(str(tmp_path / "videos.csv"),)), {}, OPTIONS)
