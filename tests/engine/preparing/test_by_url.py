"""Images named by their addresses: a model's server that fetches them, one that cannot, and what the rows say."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from pipeline import Job, run_async
from pipeline.api.throttle import ThrottleClosed
from pipeline.emulator.app import Running
from pipeline.engine.live.stages import ask_images
from pipeline.engine.preparing.by_url import HEAD_BYTES, MOST_REFUSED, REMADE_AT_ONCE, ByUrl, holds_header, remake
from pipeline.engine.preparing.preparer import Fetched, Listed
from pipeline.items import Answer, Request, SourceImage, Unprepared
from tests.engine.making import (
    ScriptedProvider,
    answer,
    asking,
    line,
    reply,
    request,
)
from tests.helpers.pictures import encoded, photo
from tests.helpers.rows import rows_of
from tests.helpers.web_server import WebServer, serve


def pictures(count: int) -> dict[str, bytes]:
    return {f"{number}.jpg": encoded(photo(96, 64, seed=number)) for number in range(count)}


def job(server: WebServer, base_url: str, folder: Path, **options: Any) -> Job:
    lines = "".join(f"{server.url}{name}?sig=SECRET%2B\n" for name in server.files)
    (folder / "list.txt").write_text(lines)
    return Job.create(
        folder / "list.txt", folder / "out", model="compatible:gpt-4o", base_url=base_url, send="url",
        allow_private_network=True, **options,
    )  # fmt: skip


@asynccontextmanager
async def fetching_model(asked: list[dict[str, Any]]) -> AsyncIterator[str]:
    """A model's server that fetches what it is given the address of, and answers with its length."""

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        image = body["messages"][-1]["content"][1]["image_url"]
        asked.append(image)
        async with ClientSession() as session, session.get(image["url"]) as answer:
            length = len(await answer.read())
        message = {"role": "assistant", "content": f"{length} bytes"}
        usage = {"prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_a_server_that_fetches_is_given_the_whole_address(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []
    async with serve(pictures(3)) as server, fetching_model(asked) as base_url:
        summary = await run_async(job(server, base_url, tmp_path))
    assert summary.exit_code == 0
    assert sorted(image["url"] for image in asked) == [f"{server.url}{name}?sig=SECRET%2B" for name in server.files]
    for row, data in zip(rows_of(tmp_path / "out").values(), server.files.values(), strict=True):
        assert row["caption"] == f"{len(data)} bytes"
        assert (row["width"], row["height"], row["format"]) == (96, 64, "jpeg")
        assert row["content_hash"] is None, "its bytes were never here"
        assert row["sent_bytes"] == 0
        assert "SECRET" not in str(row)
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"SECRET" not in written


async def test_a_server_that_cannot_fetch_is_sent_the_bytes(tmp_path: Path, emulator: Running) -> None:
    count = 3 * MOST_REFUSED
    async with serve(pictures(count)) as server:
        options = job(server, emulator.base_url, tmp_path, concurrency=1, fetchers=1)
        summary = await run_async(options.overlay(model="gpt-4o"))
    assert summary.exit_code == 0, summary.message
    for row in rows_of(tmp_path / "out").values():
        assert row["status"] == "captioned"
        assert row["content_hash"]
        assert row["sent_bytes"] > 0
        assert row["prompt_tokens"] == row["predicted_prompt_tokens"]
    assert emulator.stats.requests >= count + MOST_REFUSED


@pytest.mark.parametrize("fetches", [True, False])
async def test_an_address_that_is_fetched_says_so_of_the_others(fetches: bool) -> None:
    async def ask(each: Request) -> Answer:
        return replace(answer(reply()), remade=None if fetches else replace(each, by_url=False))

    by_url, of = ByUrl(True), line()
    for _ in range(MOST_REFUSED - 1):
        by_url.refused()
    with ThreadPoolExecutor(1) as disk, of.ready.sending():
        task = asyncio.ensure_future(ask_images(of, asking(ScriptedProvider(ask), disk, by_url=by_url)))
        await of.in_flight.take(4)
        await of.ready.put(replace(request(), by_url=True))
        await of.done.wait()
        task.cancel()
    by_url.refused()
    assert by_url.is_on is fetches


async def test_when_the_run_stops_nothing_is_made_for_it() -> None:
    async def stopped(image: SourceImage) -> None:
        return None

    async def prepare(images: Sequence[Listed]) -> list[Request | Unprepared]:
        raise AssertionError("there is nothing to prepare")

    with pytest.raises(ThrottleClosed):
        await remake(prepare, stopped, ByUrl(True), replace(request(), by_url=True))


async def test_few_whole_images_are_in_memory_when_all_addresses_are_refused() -> None:
    together = most = 0

    async def fetch(image: SourceImage) -> Fetched:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0)
        return Fetched(image, (b"whole",))

    async def prepare(images: Sequence[Listed]) -> list[Request | Unprepared]:
        nonlocal together
        await asyncio.sleep(0)
        together -= len(images)
        return [request()]

    by_url, asked = ByUrl(True), replace(request(), by_url=True)
    await asyncio.gather(*(remake(prepare, fetch, by_url, asked) for _ in range(100)))
    assert most == REMADE_AT_ONCE


async def test_an_image_that_turns_out_broken_says_so(tmp_path: Path, emulator: Running) -> None:
    async with serve({"cut.jpg": encoded(photo(640, 480, grain=40))[:-9000]}) as server:
        await run_async(job(server, emulator.base_url, tmp_path).overlay(model="gpt-4o"))
    [row] = rows_of(tmp_path / "out").values()
    assert (row["status"], row["reason"]) == ("failed", "truncated_file"), "not the endpoint's trouble"
    assert emulator.stats.requests == 1


async def test_an_image_that_nobody_can_fetch_is_a_row(tmp_path: Path, emulator: Running) -> None:
    async with serve({}) as server:
        server.files = {"gone.jpg": b""}
        options = job(server, emulator.base_url, tmp_path)
        server.files = {}
        await run_async(options.overlay(model="gpt-4o"))
    [row] = rows_of(tmp_path / "out").values()
    assert (row["status"], row["reason"]) == ("failed", "unreadable")
    assert emulator.stats.requests == 0


def test_after_enough_refusals_no_address_is_sent_any_more() -> None:
    by_url = ByUrl(True)
    for _ in range(MOST_REFUSED - 1):
        by_url.refused()
    by_url.worked()
    for _ in range(MOST_REFUSED - 1):
        by_url.refused()
    assert by_url.is_on
    by_url.refused()
    assert not by_url.is_on


@pytest.mark.parametrize(
    ("head", "enough"),
    [(encoded(photo(96, 64)), True), (b"no image", True), (b"\xff\xd8" + b"\xff\xe1\xff\xff" * 4, True), (b"", True)],
)
def test_a_head_with_nothing_more_behind_it_is_enough(head: bytes, enough: bool) -> None:
    assert holds_header(head) is enough


def test_a_header_that_is_further_behind_needs_the_whole_image() -> None:
    segment = b"\xff\xe1\xff\xfe" + bytes(0xFFFC)
    assert not holds_header((b"\xff\xd8" + segment * 3)[:HEAD_BYTES])
