"""A video goes into an index and comes out as a caption, by the command line alone; the estimate is the bill."""

import json
import os
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import obstore
import pyarrow.parquet as pq
import pytest
from openai import AsyncAzureOpenAI

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.objects import open_objects
from tests.helpers.clock import FakeClock
from tests.helpers.command import nightcap, start_nightcap
from tests.helpers.object_stores import ObjectServer
from tests.helpers.servers import emulate
from tests.helpers.videos import make_video
from tests.helpers.web_server import WebServer, serve

pytestmark = pytest.mark.integration

OPENAI_KEY = VISION_KEY = "a-key-of-32-characters-0123456789"
SIGNATURE = "SIGNATURE-that-nobody-may-see"
ACCESSES = ("vision", "vision-endpoint", "ai-services", "managed-identity")
MODEL = ("--model", "azure:gpt4v", "--azure-model", "gpt-4-vision-preview", "--video-index", "night")


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    """With a video of 30 seconds."""
    async with serve({"clip.mp4": make_video(scenes=[10.0, 10.0, 10.0])}) as server:
        yield server


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    options = EmulatorOptions(
        api_key=OPENAI_KEY, deployments={"gpt4v": "gpt-4-vision-preview"}, ingestion_seconds=0.5, caption_tokens=60
    )
    async with emulate(options) as running:
        yield running


def environ(service: Running) -> dict[str, str]:
    return {
        "AZURE_OPENAI_ENDPOINT": service.endpoint,
        "AZURE_OPENAI_API_KEY": OPENAI_KEY,
        "OPENAI_API_VERSION": "2023-12-01-preview",
        "VISION_ENDPOINT": service.endpoint,
        "VISION_KEY": VISION_KEY,
    }


def listing(tmp_path: Path, web: WebServer) -> Path:
    path = tmp_path / "videos.csv"
    path.write_text(f"url,acv_document_id,duration\n{web.url}clip.mp4?sv=1&sig={SIGNATURE},night-1,30\n")
    return path


async def test_a_video_of_30_seconds_becomes_a_caption(tmp_path: Path, web: WebServer, service: Running) -> None:
    env, videos = environ(service), listing(tmp_path, web)
    told = [
        await nightcap("video", "index", "create", "night", "--domain", "surveillance", env=env),
        await nightcap("video", "index", "ingest", "night", videos, "--poll", "0.2", env=env),
    ]
    assert [ended.code for ended in told] == [0, 0], told
    assert web.requests[0][0].startswith("/clip.mp4"), "the service has looked at it"
    priced = await nightcap("estimate", videos, *MODEL, "--json", env=env)
    [estimated] = json.loads(priced.out)["models"]
    for access in ACCESSES:
        out = tmp_path / access
        done = await nightcap("run", videos, *MODEL, "--video-access", access, "-o", out, env=env)
        told += [priced, done]
        assert done.code == 0, done.err
        [row] = pq.read_table(out).to_pylist()
        assert (row["key"], row["uri"], row["status"]) == ("night-1", f"{web.url}clip.mp4", "captioned")
        assert row["caption"].startswith("A video, night-1 of the index night.")
        assert (row["duration"], row["width"], row["detail"]) == (30.0, None, "low")
        assert row["prompt_tokens"] == row["predicted_prompt_tokens"] == estimated["prompt_tokens"]
        # Above what is expected by what the answer is longer than such answers usually are: 3 cents for 1000 tokens.
        longer = row["completion_tokens"] - estimated["output_tokens"]["expected"]
        assert row["cost_usd"] == Decimal(estimated["live_usd"]["expected"]) + longer * Decimal("0.00003")
        again = await nightcap("run", videos, *MODEL, "--video-access", access, "-o", out, env=env)
        assert "nothing to ask" in again.err, "another night asks nothing again"
    assert service.service.retrieval.queries == len(ACCESSES)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != videos]
    assert not any(secret.encode() in file for file in files for secret in (SIGNATURE, OPENAI_KEY))
    assert not any(secret in ended.out + ended.err for ended in told for secret in (SIGNATURE, OPENAI_KEY))


