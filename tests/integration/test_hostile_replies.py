"""An endpoint that answers what no endpoint should: each answer is one row, readable by everybody, and the run ends."""

import asyncio
import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import duckdb
import pandas
import pytest

from pipeline import Job, run_async
from pipeline.store import read_status
from tests.helpers.folders import write_small_jpegs
from tests.helpers.process import rss_bytes
from tests.helpers.scripted_server import ScriptedServer, http

pytestmark = pytest.mark.timeout(180)

CAPTION = "A picture of a cat."
HUGE = 10**30


def completion(content: object = CAPTION, **more: object) -> dict[str, object]:
    return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **more}


def raw(text: str) -> bytes:
    """A body that no JSON encoder of ours would write."""
    return http(200, text.encode("utf-8", "surrogatepass"))


ODD_GROUNDING = {"grounding": {"lines": [{"text": "A", "spans": [{"offset": HUGE, "length": -1, "polygon": [7]}]}]}}
PLAIN = http(200, completion())
CAPTIONED: dict[str, bytes] = {
    "huge counts": http(200, completion(usage={"prompt_tokens": HUGE, "completion_tokens": -5, "total_tokens": "12"})),
    "not numbers": raw(json.dumps(completion(usage={"prompt_tokens": float("nan"), "total_tokens": float("inf")}))),
    "a number beyond floats": raw(json.dumps(completion(usage={"prompt_tokens": 0})).replace(": 0}", ": 1e999}")),
    "usage of odd types": http(200, completion(usage=[{"prompt_tokens": [1]}, True])),
    "details of odd types": http(200, completion(usage={"prompt_tokens_details": 7, "completion_tokens": True})),
    "half an emoji": raw(json.dumps(completion("a cat \ud83d"))),
    "half an emoji, unescaped": raw(json.dumps(completion("a cat \ud83d \udcff"), ensure_ascii=False)),
    "control characters": http(200, completion("\x1b[2J\x00\x07 a cat \u202e")),
    "a long caption": http(200, completion(" ".join(map(str, range(300_000))))),
    "a long model": http(200, completion(model="m" * 1_000_000, id={"a": 1})),
    "a deep stranger": raw(json.dumps(completion())[:-1] + ', "x": ' + "[" * 900 + "]" * 900 + "}"),
    "parts of odd types": http(200, completion([{"text": CAPTION}, 7, None, {"text": [1]}, ["x"]])),
    "many verdicts": http(
        200,
        completion(
            prompt_filter_results=[
                {"content_filter_results": {f"c{n}": {"filtered": False, "severity": "safe"} for n in range(5000)}}
            ]
        ),
    ),
    "odd verdicts": http(200, completion(prompt_filter_results=[7, {"content_filter_results": {"hate": "no"}}])),
    "odd grounding": http(200, {"choices": [{"message": {"content": CAPTION}, "enhancements": ODD_GROUNDING}]}),
    "a reason of odd type": http(
        200, {"choices": [{"message": {"content": CAPTION}, "finish_reason": {"type": ["stop"]}}]}
    ),
    "a header of everything": http(200, completion(), x_request_id="\x80\xff" * 1500),
    "a long request id": http(200, completion(), x_request_id="r" * 3000),
    "limits of nothing": http(
        200, completion(), x_ratelimit_limit_requests="NaN", x_ratelimit_remaining_requests="-1", retry_after="-7"
    ),
    "limits that never come back": http(
        200,
        completion(),
        x_ratelimit_limit_requests="1",
        x_ratelimit_remaining_requests="0",
        x_ratelimit_reset_requests="99999999s",
        x_ratelimit_limit_tokens="1",
        x_ratelimit_remaining_tokens="0",
    ),
}
FAILED: dict[str, bytes] = {
    "nothing": http(200, b""),
    "deep brackets": http(200, b"[" * 2_000_000),
    "deep objects": http(200, b'{"choices":' * 200_000),
    "a long number": raw('{"choices": ' + "9" * 100_000 + "}"),
    "no UTF-8": http(200, b'{"choices": "\xff\xfe"}'),
    "no choices": http(200, {"choices": None}),
    "an empty choice": http(200, {"choices": [None]}),
    "no message": http(200, {"choices": [{"message": None}]}),
    "an odd message": http(200, {"choices": [{"message": ["content"]}]}),
    "an error of odd type": http(500, {"error": [[["x"]]]}),
    "escapes": http(400, {"error": {"message": "\x1b]0;owned\x07\n\ud83d" + "x" * 100_000, "code": "\x1b[31m" * 100}}),
    "a page": http(502, b"<html><title>\x1b[2J" + b"x" * 100_000),
    "no such status": http(799, b"what"),
    "a wrong encoding": http(200, b"not gzip", Content_Encoding="gzip"),
    "a gzip bomb": http(200, gzip.compress(bytes(1_000_000_000), 1), Content_Encoding="gzip"),
    "more than it says": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{",
    "less than nothing": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000,
    "no HTTP": b"\x16\x03\x01\x02\x00" * 100,
}


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


async def endless_prelude(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


ENDLESS: dict[str, Callable[[asyncio.StreamWriter], Awaitable[None]]] = {
    "a body": endless_body,
    "a prelude": endless_prelude,
    "a trickle": trickle,
}


def number_of(body: bytes) -> int:
    """Of the image that a request asks about: images may be asked in any order."""
    image = base64.b64decode(body.partition(b"base64,")[2].partition(b'"')[0])
    return int(image[6:13])


async def test_each_answer_is_a_row(tmp_path: Path) -> None:
    hostile = {**CAPTIONED, **FAILED, **ENDLESS}
    # After each a plain one: an endpoint that answers nothing but errors is an outage, and stops the run.
    answers = {f"{name}{after}": answer for name, bad in hostile.items() for after, answer in (("", bad), ("+", PLAIN))}
    paths = write_small_jpegs(tmp_path / "photos", len(answers))
    names = dict(zip((path.name for path in paths), answers, strict=True))
    server = ScriptedServer()
    await server.start()
    by_number = dict(enumerate(answers.values()))

    async def answer(writer: asyncio.StreamWriter) -> None:
        chosen = by_number[number_of(server.requests[-1].body)]
        if isinstance(chosen, bytes):
            writer.write(chosen)
            await writer.drain()
        else:
            await chosen(writer)

    server.answers.append(answer)
    job = Job.create(
        tmp_path / "photos", tmp_path / "out", model="gpt-4o", base_url=server.address,
        concurrency=1, max_attempts=1, timeout_seconds=1.5, patience_seconds=30,
    )  # fmt: skip
    before = rss_bytes()
    peak = 0
    running = asyncio.ensure_future(run_async(job))
    while not running.done():
        peak = max(peak, rss_bytes())
        await asyncio.sleep(0.01)
    await running
    await server.stop()

    frame = pandas.read_parquet(tmp_path / "out")
    ended = {names[key]: status for key, status in zip(frame.key, frame.status, strict=True)}
    assert {name: ended[f"{name}+"] for name in hostile} == dict.fromkeys(hostile, "captioned")
    assert {name: ended[name] for name in CAPTIONED} == dict.fromkeys(CAPTIONED, "captioned")
    assert {name: ended[name] for name in (*FAILED, *ENDLESS)} == dict.fromkeys((*FAILED, *ENDLESS), "failed")
    assert len(frame) == len(answers)
    assert frame.message.str.len().max() < 600
    assert not frame.message.str.contains("\x1b", regex=False, na=False).any()
    assert 0 < frame.request_id.str.len().max() <= 500
    ((rows, tokens),) = duckdb.sql(f"SELECT count(*), sum(prompt_tokens) FROM '{tmp_path}/out/*.parquet'").fetchall()
    assert (rows, tokens) == (len(answers), None)
    assert read_status(str(tmp_path / "out")).rows == len(answers)
    assert peak - before < 300 * 2**20
