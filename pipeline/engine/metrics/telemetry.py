"""Requests as OpenTelemetry's semantic conventions for generative AI have them, by the extra `otel`.

Source: open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md and gen-ai-spans.md (2026). No text of
a prompt, a caption or an error ever leaves through here, and no key of an image: counts, durations and names only.
A request costs 60 us, nearly all of it in the SDK (bench_metrics).
"""

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from pipeline.api.attempt import Attempt, Target
from pipeline.clock import Clock
from pipeline.engine.stats import RunStats
from pipeline.items import Failure

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))
"""Bucket boundaries that the conventions ask for."""
PROVIDERS = {"azure": "azure.ai.openai"}
OPERATION = "chat"

Attributes = dict[str, str | int]


class Telemetry:
    """Tells one run's requests to the given providers."""

    def __init__(self, meters: MeterProvider, tracers: TracerProvider, stats: RunStats, clock: Clock) -> None:
        meter = meters.get_meter("nightcap")
        self._tracer = tracers.get_tracer("nightcap")
        self._stats = stats
        self._clock = clock
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        meter.create_observable_counter(
            "nightcap.images", [self._observe_images], unit="{image}", description="Rows written, by status."
        )
        meter.create_observable_counter(
            "nightcap.cost", [self._observe_cost], unit="{USD}", description="Price of the rows written."
        )

    def add_attempt(self, attempt: Attempt) -> None:
        """A request has ended: one operation, also when the image is asked again."""
        target, outcome = attempt.target, attempt.outcome
        if target.host is None:  # the built-in describer is no generative model
            return
        attributes = _attributes(target)
        if outcome.model_returned:
            attributes["gen_ai.response.model"] = outcome.model_returned
        tokens = {"input": outcome.usage.prompt_tokens, "output": outcome.usage.completion_tokens}
        for kind, count in tokens.items():
            if count is not None:
                self._tokens.record(count, {**attributes, "gen_ai.token.type": kind})
        if isinstance(outcome, Failure):
            attributes["error.type"] = outcome.reason
        self._duration.record(attempt.latency_seconds, attributes)
        self._trace(attempt, attributes)

    def _trace(self, attempt: Attempt, attributes: Attributes) -> None:
        ended = self._clock.time()
        began = ended - attempt.latency_seconds
        name = f"{OPERATION} {attempt.target.model}"
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=round(began * 1e9))
        if span.is_recording():
            outcome = attempt.outcome
            if outcome.finish_reason:
                span.set_attribute("gen_ai.response.finish_reasons", (outcome.finish_reason,))
            if outcome.usage.prompt_tokens is not None:
                span.set_attribute("gen_ai.usage.input_tokens", outcome.usage.prompt_tokens)
            if outcome.usage.completion_tokens is not None:
                span.set_attribute("gen_ai.usage.output_tokens", outcome.usage.completion_tokens)
            if isinstance(outcome, Failure):
                span.set_status(Status(StatusCode.ERROR))
        span.end(round(ended * 1e9))

    def _observe_images(self, options: CallbackOptions) -> Iterable[Observation]:
        # Called in the exporter's thread: a copy, as the loop goes on counting.
        return [Observation(count, {"status": status}) for status, count in dict(self._stats.statuses).items()]

    def _observe_cost(self, options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(float(self._stats.cost_usd))]


def _attributes(target: Target) -> Attributes:
    assert target.host is not None
    assert target.port is not None
    return {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": PROVIDERS.get(target.provider, target.provider),
        "gen_ai.request.model": target.model,
        "server.address": target.host,
        "server.port": target.port,
    }
