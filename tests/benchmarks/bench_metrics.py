"""What metrics and telemetry cost a request, beside reading its answer, in the same run.

    python -m tests.benchmarks.bench_metrics [--requests 20000]

Processor time of this thread, the best of five rounds.
"""

import argparse
import json
import time
from collections.abc import Callable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from pipeline.api.attempt import Attempt, Target
from pipeline.api.reading.replies import read_response
from pipeline.clock import SystemClock
from pipeline.engine.metrics.exporting import SAMPLED_SHARE
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.engine.metrics.telemetry import Telemetry
from pipeline.engine.stats import RunStats

TARGET = Target("here", "openai", "gpt-4o", "127.0.0.1", 80)
ANSWER = json.dumps(
    {
        "id": "chatcmpl-0",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A cat."}}],
        "usage": {"prompt_tokens": 786, "completion_tokens": 6, "total_tokens": 792},
    }
).encode()


def microseconds(work: Callable[[], object], count: int) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time_ns()
        for _ in range(count):
            work()
        best = min(best, (time.thread_time_ns() - begun) / count / 1000)
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000)
    count = parser.parse_args().requests
    metrics, stats, reply = RunMetrics(), RunStats(), read_response(200, {}, ANSWER)
    attempt = Attempt(TARGET, reply, 1.234, 0.5, 130_000, retried=False)
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    tracers = TracerProvider(TraceIdRatioBased(SAMPLED_SHARE), shutdown_on_exit=False)
    telemetry = Telemetry(meters, tracers, stats, SystemClock())

    def measure() -> None:
        told = Attempt(TARGET, reply, 1.234, 0.5, 130_000, retried=False)
        stats.add_attempt(told)
        metrics.add_attempt(told)

    reading = microseconds(lambda: read_response(200, {}, ANSWER), count)
    print(f"reading an answer        {reading:7.1f} us")
    for name, work in (("metrics", measure), ("with telemetry", lambda: telemetry.add_attempt(attempt))):
        cost = microseconds(work, count)
        print(f"{name:<24} {cost:7.1f} us   {cost / reading:5.2f} of reading an answer")


if __name__ == "__main__":
    main()