async def test_videos_of_a_container_are_signed_for_the_service(
    tmp_path: Path, azure: ObjectServer, service: Running
) -> None:
    """Azurite checks the signatures that are made here; the service fetches by them."""
    container = azure.create("clips")
    objects = open_objects(container).store
    clip = make_video(scenes=[1.0])
    for name in ("2024/a b.mp4", "2024/ü.mp4", "2024/notes.txt", "2023/old.mp4"):
        await obstore.put_async(objects, name, clip)
    env, out = environ(service), tmp_path / "out"
    await nightcap("video", "index", "create", "night", env=env)
    source = f"{container}/2024"
    done = await nightcap("video", "index", "ingest", "night", source, "--poll", "0.2", "--json", env=env)
    assert (done.code, json.loads(done.out)["added"]) == (0, 2), done
    captioned = await nightcap("run", source, *MODEL, "-o", out, env=env)
    assert captioned.code == 0, captioned.err
    rows = pq.read_table(out).to_pylist()
    assert sorted(row["uri"] for row in rows) == [
        f"{azure.endpoint}/devstoreaccount1/clips/2024/{name}.mp4" for name in ("%C3%BC", "a%20b")
    ]
    assert all(len(row["key"]) == 32 and row["source_version"] and row["bytes"] == len(clip) for row in rows)
    unsigned = await nightcap(
        "video", "index", "ingest", "night", f"{container}/2023", "--managed-identity", "--poll", "0.2", env=env
    )
    assert (unsigned.code, "cannot be accessed" in unsigned.out) == (1, True), "without a signature it is refused"


async def test_an_ingestion_that_is_left_alone_goes_on(tmp_path: Path, web: WebServer) -> None:
    clock = FakeClock()
    async with emulate(EmulatorOptions(api_key=OPENAI_KEY, ingestion_seconds=60), clock) as service:
        env, videos = environ(service), listing(tmp_path, web)
        await nightcap("video", "index", "create", "night", env=env)
        command = await start_nightcap("video", "index", "ingest", "night", videos, "--poll", "0.2", env=env)
        assert "0 of 1 videos are done" in await command.line()
        command.signal(signal.SIGINT)
        ended = await command.ended()
        assert (ended.code, len(ended.err.splitlines())) == (130, 1), ended.err
        assert "nightcap video index status night" in ended.err
        command = await start_nightcap("video", "index", "ingest", "night", videos, "--poll", "0.2", env=env)
        assert "0 of 1 videos are done" in await command.line()
        await clock.advance(60)
        assert (await command.ended()).out == "1 of 1 video added to night ($0.02), 0 there before.\n"
        assert len(service.service.retrieval.index("night").ingestions) == 1, "nothing was paid for twice"


async def test_the_openai_package_asks_the_same(tmp_path: Path, web: WebServer, service: Running) -> None:
    env, videos = environ(service), listing(tmp_path, web)
    await nightcap("video", "index", "create", "night", env=env)
    await nightcap("video", "index", "ingest", "night", videos, "--poll", "0.2", env=env)
    shown = await nightcap("request", videos, *MODEL, "--video-access", "vision", env=env)
    body = json.loads(shown.out.replace("$VISION_KEY", VISION_KEY))["body"]
    async with AsyncAzureOpenAI(
        api_key=OPENAI_KEY,
        api_version="2023-12-01-preview",
        base_url=f"{service.endpoint}/openai/deployments/gpt4v/extensions",
    ) as client:
        extra = {name: body[name] for name in ("enhancements", "dataSources")}
        completion = await client.chat.completions.create(
            model="gpt4v", messages=body["messages"], max_tokens=body["max_tokens"], extra_body=extra
        )
    assert completion.choices[0].message.content
    assert completion.usage
    assert completion.usage.prompt_tokens == json.loads(shown.out)["predicted_prompt_tokens"]


async def test_doctor_looks_at_the_index(tmp_path: Path, web: WebServer, service: Running) -> None:
    env, videos = environ(service), listing(tmp_path, web)
    missing = await nightcap("doctor", videos, *MODEL, "-o", tmp_path / "out", env=env)
    assert missing.code == 2
    assert "no index 'night'" in missing.out
    await nightcap("video", "index", "create", "night", env=env)
    found = await nightcap("doctor", videos, *MODEL, "-o", tmp_path / "out", env=env)
    assert found.code == 0, found.out
    assert "has the index night, with vision, speech" in found.out
    assert SIGNATURE not in found.out + missing.out
    assert os.listdir(tmp_path) == ["videos.csv"]
