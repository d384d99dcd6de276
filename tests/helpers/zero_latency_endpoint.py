"""A chat-completions endpoint that reads a request and answers at once, for measuring the client's own speed.

    python -m tests.helpers.zero_latency_endpoint KIND      prints its port, serves until its stdin closes

Two kinds: `aiohttp`, the plainest web server there is in Python, and `raw`, hand-written on an asyncio protocol, which
takes a third of its time for a 130 KB request, so that the client's own cost shows as nothing else.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from aiohttp import web

BODY = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A picture of a test."}}
        ],
        "usage": {"prompt_tokens": 786, "completion_tokens": 6, "total_tokens": 792},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.missing = 0
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.missing == 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            after = self.head[:end].lower().partition(b"content-length:")[2]
            self.missing = int(after.split(b"\r\n", 1)[0])
            data, self.head = self.head[end + 4 :], b""
        self.missing -= len(data)
        if self.missing == 0:
            self.transport.write(ANSWER)


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=BODY, content_type="application/json")


async def _serve(kind: str) -> None:
    loop = asyncio.get_running_loop()
    if kind == "raw":
        server = await loop.create_server(_Connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    else:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", _answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def zero_latency_endpoint(kind: Literal["aiohttp", "raw"] = "raw") -> Iterator[str]:
    """Its base URL, while it runs in a process of its own."""
    command = [sys.executable, "-m", "tests.helpers.zero_latency_endpoint", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
