"""Fetching from a web server that does what it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from pipeline.errors import ImageError, Unavailable, UserError
from pipeline.items import SourceImage
from pipeline.sources import RemoteSource, SourceOptions, open_source
from pipeline.sources.web.reader import WebReader
from tests.helpers.web_server import WebServer, serve

GOOD = b"picture" * 5000


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with serve({"good.jpg": GOOD, "empty.jpg": b"", "a b/ü.jpg": b"escaped"}) as running:
        yield running


@pytest.fixture
async def reader() -> AsyncIterator[WebReader]:
    options = SourceOptions(allow_private_network=True, url_timeout_seconds=0.5, max_bytes=1_000_000)
    async with aclosing(WebReader(options)) as opened:
        yield opened


def image(url: str, address: str | None = None) -> SourceImage:
    return SourceImage("key", url, "", address=address)


async def reason(reader: WebReader, url: str) -> str:
    try:
        await reader.fetch(image(url))
    except ImageError as error:
        return "told a secret" if "secret" in str(error) else error.reason
    return "fetched"


async def test_an_image_and_its_head(server: WebServer, reader: WebReader) -> None:
    assert isinstance(reader, RemoteSource)
    assert await reader.fetch(image(server.url + "good.jpg")) == GOOD
    assert await reader.fetch_head(image(server.url + "good.jpg"), 100) == GOOD[:100]
    assert server.sent_bytes == len(GOOD) + 100
    assert await reader.fetch_head(image(server.url + "empty.jpg"), 100) == b""
    assert await reader.fetch_range(server.url + "good.jpg", 7, 10) == b"picturepic"


async def test_names_that_need_escapes(server: WebServer, reader: WebReader) -> None:
    for url in ("a%20b/%C3%BC.jpg", "a b/ü.jpg"):
        assert await reader.fetch(image(server.url + url)) == b"escaped"


async def test_the_whole_address_is_asked_as_it_is(server: WebServer, reader: WebReader) -> None:
    query = "good.jpg?sig=a%2Bb%2fc+d%3D&x=%C3%BC"
    await reader.fetch(image(server.url + "good.jpg", server.url + query))
    assert server.requests == [("/" + query, "")], "a signature is over these very characters"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("to-good.jpg", "fetched"),
        ("endless.jpg", "too_large"),
        ("huge.jpg", "too_large"),
        ("drip.jpg", "timeout"),
        ("silent.jpg", "timeout"),
        ("short.jpg", "server_error"),
        ("hang-up.jpg", "server_error"),
        ("compressed.jpg", "unreadable"),
        ("loop.jpg", "unreadable"),
        ("to-metadata.jpg", "private_address"),
        ("to-file.jpg", "unreadable"),
        ("to-nothing.jpg", "unreadable"),
        ("to-no-url.jpg", "unreadable"),
        ("401.jpg", "access_denied"),
        ("403.jpg", "access_denied"),
        ("404.jpg", "unreadable"),
        ("410.jpg", "unreadable"),
        ("418.jpg", "unreadable"),
        ("500.jpg", "server_error"),
    ],
)
async def test_misbehaviour_is_a_reason(server: WebServer, reader: WebReader, name: str, expected: str) -> None:
    assert await reason(reader, f"{server.url}{name}?sig=secret") == expected
    assert len(server.requests) <= 6


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_to_wait(server: WebServer, reader: WebReader, status: int) -> None:
    with pytest.raises(Unavailable):
        await reader.fetch(image(f"{server.url}{status}.jpg"))


async def test_the_head_of_an_endless_body_is_enough(server: WebServer, reader: WebReader) -> None:
    assert await reader.fetch_head(image(server.url + "endless.jpg"), 1000) == bytes(1000)


async def test_a_server_without_ranges_gives_no_parts(server: WebServer, reader: WebReader) -> None:
    with pytest.raises(ImageError, match="whole files"):
        await reader.fetch_range(server.url + "endless.jpg", 10, 10)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a.jpg",
        "http://[::1]:1/a.jpg",
        "http://localhost:1/a.jpg",
        "http://[::ffff:127.0.0.1]:1/a.jpg",
    ],
)
async def test_private_addresses_are_refused_unless_allowed(url: str) -> None:
    async with aclosing(WebReader(SourceOptions())) as strict:
        assert await reason(strict, url) == "private_address"


@pytest.mark.parametrize("url", ["http://127.1:1/a.jpg", "http://2130706433:1/a.jpg"])
async def test_odd_spellings_of_this_machine_lead_nowhere(url: str) -> None:
    async with aclosing(WebReader(SourceOptions())) as strict:
        assert await reason(strict, url) != "fetched"


async def test_a_name_is_judged_by_the_address_that_is_connected_to(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name leads to a private address at the moment of connecting, whatever it said before."""

    async def resolve(self: object, host: str, port: int, traces: object = None) -> list[dict[str, object]]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 6, "flags": 0}]

    monkeypatch.setattr("aiohttp.TCPConnector._resolve_host", resolve)
    async with aclosing(WebReader(SourceOptions())) as strict:
        port = server.url.rpartition(":")[2]
        assert await reason(strict, f"http://rebound.example:{port}good.jpg") == "private_address"
    assert server.requests == []


async def test_a_host_that_does_not_answer(reader: WebReader) -> None:
    assert await reason(reader, "http://127.0.0.1:9/a.jpg") == "server_error"


async def test_blocking_callers_get_a_session_of_their_own(server: WebServer, reader: WebReader) -> None:
    read = await asyncio.to_thread(reader.read, image(server.url + "good.jpg"))
    head = await asyncio.to_thread(reader.read_head, image(server.url + "good.jpg"), 7)
    assert (read, head) == (GOOD, b"picture")


async def test_a_source_of_one_url(server: WebServer) -> None:
    source = open_source(SourceOptions((f"{server.url}good.jpg?sig=s",), allow_private_network=True))
    [listed] = source.list()
    assert (listed.key, listed.uri) == (f"{server.url[7:]}good.jpg", f"{server.url}good.jpg")
    assert "sig" not in repr(listed)
    assert await asyncio.to_thread(source.read, listed) == GOOD


def test_a_url_that_is_none() -> None:
    with pytest.raises(UserError):
        open_source(SourceOptions(("https:///a.jpg",)))
