"""The client against servers as the night has them."""

import asyncio
import gzip
import socket
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.api.client import MAX_RESPONSE_BYTES, Client, Response
from pipeline.api.endpoint import Endpoint
from pipeline.api.http.session import proxy_for
from pipeline.errors import UserError
from pipeline.items import Failure
from tests.helpers.scripted_server import ScriptedServer, http

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True, params=["in the loop", "by pyreqwest"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with either; an address that `plain_http` does not take goes by the library."""
    if request.param == "by pyreqwest":
        monkeypatch.setattr("pipeline.api.client.plain_http", lambda *_: None)


def endpoint(address: str, headers: dict[str, str] | None = None) -> Endpoint:
    given = {"api-key": KEY} if headers is None else headers
    return Endpoint("azure", f"{address}/chat/completions", f"{address}/models", given, "m")


async def post(address: str, body: bytes = b"{}", timeout: float = 5.0) -> Response | Failure:
    async with Client(endpoint(address), timeout) as client:
        return await client.post(body)


async def test_a_body_goes_out_as_it_is_and_comes_back_as_it_is(server: ScriptedServer) -> None:
    server.answers.append(http(200, b'{"a": 1}', X_Request_Id="req-1"))
    response = await post(server.address, b'{"image": "..."}')
    assert isinstance(response, Response)
    assert (response.status, response.body, response.headers["x-request-id"]) == (200, b'{"a": 1}', "req-1")
    [request] = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/chat/completions", b'{"image": "..."}')
    assert request.headers["api-key"] == KEY
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "nightcap"


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404, 429, 500, 503, 529])
async def test_every_status_is_a_response(server: ScriptedServer, status: int) -> None:
    server.answers.append(http(status, b"" if status == 204 else b"text", Content_Type="text/html; charset=martian"))
    response = await post(server.address)
    assert isinstance(response, Response)
    assert response.status == status


async def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    for status in (301, 302, 303, 307, 308):
        server.answers.append(http(status, Location=f"{server.address}/elsewhere"))
        response = await post(server.address)
        assert isinstance(response, Response)
        assert response.status == status
        server.answers.clear()
    assert {request.target for request in server.requests} == {"/chat/completions"}


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_answer_is_unpacked(
    server: ScriptedServer, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    server.answers.append(http(200, compress(b'{"a": 1}'), Content_Encoding=encoding))
    response = await post(server.address)
    assert isinstance(response, Response)
    assert response.body == b'{"a": 1}'
    assert server.requests[0].headers["accept-encoding"] == "gzip,deflate"


async def test_headers_are_found_however_they_are_written(server: ScriptedServer) -> None:
    server.answers.append(b"HTTP/1.1 200 OK\r\nX-Odd: caf\xe9\r\nx-ID: 1\r\nX-Id: 2\r\nContent-Length: 2\r\n\r\n{}")
    response = await post(server.address)
    assert isinstance(response, Response)
    assert response.headers["x-id"] == "1", "the first of its name"
    assert "x-odd" not in response.headers, "no text, and nothing of ours reads it"


async def test_a_header_that_quotes_our_key_loses_it(server: ScriptedServer) -> None:
    server.answers.append(http(400, b"{}", X_Debug=f"key={KEY}!", X_Other="1"))
    response = await post(server.address)
    assert isinstance(response, Response)
    assert (response.headers["x-debug"], response.headers["x-other"]) == ("key=[redacted]!", "1")


async def test_connections_are_used_again_and_cookies_are_not(server: ScriptedServer) -> None:
    server.answers.append(http(200, b"{}", Set_Cookie="ARRAffinity=1; Path=/"))
    named = server.address.replace("127.0.0.1", "localhost")  # an address gets no cookies anyway
    async with Client(endpoint(named), 5.0) as client:
        for _ in range(3):
            await client.post(b"{}")
    assert all("cookie" not in request.headers for request in server.requests)
    assert len(server.requests) == 3


async def test_nothing_but_the_throttle_limits_how_many_are_in_flight(server: ScriptedServer) -> None:
    everybody = asyncio.Event()

    async def wait_for_all(writer: asyncio.StreamWriter) -> None:
        if server.under_way == 150:
            everybody.set()
        await everybody.wait()
        writer.write(http(200, b"{}"))

    server.answers.append(wait_for_all)
    async with Client(endpoint(server.address), 20.0) as client:
        responses = await asyncio.gather(*(client.post(b"{}") for _ in range(150)))
    assert server.peak == 150
    assert all(isinstance(response, Response) for response in responses)


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def say_nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("slow", [say_nothing, trickle])
async def test_a_slow_answer_is_a_timeout(server: ScriptedServer, slow: object) -> None:
    server.answers.append(slow)  # type: ignore[arg-type]
    failure = await post(server.address, timeout=0.1)
    assert failure == Failure("timeout", "No complete answer within 0.1 s.")


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    "answer",
    [
        endless,
        http(200, b" " * (MAX_RESPONSE_BYTES + 1)),
        http(200, gzip.compress(b" " * (MAX_RESPONSE_BYTES + 1)), Content_Encoding="gzip"),
    ],
    ids=["endless", "announced", "bomb"],
)
async def test_an_answer_without_end_is_given_up(server: ScriptedServer, answer: bytes) -> None:
    server.answers.append(answer)
    failure = await post(server.address)
    assert failure == Failure("server_error", f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.")


async def cut_in_the_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    writer.close()


async def cut_in_the_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"choices')
    writer.close()


async def cut_in_a_chunk(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{"choices')
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        cut_in_the_head,
        cut_in_the_body,
        cut_in_a_chunk,
        reset,
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 soon OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        http(200, b"not gzip", Content_Encoding="gzip"),
    ],
)
async def test_a_broken_answer_is_a_fault_of_the_server(server: ScriptedServer, answer: bytes) -> None:
    server.answers.append(answer)
    failure = await post(server.address, timeout=1.0)
    assert isinstance(failure, Failure)
    assert failure.reason == "server_error"
    assert failure.message.startswith("The connection broke before the answer was complete: ")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_nobody_there_is_unreachable() -> None:
    failure = await post(f"http://127.0.0.1:{closed_port()}")
    assert isinstance(failure, Failure)
    assert failure.reason == "unreachable"
    assert failure.message.startswith("No connection to the endpoint: Connection refused")


async def test_tls_to_a_server_without_it_is_unreachable() -> None:
    async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_at_once, "127.0.0.1", 0) as plain:
        failure = await post(f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}")
    assert isinstance(failure, Failure)
    assert failure.reason == "unreachable"


async def test_an_address_that_is_none_is_wrong() -> None:
    assert await post("http://127.0.0.1:99999") == Failure("wrong_address", "invalid port number")


async def test_an_error_that_quotes_our_key_loses_it(server: ScriptedServer) -> None:
    server.answers.append(http(401, f"key {KEY} is wrong, in every sense: {KEY}".encode()))
    response = await post(server.address)
    assert isinstance(response, Response)
    assert response.body == b"key [redacted] is wrong, in every sense: [redacted]"
    async with Client(endpoint(server.address, {"Authorization": f"Bearer {KEY}"}), 5.0) as client:
        response = await client.post(b"{}")
    assert isinstance(response, Response)
    assert KEY.encode() not in response.body


async def test_a_word_that_stands_for_a_key_is_no_secret(server: ScriptedServer) -> None:
    server.answers.append(http(500, b"none of the models is loaded"))
    async with Client(endpoint(server.address, {"Authorization": "Bearer none"}), 5.0) as client:
        response = await client.post(b"{}")
    assert isinstance(response, Response)
    assert response.body == b"none of the models is loaded"


async def test_the_proxy_of_the_environment_is_used(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.address)
    server.answers.append(http(200, b"{}"))
    assert isinstance(await post("http://api.example/v1"), Response)
    assert server.requests[0].target == "http://api.example/v1/chat/completions"


async def test_no_proxy_is_heeded(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example")
    assert proxy_for("http://api.example/v1") == "http://proxy.example"
    monkeypatch.setenv("NO_PROXY", "api.example")
    assert proxy_for("http://api.example/v1") is None


async def test_this_machine_needs_no_proxy(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    server.answers.append(http(200, b"{}"))
    assert isinstance(await post(server.address), Response)
    assert proxy_for("http://[::1]:8000/v1") is None


async def test_a_proxy_that_refuses_is_unreachable_and_its_password_stays_secret(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.address.replace("//", "//user:hunter2@"))
    server.answers.append(http(407))
    failure = await post("https://api.example/v1")
    assert isinstance(failure, Failure)
    assert failure.reason == "unreachable"
    assert "hunter2" not in failure.message
    assert server.requests[0].method == "CONNECT"


async def test_a_proxy_needs_no_scheme(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.address.removeprefix("http://"))
    server.answers.append(http(200, b"{}"))
    assert isinstance(await post("http://api.example/v1"), Response)


async def test_a_proxy_that_is_none_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:99999")
    with pytest.raises(UserError, match="The proxy that the environment names is no address") as told:
        await post("http://api.example/v1")
    assert "hunter2" not in str(told.value)


async def test_the_proxy_is_shown_its_password(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.address.replace("//", "//us%40er:hunt%20er2@"))
    server.answers.append(http(200, b"{}"))
    assert isinstance(await post("http://api.example/v1"), Response)
    assert server.requests[0].headers["proxy-authorization"] == f"Basic {b64encode(b'us@er:hunt er2').decode()}"


async def test_netrc_does_not_take_the_place_of_the_key(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answers.append(http(200, b"{}"))
    async with Client(endpoint(server.address, {"Authorization": f"Bearer {KEY}"}), 5.0) as client:
        assert isinstance(await client.post(b"{}"), Response)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_models_are_listed(server: ScriptedServer) -> None:
    server.answers.append(http(200, {"object": "list", "data": [{"id": "gpt-4o"}, {"id": 7}, {}, "odd"]}))
    async with Client(endpoint(server.address), 5.0) as client:
        assert await client.list_models() == ["gpt-4o", "7"]
    assert (server.requests[0].method, server.requests[0].target) == ("GET", "/models")
    assert "content-type" not in server.requests[0].headers


@pytest.mark.parametrize(
    "answer",
    [http(401, b"no"), http(200, b"<html>"), http(200, b"[" * 100_000), http(200, []), http(200, {"data": 5})],
    ids=["refused", "page", "deep", "list", "number"],
)
async def test_what_is_no_list_of_models_comes_back_as_it_is(server: ScriptedServer, answer: bytes) -> None:
    server.answers.append(answer)
    async with Client(endpoint(server.address), 5.0) as client:
        assert isinstance(await client.list_models(), Response)


async def test_a_large_body_arrives_whole_and_without_a_warning(server: ScriptedServer) -> None:
    body = b'{"image":"' + b"abcd" * 1_000_000 + b'"}'
    server.answers.append(http(200, b"{}"))
    assert isinstance(await post(server.address, body), Response)
    [request] = server.requests
    assert request.body == body
    assert request.headers["content-length"] == str(len(body))
