"""A chat-completions endpoint that takes a request and answers at once, for measuring the client's own speed.

    python -m tests.helpers.zero_latency_endpoint      prints its port, serves until its stdin closes

It shares the cores with what is measured, so what it takes for itself would show as the client's cost: one thread, no
framework, and of a body nothing but its length (Linux throws the rest away where it came in). `GET /seen` says what
came since it was last asked.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
HEAD_BYTES = 4096
DISCARDED_AT_ONCE = 1024 * 1024
# Of a TCP stream: bytes are counted and not copied.
DISCARD = socket.MSG_TRUNC if sys.platform == "linux" else 0


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


class _Connection:
    """Whose requests come one after the other."""

    seen = Seen()
    discarded = bytearray(DISCARDED_AT_ONCE)

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._head = b""
        self._missing = 0
        """Bytes of a body."""

    def receive(self) -> bool:
        """What there is; False: the connection has ended."""
        try:
            return self._receive()
        except ConnectionError:
            return False

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bool:
        if self._missing:
            length = self._socket.recv_into(self.discarded, min(self._missing, DISCARDED_AT_ONCE), DISCARD)
            self._missing -= length
            if length and not self._missing:
                self._complete()
            return length > 0
        received = self._socket.recv(HEAD_BYTES)
        self._head += received
        head, found, body = self._head.partition(b"\r\n\r\n")
        if found:
            self._head = b""
            if head.startswith(b"GET /seen "):
                self._answer(json.dumps(asdict(self.seen)).encode())
                _Connection.seen = Seen()
                return True
            length_on = head.lower().partition(b"content-length:")[2]
            self._missing = int(length_on.partition(b"\r\n")[0]) - len(body)
            if not self._missing:
                self._complete()
        return len(received) > 0

    def _complete(self) -> None:
        self.seen.add(time.monotonic())
        self._answer(BODY)

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._socket.sendall(head + body)


def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server, selectors.DefaultSelector() as selector:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    if not key.data.receive():
                        selector.unregister(key.fileobj)
                        key.data.close()
                elif key.fileobj is server:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ, _Connection(connection))
                else:
                    return


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
    _serve()
