"""What only the way in the event loop itself has to get right; what both ways do stands in `test_client`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from pipeline.api.http.plain import Broken, PlainHttp, TooLong, Unreachable, plain_http
from tests.helpers.scripted_server import ScriptedServer, http

MAX_BYTES = 10_000

Opener = Callable[[str], PlainHttp]


@pytest.fixture
def plain() -> Iterator[Opener]:
    opened = []

    def open_to(address: str) -> PlainHttp:
        client = plain_http(f"{address}/v1/answers?a=1", {"api-key": "k"}, "application/json", 5.0, MAX_BYTES)
        assert client
        opened.append(client)
        return client

    yield open_to
    for client in opened:
        client.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/v1",
        "http://user:password@localhost/v1",
        "http://localhost:99999/v1",
        "http://localhost/v1#part",
        "http://localhost/v 1",
        "http://bücher.example/v1",
        "http:///v1",
        "http://a..b/v1",
        "http://[::1/v1",
        "localhost:8000",
    ],
)
def test_what_is_encrypted_or_unusual_is_left_to_the_library(url: str) -> None:
    assert plain_http(url, {}, "application/json", 5.0, MAX_BYTES) is None


def test_what_is_behind_a_proxy_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert plain_http("http://api.example/v1", {}, "application/json", 5.0, MAX_BYTES) is None


@pytest.mark.parametrize("value", ["a\r\nX: y", "caf\xe9", "a\0"])
def test_a_header_that_cannot_be_sent_is_left_to_the_library(value: str) -> None:
    assert plain_http("http://localhost/v1", {"api-key": value}, "application/json", 5.0, MAX_BYTES) is None


async def test_a_body_in_parts_leaves_as_one(server: ScriptedServer, plain: Opener) -> None:
    server.answers.append(http(200, b"{}"))
    status, headers, body = await plain(server.address).post([b"ab", b"c" * 500_000, b"d"])
    assert (status, headers["content-type"], body) == (200, "application/json", b"{}")
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/answers?a=1")
    assert request.headers["host"] == server.address.removeprefix("http://")
    assert request.headers["api-key"] == "k"
    assert request.body == b"ab" + b"c" * 500_000 + b"d"


async def test_an_answer_may_end_with_its_connection(server: ScriptedServer, plain: Opener) -> None:
    async def until_the_end(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(b"}")
        writer.close()

    server.answers.append(until_the_end)
    client = plain(server.address)
    for _ in range(2):
        assert await client.post([b"{}"]) == (200, {}, b"{}")
    assert server.opened == 2


@pytest.mark.parametrize(
    "first", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3]
)
async def test_what_precedes_an_answer_is_none(server: ScriptedServer, first: bytes, plain: Opener) -> None:
    server.answers.append(first + http(200, b"{}"))
    client = plain(server.address)
    for _ in range(2):
        status, headers, body = await client.post([b"{}"])
        assert (status, headers.get("link"), body) == (200, None, b"{}")
    assert server.opened == 1


async def test_an_answer_in_pieces(server: ScriptedServer, plain: Opener) -> None:
    async def byte_by_byte(writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{} \r\n1\r\n \r\n0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    server.answers.append(byte_by_byte)
    assert (await plain(server.address).post([b"{}"]))[2] == b"{}  "


@pytest.mark.parametrize("closing", [{"Connection": "close"}, {}])
async def test_a_connection_that_the_server_ends_is_not_used_again(
    server: ScriptedServer, closing: dict[str, str], plain: Opener
) -> None:
    async def and_end(writer: asyncio.StreamWriter) -> None:
        writer.write(http(200, b"{}", **closing))
        writer.close()

    server.answers.append(and_end)
    client = plain(server.address)
    for _ in range(3):
        await client.post([b"{}"])
        await asyncio.sleep(0.01)
    assert server.opened == 3


async def test_more_than_the_answer_ends_the_connection(server: ScriptedServer, plain: Opener) -> None:
    """Who knows which question the rest would answer."""
    server.answers.append(http(200, b"{}") + http(200, b"of another"))
    client = plain(server.address)
    for _ in range(2):
        assert (await client.post([b"{}"]))[::2] == (200, b"{}")
    assert server.opened == 2


async def test_an_answer_before_the_whole_body_was_read(plain: Opener) -> None:
    """A server that refuses a body by its length need not read it."""
    ended = asyncio.Queue[None]()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(413, b"{}"))
        with suppress(ConnectionError):
            while await reader.read(50_000):
                await asyncio.sleep(0.001)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.put_nowait(None)

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        client = plain(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(2):
            assert (await client.post([b"x" * 8_000_000]))[0] == 413
            await ended.get()


async def test_a_cancelled_request_is_cut_off(server: ScriptedServer, plain: Opener) -> None:
    async def keep_waiting(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    server.answers.append(keep_waiting)
    task = asyncio.create_task(plain(server.address).post([b"{}"]))
    while not server.under_way:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(3.0):
        while server.open:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n"])
async def test_a_head_without_end(server: ScriptedServer, begin: bytes, plain: Opener) -> None:
    async def go_on(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(b"X: x\r\n" * 10 if begin.endswith(b"\n") else b"x" * 60_000)
            await writer.drain()
            await asyncio.sleep(0)

    server.answers.append(go_on)
    with pytest.raises(Broken, match=r"too many headers|its head has no end"):
        await plain(server.address).post([b"{}"])


async def test_each_trouble_has_its_name(server: ScriptedServer, plain: Opener) -> None:
    server.answers.extend([http(200, b" " * (MAX_BYTES + 1)), b"", b"no HTTP\r\n\r\n", http(200, b"{}")])
    client = plain(server.address)
    for trouble in (TooLong, Broken, Broken):
        with pytest.raises(trouble):
            await client.post([b"{}"])
    assert (await client.post([b"{}"]))[0] == 200
    client.close()
    with pytest.raises(Unreachable, match="Connection refused"):
        await plain("http://127.0.0.1:1").post([b"{}"])


def test_on_uvloop() -> None:
    """Which raises where asyncio does nothing: for what is written to a connection that has ended."""
    uvloop = pytest.importorskip("uvloop")

    async def ask() -> list[object]:
        server = ScriptedServer()
        await server.start()
        client = plain_http(server.address, {}, "application/json", 5.0, MAX_BYTES)
        assert client
        server.answers.extend([http(200, b"{}"), b"", http(200, b"[]"), http(200, b"1", Connection="close")])
        came = [await asyncio.gather(client.post([b"x" * 300_000]), return_exceptions=True) for _ in range(5)]
        client.close()
        await server.stop()
        return [result if isinstance(result, Broken) else result[2] for [result] in came]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        first, broken, *others = runner.run(ask())
    assert (first, others) == (b"{}", [b"[]", b"1", b"1"])
    assert isinstance(broken, Broken)
