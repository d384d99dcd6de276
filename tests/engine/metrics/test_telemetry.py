"""What a collector gets: the names and attributes of the GenAI conventions, and never a word of prompt or caption."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pipeline.api.attempt import Attempt, Target
from pipeline.engine.metrics.exporting import is_wanted, open_telemetry
from pipeline.engine.metrics.telemetry import SECONDS, TOKENS, Telemetry
from pipeline.engine.stats import RunStats
from pipeline.items import Failure, Reply, Usage
from tests.helpers.clock import EPOCH_SECONDS, FakeClock
from tests.helpers.command import nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate

AZURE = Target("west", "azure", "captions", "res.openai.azure.com", 443)
COMMON = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "azure.ai.openai",
    "gen_ai.request.model": "captions",
    "server.address": "res.openai.azure.com",
    "server.port": 443,
}
ANSWER = Reply("A secret cat.", Usage(786, 12, 798), finish_reason="stop", model_returned="gpt-4o-2024-08-06")
REFUSED = Failure("rate_limited", "Slow down, and here is your secret prompt.")


class Collected:
    """A run's telemetry with everything kept in memory."""

    def __init__(self) -> None:
        self.stats = RunStats()
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = Telemetry(self._meters, tracers, self.stats, FakeClock())

    def points(self) -> dict[str, list[Any]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        metrics = [
            metric for found in data.resource_metrics for scope in found.scope_metrics for metric in scope.metrics
        ]
        return {metric.name: list(metric.data.data_points) for metric in metrics}

    def spans(self) -> list[Any]:
        return list(self._spans.get_finished_spans())


def test_each_request_is_an_operation_with_its_tokens() -> None:
    collected = Collected()
    collected.telemetry.add_attempt(Attempt(AZURE, REFUSED, 0.02, 0.0, 1000, retried=True))
    collected.telemetry.add_attempt(Attempt(AZURE, ANSWER, 1.5, 0.1, 1000, retried=False))
    points = collected.points()
    failed, answered = sorted(points["gen_ai.client.operation.duration"], key=lambda point: point.sum)
    assert failed.attributes == {**COMMON, "error.type": "rate_limited"}
    assert answered.attributes == {**COMMON, "gen_ai.response.model": "gpt-4o-2024-08-06"}
    assert (answered.count, answered.sum, answered.explicit_bounds) == (1, 1.5, SECONDS)
    tokens = {point.attributes["gen_ai.token.type"]: point for point in points["gen_ai.client.token.usage"]}
    assert {kind: point.sum for kind, point in tokens.items()} == {"input": 786, "output": 12}
    assert tokens["input"].explicit_bounds == TOKENS
    assert TOKENS[-1] == 67_108_864


def test_rows_and_dollars_are_counted() -> None:
    collected = Collected()
    collected.stats.statuses.update(captioned=3, failed=1)
    collected.stats.cost_usd = Decimal("0.25")
    points = collected.points()
    assert {point.attributes["status"]: point.value for point in points["nightcap.images"]} == {
        "captioned": 3,
        "failed": 1,
    }
    assert [point.value for point in points["nightcap.cost"]] == [0.25]


def test_a_span_says_when_and_what_but_no_word_of_it() -> None:
    collected = Collected()
    collected.telemetry.add_attempt(Attempt(AZURE, ANSWER, 1.5, 0.1, 1000, retried=False))
    collected.telemetry.add_attempt(Attempt(AZURE, REFUSED, 0.5, 0.1, 1000, retried=True))
    answered, failed = collected.spans()
    assert (answered.name, answered.kind.name) == ("chat captions", "CLIENT")
    assert answered.end_time == EPOCH_SECONDS * 1e9
    assert answered.end_time - answered.start_time == 1.5e9
    assert answered.attributes == {
        **COMMON,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 786,
        "gen_ai.usage.output_tokens": 12,
    }
    assert failed.status.status_code.name == "ERROR"
    assert failed.attributes["error.type"] == "rate_limited"
    assert "secret" not in answered.to_json() + failed.to_json()


def test_the_offline_describer_is_no_generative_model() -> None:
    collected = Collected()
    here = Target("builtin", "builtin", "describe")
    collected.telemetry.add_attempt(Attempt(here, Reply("A cat.", Usage()), 0.1, 0.0, 1000, retried=False))
    assert collected.spans() == []


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "captions"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_environment_decides(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) == wanted


async def test_another_protocol_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with ThreadPoolExecutor(1) as worker:
        async with open_telemetry(environ, RunStats(), FakeClock(), worker) as telemetry:
            assert telemetry is None
    assert "only http/protobuf" in caplog.text


def test_without_being_asked_nothing_of_it_is_imported() -> None:
    program = (
        "import asyncio, sys\n"
        "from pipeline.engine.live import run\n"
        "from pipeline.engine.metrics.exporting import open_telemetry\n"
        "async def main():\n"
        "    async with open_telemetry({}, None, None, None) as telemetry: assert telemetry is None\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@contextmanager
def collector() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    """An OTLP receiver on this machine: its address, and what came in by path."""
    received: dict[str, list[bytes]] = {}

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.setdefault(self.path, []).append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.integration
async def test_a_run_reports_to_a_collector(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 5)
    with collector() as (address, received):
        async with emulate() as server:
            ended = await nightcap(
                *("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--base-url", server.base_url),
                "--json",
                env={"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_TRACES_SAMPLER": "always_on"},
            )
        assert ended.code == 0, ended.err
    assert json.loads(ended.out)["statuses"] == {"captioned": 5}
    metrics = ExportMetricsServiceRequest.FromString(received["/v1/metrics"][-1]).resource_metrics[0]
    assert ("service.name", "nightcap") in [(each.key, each.value.string_value) for each in metrics.resource.attributes]
    found = {metric.name: metric for metric in metrics.scope_metrics[0].metrics}
    assert sum(point.count for point in found["gen_ai.client.operation.duration"].histogram.data_points) == 5
    assert sum(point.as_int for point in found["nightcap.images"].sum.data_points) == 5
    spans = [
        span.name
        for body in received["/v1/traces"]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert spans == ["chat gpt-4o"] * 5
    everything = b"".join(body for bodies in received.values() for body in bodies)
    assert b"Describe this image" not in everything
