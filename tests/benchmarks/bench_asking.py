"""What asking an image costs the event loop besides HTTP: its turn, the reading of the answer, price and metrics.

    python -m tests.benchmarks.bench_asking [--images 20000]

Beside parsing the answer with the standard library, in the same run. Processor time of this thread, the best of seven
rounds. Three answers: with nothing but what must be in it, as OpenAI sends it, and as Azure does.
"""

import argparse
import asyncio
import json
import random
import time
from typing import Any

from pipeline.api.asker import Asker
from pipeline.api.client import Client, Response
from pipeline.api.endpoint import Endpoint
from pipeline.api.limits.rules import limit_rules
from pipeline.api.options import LimitOptions
from pipeline.api.pool.member import Tariff
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle
from pipeline.clock import SystemClock
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.items import Request
from pipeline.models import find_model, find_price
from tests.helpers.pool import member, request

ROUNDS = 7
CAPTION = "A dog runs along a beach at sunset and carries a stick. " * 4
PLAIN = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": CAPTION}}],
    "usage": {"prompt_tokens": 786, "completion_tokens": 60, "total_tokens": 846},
}
LIMITS = {
    "x-ratelimit-limit-requests": "1000000",
    "x-ratelimit-limit-tokens": "3000000000",
    "x-ratelimit-remaining-requests": "999999",
    "x-ratelimit-remaining-tokens": "2999998000",
    "x-ratelimit-reset-requests": "0s",
    "x-ratelimit-reset-tokens": "0s",
    "x-request-id": "req_1234567890abcdef1234567890abcdef",
}
SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
FILTERED = {
    **PLAIN,
    "choices": [{**PLAIN["choices"][0], "content_filter_results": SAFE}],  # type: ignore[index,dict-item]
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
}
ANSWERS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "plain": ({}, PLAIN),
    "OpenAI": (LIMITS, PLAIN),
    "Azure": ({"apim-request-id": "b5c8a1f4-7e0f-4a9c-9f3a-0c1d2e3f4a5b"}, FILTERED),
}


class _Answered(Client):
    """The answer is there before the question."""

    def __init__(self, response: Response) -> None:
        super().__init__(Endpoint("openai", "http://127.0.0.1:9/v1/chat/completions", "", {}, "gpt-4o"), 1.0)
        self._response = response

    async def post(self, *parts: bytes) -> Response:
        return self._response


async def _no_smaller(request: Request) -> None:
    return None


async def asking_us(response: Response, images: int) -> float:
    clock, limits = SystemClock(), LimitOptions(concurrency=32)
    endpoint = member(limits, limit_rules("openai", limits), clock, _Answered(response), max_tokens=300)
    endpoint.tariff = Tariff(clock, lambda day: find_price(find_model("openai:gpt-4o"), day))
    metrics = RunMetrics()
    asker = Asker(Throttle(Pool([endpoint]), clock), limits, clock, random.Random(1), metrics.add_attempt)
    image, best = request(1130), float("inf")
    for _ in range(ROUNDS):
        begun = time.thread_time_ns()
        for _ in range(images // ROUNDS):
            await asker.ask(image, _no_smaller)
        best = min(best, (time.thread_time_ns() - begun) / (images // ROUNDS) / 1000)
    return best


def parsing_us(body: bytes, images: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.thread_time_ns()
        for _ in range(images // ROUNDS):
            json.loads(body)
        best = min(best, (time.thread_time_ns() - begun) / (images // ROUNDS) / 1000)
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    images = parser.parse_args().images
    for name, (headers, document) in ANSWERS.items():
        body = json.dumps(document).encode()
        asking = asyncio.run(asking_us(Response(200, headers, body), images))
        parsing = parsing_us(body, images)
        print(
            f"{name:<8} {asking:6.1f} us an image, {asking / parsing:5.1f} times parsing its answer ({parsing:.1f} us)"
        )


if __name__ == "__main__":
    main()
