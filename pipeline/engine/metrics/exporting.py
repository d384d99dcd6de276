"""Whether, and where to, telemetry is sent: the standard OTEL_* variables of the environment decide.

Nothing of OpenTelemetry is imported unless they ask for it.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pipeline.clock import Clock
from pipeline.engine.pools import on
from pipeline.engine.stats import RunStats

if TYPE_CHECKING:
    from pipeline.engine.metrics.telemetry import Telemetry

log = logging.getLogger(__name__)

# Spans of ten million images are nobody's reading: one request in a hundred, unless OTEL_TRACES_SAMPLER says otherwise.
SAMPLED_SHARE = 0.01
FLUSH_MILLISECONDS = 5_000
_ENDPOINTS = tuple(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT" for kind in ("", "METRICS_", "TRACES_"))


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a place that telemetry is to be sent to."""
    return environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and any(map(environ.get, _ENDPOINTS))


@asynccontextmanager
async def open_telemetry(
    environ: Mapping[str, str], stats: RunStats, clock: Clock, worker: Executor
) -> AsyncIterator["Telemetry | None"]:
    """Telemetry of a run, sent by OTLP over HTTP, the rest of it at the end; None when it is not wanted."""
    if not is_wanted(environ):
        yield None
        return
    protocol = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        log.warning("No telemetry: OTEL_EXPORTER_OTLP_PROTOCOL is %s, and only http/protobuf is spoken.", protocol)
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        from pipeline.engine.metrics.telemetry import Telemetry
    except ImportError:
        log.warning("No telemetry, although OTEL_EXPORTER_OTLP_ENDPOINT asks for it: pip install 'nightcap[otel]'.")
        yield None
        return
    # A collector that is away is told once at the end, and not at each of the tries.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": "nightcap"})
    readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if _sends("METRICS", environ) else []
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    sampler = None if environ.get("OTEL_TRACES_SAMPLER") else TraceIdRatioBased(SAMPLED_SHARE)
    tracers = TracerProvider(sampler, resource, shutdown_on_exit=False)
    if _sends("TRACES", environ):
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Telemetry(meters, tracers, stats, clock)
    finally:
        await on(worker, meters.shutdown, FLUSH_MILLISECONDS)
        await on(worker, tracers.shutdown)


def _sends(kind: str, environ: Mapping[str, str]) -> bool:
    """OTEL_METRICS_EXPORTER=none and its like leave one kind out."""
    return environ.get(f"OTEL_{kind}_EXPORTER", "otlp") == "otlp"
