"""A chat-completions endpoint that reads a request and answers at once, for measuring the client's own speed.

    python -m tests.helpers.zero_latency_endpoint      prints its port, serves until its stdin closes

Hand-written on a protocol that receives into one buffer, and on uvloop where that is installed: it shares two cores
with what is measured, so what it takes for itself would show as the client's cost. `GET /seen` says what came since it
was last asked.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urljoin
from urllib.request import urlopen

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
RECEIVED_AT_ONCE = 256 * 1024


@dataclass
class Seen:
    """Requests, and when the first and the last of them were complete, by the endpoint's clock."""

    requests: int = 0
    first: float = 0.0
    last: float = 0.0

    @property
    def per_second(self) -> float:
        return (self.requests - 1) / (self.last - self.first)

    def add(self, now: float) -> None:
        self.requests += 1
        self.first = self.first or now
        self.last = now


class _Connection(asyncio.BufferedProtocol):
    seen = Seen()
    received = memoryview(bytearray(RECEIVED_AT_ONCE))
    """Of all connections: what is in it is looked at before anything else is received."""

    def __init__(self) -> None:
        self.missing = 0
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.received

    def buffer_updated(self, nbytes: int) -> None:
        if self.missing == 0:
            self.head += self.received[:nbytes]
            head, found, body = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            self.head = b""
            if head.startswith(b"GET /seen "):
                self._answer(json.dumps(asdict(self.seen)).encode())
                _Connection.seen = Seen()
                return
            after = head.lower().partition(b"content-length:")[2]
            self.missing = int(after.split(b"\r\n", 1)[0])
            nbytes = len(body)
        self.missing -= nbytes
        if self.missing == 0:
            self.seen.add(time.monotonic())
            self._answer(BODY)

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def zero_latency_endpoint() -> Iterator[str]:
    """Its base URL, while it runs in a process of its own."""
    command = [sys.executable, "-m", "tests.helpers.zero_latency_endpoint"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()


def seen_by(base_url: str) -> Seen:
    """What the endpoint has seen since it was last asked."""
    with urlopen(urljoin(base_url, "/seen")) as answer:
        return Seen(**json.load(answer))


if __name__ == "__main__":
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve())
