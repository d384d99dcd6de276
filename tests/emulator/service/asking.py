"""A service that is called without a socket, with a clock that stands still, and what it is asked."""

import base64
import json
from functools import cache

from pipeline.clock import SystemClock
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.service import Call, Outcome, Service
from tests.helpers.pictures import encoded, photo

DATED = "2024-10-21"


class StillClock(SystemClock):
    """Time passes only when a test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now


@cache
def picture(width: int = 640, height: int = 480) -> bytes:
    return encoded(photo(width, height))


def request(data: bytes | None = None, model: str | None = "gpt-4o", **more: object) -> bytes:
    url = f"data:image/jpeg;base64,{base64.b64encode(picture() if data is None else data).decode()}"
    content = [{"type": "text", "text": "Describe."}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"messages": [{"role": "user", "content": content}], **more}
    return json.dumps(body | ({"model": model} if model else {})).encode()


def openai(body: bytes, key: str | None = None, content_type: str = "application/json") -> Call:
    return Call("openai", body, content_type, key)


def azure(body: bytes, deployment: str | None = "captions", version: str | None = DATED, **more) -> Call:
    return Call("azure", body, "application/json", None, deployment, version, **more)


class Asking:
    """A service that is called without a server."""

    def __init__(self, **options: object) -> None:
        self.clock = StillClock()
        self.service = Service(EmulatorOptions(**options), self.clock)

    def __call__(self, call: Call) -> Outcome:
        with self.service.stats.handling(call.endpoint, self.clock.now) as number:
            return self.service.ask(call, number)


def body_of(outcome: Outcome):
    return json.loads(outcome.body)


def error_of(outcome: Outcome):
    return body_of(outcome)["error"]
