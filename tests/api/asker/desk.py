"""One image through throttle, client and retry rule, over real HTTP and in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.api.asker import Asker
from pipeline.api.attempt import Attempt
from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint
from pipeline.api.limits.rules import limit_rules
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle
from pipeline.items import Answer, Failure, Probe, Request, Sent, SourceImage
from tests.helpers.clock import FakeClock
from tests.helpers.pool import DOLLAR_A_TOKEN, member
from tests.helpers.scripted_server import http

KEY = "sk-proj-Ab12Cd34Ef56Gh78"
MAX_TOKENS = 300
# Real seconds without any event after which virtual time goes on; the kernel carries bytes over in far less.
IDLE_SECONDS = 0.01
COMPLETION = {
    "model": "gpt-4o-2024-11-20",
    "choices": [{"finish_reason": "stop", "message": {"content": "A dog."}}],
    "usage": {"prompt_tokens": 1105, "completion_tokens": 5, "total_tokens": 1110},
}
DONE = http(200, COMPLETION, X_Request_Id="req-1")
BROKEN = http(
    500, {"error": {"message": "The server had an error.", "type": "server_error", "code": None, "param": None}}
)
RENAME = http(
    400,
    {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
    },
)


def rate_limited(**headers: str) -> bytes:
    return http(429, {"error": {"code": "429", "message": "Rate limit is exceeded."}}, **headers)


@dataclass
class Desk:
    """An asker and what belongs to it."""

    asker: Asker
    throttle: Throttle
    clock: FakeClock
    retries: list[str] = field(default_factory=list)
    smaller: list[Request] = field(default_factory=list)
    """What a too large image is made into."""

    async def ask(self, key: str = "a.jpg") -> Answer:
        return await self.asker.ask(request(key), self.remake)

    async def remake(self, request: Request) -> Request | None:
        return self.smaller.pop() if self.smaller else None


@asynccontextmanager
async def desk(address: str, provider: str = "compatible", **limits: Any) -> AsyncIterator[Desk]:
    clock = FakeClock()
    options = LimitOptions(**limits)
    endpoint = Endpoint("openai", f"{address}/v1/chat/completions", "", {"Authorization": f"Bearer {KEY}"}, "gpt-4o")
    retries: list[str] = []

    def note(attempt: Attempt) -> None:
        if attempt.retried:
            assert isinstance(attempt.outcome, Failure)
            retries.append(attempt.outcome.reason)

    async with Client(endpoint, options.timeout_seconds) as client:
        asked = member(
            options, limit_rules(provider, options), clock, client, max_tokens=MAX_TOKENS, price=DOLLAR_A_TOKEN
        )
        throttle = Throttle(Pool([asked]), clock)
        asker = Asker(throttle, options, clock, random.Random(1), note)
        with clock.autojump(IDLE_SECONDS):
            yield Desk(asker, throttle, clock, retries)


def request(key: str) -> Request:
    template = tail_template(ModelOptions(prompt=f"Describe {key}."))
    return Request(
        image=SourceImage(key, f"file:///{key}", "1"),
        probe=Probe("jpeg", 640, 480),
        content_hash="blake2b:00",
        original_bytes=4,
        sent=Sent("jpeg", 640, 480, 4),
        body=template.render("jpeg", b"data"),
        predicted_image_tokens=1105,
        predicted_prompt_tokens=1130,
    )


def after(clock: FakeClock, seconds: float, answer: bytes) -> Callable[[asyncio.StreamWriter], Any]:
    """An answer that takes virtual time."""

    async def write(writer: asyncio.StreamWriter) -> None:
        await clock.sleep(seconds)
        writer.write(answer)

    return write


NO_DEPLOYMENT = http(404, {"error": {"code": "DeploymentNotFound", "message": "It does not exist."}})
NO_CHOICE = http(200, {"choices": [], "usage": {"prompt_tokens": 1105, "completion_tokens": 7, "total_tokens": 1112}})
