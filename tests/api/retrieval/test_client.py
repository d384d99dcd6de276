"""The retrieval service's verbs, against the emulator where it behaves and a scripted server where it does not."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pipeline.api.entra.clouds import PUBLIC
from pipeline.api.retrieval.client import RetrievalClient, open_retrieval
from pipeline.api.retrieval.values import Field, IndexSettings, Query, Video
from pipeline.api.vision.resource import VisionResource
from pipeline.emulator.options import EmulatorOptions
from pipeline.errors import RunError, UserError
from tests.helpers.clock import FakeClock
from tests.helpers.entra import FakeCredential
from tests.helpers.scripted_server import ScriptedServer
from tests.helpers.servers import emulate

KEY = "0123456789abcdef"
VIDEO = Video("doc-1", "https://acme.blob.core.windows.net/v/a.mp4?sig=SECRET", {"cameraId": "camera1"}, 30.0)


@asynccontextmanager
async def asking(address: str, clock: FakeClock, key: str | None = KEY) -> AsyncIterator[RetrievalClient]:
    async with open_retrieval(VisionResource(address, key, PUBLIC), clock, random.Random(1)) as client:
        yield client


def reply(status: int, body: object = None, **headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{extra}\r\n".encode() + content


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


async def test_from_an_index_to_a_moment() -> None:
    clock = FakeClock()
    async with emulate(EmulatorOptions(api_key=KEY), clock) as running, asking(running.endpoint, clock) as client:
        settings = IndexSettings(domain="surveillance", fields=(Field("cameraId"), Field("timestamp", "datetime")))
        made = await client.create_index("videos", settings)
        assert made.features == ("vision", "speech")
        assert [(field.name, field.kind) for field in made.fields] == [
            ("cameraid", "string"),
            ("timestamp", "datetime"),
        ]
        assert [index.name async for index in client.indexes()] == ["videos"]
        begun = await client.ingest("videos", "doc-1", [VIDEO], managed_identity=False)
        assert (begun.name, begun.state) == ("doc-1", "running")
        await clock.settle()
        [ingestion] = [ingestion async for ingestion in client.ingestions("videos")]
        assert (ingestion.name, ingestion.state) == ("doc-1", "completed")
        [document] = [document async for document in client.documents("videos")]
        assert document.url == "https://acme.blob.core.windows.net/v/a.mp4", "without its signature"
        assert (document.id, document.duration, document.metadata) == ("doc-1", 30.0, {"cameraid": "camera1"})
        found = await client.query("videos", Query("a man", {"cameraId": ("camera1",)}, features=("vision",)))
        assert [(match.document_id, match.kind) for match in found] == [("doc-1", "VideoFrame")]
        assert await client.query("videos", Query("a man", {"cameraId": ("camera2",)})) == []
        await client.delete_index("videos")
        assert [index async for index in client.indexes()] == []


async def test_errors_are_one_sentence_each() -> None:
    clock = FakeClock()
    async with emulate(EmulatorOptions(api_key=KEY), clock) as running:
        async with asking(running.endpoint, clock) as client:
            await client.create_index("videos", IndexSettings())
            with pytest.raises(UserError, match="has index 'videos' already"):
                await client.create_index("videos", IndexSettings())
            with pytest.raises(UserError, match="no index 'other'"):
                await client.index("other")
            with pytest.raises(UserError, match="no ingestion 'x' in index 'other'"):
                await client.ingest("other", "x", [VIDEO], managed_identity=True)
            with pytest.raises(UserError, match="not in the index's schema"):
                await client.ingest("videos", "x", [VIDEO], managed_identity=True)
        async with asking(running.endpoint, clock, "a-wrong-key-of-somebody") as client:
            with pytest.raises(RunError, match="refused the credentials; check VISION_KEY") as caught:
                await client.index("videos")
    assert "somebody" not in str(caught.value)


async def test_all_pages_of_a_list_and_no_key_for_another_host(scripted: ScriptedServer) -> None:
    elsewhere = "http://evil.example:1/steal?api-version=2023-05-01-preview&$skip=1&$top=1"
    scripted.answers.extend(
        [reply(200, {"value": [{"name": "a"}], "nextLink": elsewhere}), reply(200, {"value": [{"name": "b"}]})]
    )
    async with asking(scripted.address, FakeClock()) as client:
        assert [index.name async for index in client.indexes()] == ["a", "b"]
    first, second = scripted.requests
    assert first.target == "/computervision/retrieval/indexes?$top=100&api-version=2023-05-01-preview"
    assert "$skip=1" in second.target
    assert {request.headers["host"] for request in scripted.requests} == {scripted.address.removeprefix("http://")}
    assert first.headers["ocp-apim-subscription-key"] == KEY


async def test_throttled_and_troubled_is_asked_again(scripted: ScriptedServer) -> None:
    scripted.answers.extend(
        [
            reply(429, {"error": {"code": "429", "message": "Slow"}}, Retry_After="7"),
            reply(503),
            reply(200, {"name": "a"}),
        ]
    )
    clock = FakeClock()
    async with asking(scripted.address, clock) as client:
        with clock.autojump(0.003):
            assert (await client.index("a")).name == "a"
    assert clock.elapsed >= 7
    assert len(scripted.requests) == 3


async def test_a_service_that_stays_in_trouble_is_given_up(scripted: ScriptedServer) -> None:
    scripted.answers.append(reply(500, {"error": {"code": "InternalServerError", "message": f"key {KEY}"}}))
    clock = FakeClock()
    async with asking(scripted.address, clock) as client:
        with clock.autojump(0.003), pytest.raises(RunError, match="gave no answer") as caught:
            await client.index("a")
    assert KEY not in str(caught.value)
    assert len(scripted.requests) == 5


async def test_nobody_waits_for_ever(scripted: ScriptedServer) -> None:
    scripted.answers.append(reply(429, {"error": {"code": "429", "message": "Slow"}}, Retry_After="50"))
    clock = FakeClock()
    async with asking(scripted.address, clock) as client:
        with clock.autojump(0.003), pytest.raises(RunError, match="gave no answer"):
            await client.index("a")
    assert clock.elapsed < 200


async def test_an_index_made_by_a_request_whose_answer_was_lost(scripted: ScriptedServer) -> None:
    scripted.answers.extend([reply(502), reply(409, {"error": {"code": "Conflict", "message": "exists"}}),
                             reply(200, {"name": "a"})])  # fmt: skip
    clock = FakeClock()
    async with asking(scripted.address, clock) as client:
        with clock.autojump(0.003):
            assert (await client.create_index("a", IndexSettings())).name == "a"
    assert [request.method for request in scripted.requests] == ["PUT", "PUT", "GET"]


async def test_a_token_where_there_is_no_key() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock, 3600)
    async with emulate(EmulatorOptions(entra_seconds=3600), clock) as running:
        vision = VisionResource(running.endpoint, None, PUBLIC)
        with clock.autojump(0.003):
            async with open_retrieval(vision, clock, random.Random(1), credential.open) as client:
                assert (await client.create_index("videos", IndexSettings())).name == "videos"


async def test_why_an_ingestion_failed(scripted: ScriptedServer) -> None:
    details = [{"code": "OutputResultWriteFailed", "message": "An unexpected error was encountered."}]
    error = {"code": "FailedToProcessBatch", "message": "Failed to process the batch.", "details": details}
    scripted.answers.append(reply(200, {"value": [{"name": "a", "state": "Failed", "error": error}]}))
    async with asking(scripted.address, FakeClock()) as client:
        [ingestion] = [ingestion async for ingestion in client.ingestions("videos")]
    assert ingestion.state == "failed"
    assert ingestion.error == (
        "Failed to process the batch. An unexpected error was encountered. (OutputResultWriteFailed)"
    )


@pytest.mark.parametrize(
    ("told", "state"),
    [("notStarted", "running"), ("partiallySucceeded", "partly"), ("Completed", "completed"), ("new", "running")],
)
async def test_states_in_whatever_case(scripted: ScriptedServer, told: str, state: str) -> None:
    scripted.answers.append(reply(200, {"value": [{"name": "a", "state": told}]}))
    async with asking(scripted.address, FakeClock()) as client:
        assert [ingestion.state async for ingestion in client.ingestions("videos")] == [state]


async def test_what_makes_no_sense_is_left_out(scripted: ScriptedServer) -> None:
    scripted.answers.append(
        reply(200, {"value": [1, {"documentId": 7, "metadata": [], "userData": "x"}, {"documentId": "a"}]})
    )
    scripted.answers.append(
        reply(200, {"value": [{"documentId": "b", "userData": {"durationSeconds": 10**400}, "relevance": 10**400}]})
    )
    async with asking(scripted.address, FakeClock()) as client:
        assert [document.id async for document in client.documents("a")] == ["", "a"]
        assert [document.duration async for document in client.documents("a")] == [None]
