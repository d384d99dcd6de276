"""What stands in for the real endpoint: an emulator with the job's own limits, and the job pointed at it. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.api.endpoint import catalogue_name, split_name
from pipeline.api.options import LimitOptions
from pipeline.emulator.options import EmulatorOptions
from pipeline.job import Job

# A vision model on a usual evening; nobody promises it. It matters only where concurrency is what limits a job.
FIRST_TOKEN_SECONDS = 1.0
TOKEN_SECONDS = 0.02
LATENCY_SIGMA = 0.35
# Azure checks requests "over 1 s or 10 s" and does not say when which.
AZURE_WINDOW_SECONDS = 10.0
THINKING_SHARE = 0.8
"""Of the tokens of a reasoning model's answer, those that it spends unseen."""

# The throttle's windows are longer than the provider's by 1.5 %, at most a quarter of a second; at a higher speed that
# margin would be shorter than timers and a busy machine are late.
MARGIN_SHARE = 0.015
MARGIN_SECONDS_AT_MOST = 0.25
LATE_SECONDS = 0.005

NO_LIMIT = 1e9

KEY = "rehearsal"
KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
ADDRESSES = ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT")
TIMEOUT_SECONDS_AT_LEAST = 5.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The endpoint as it is rehearsed."""

    emulator: EmulatorOptions
    concurrency: int

    @property
    def answer_seconds(self) -> float:
        """Median time of one answer."""
        return self.emulator.latency + self.emulator.token_latency * _answer_tokens(self.emulator)

    def images_per_second(self, tokens_each: float) -> float:
        """What limits and concurrency allow, for requests that are admitted as so many tokens."""
        options = self.emulator
        allowed = [self.concurrency / self.answer_seconds]
        if options.rpm:
            allowed.append(options.rpm / 60)
        if options.tpm and tokens_each:
            allowed.append(options.tpm / 60 / tokens_each)
        return min(allowed)

    @property
    def highest_speed(self) -> float:
        """At which the windows' margins still are longer than this machine is late."""
        window = min(self.emulator.request_window, self.emulator.token_window)
        return max(1.0, min(MARGIN_SHARE * window, MARGIN_SECONDS_AT_MOST) / LATE_SECONDS)


def set_scene(job: Job, answer_tokens: int, reasons: bool) -> Scene:
    """The emulator for `job`. `answer_tokens`: of a usual answer; `reasons`: most of them are spent unseen."""
    provider, name = split_name(job.model.name)
    model = catalogue_name(job.model)
    thinking = math.floor(THINKING_SHARE * answer_tokens) if reasons else 0
    options = EmulatorOptions(
        model=model,
        deployments={name: model} if provider == "azure" else {},
        rpm=job.limits.rpm,
        tpm=job.limits.tpm,
        request_window=_window(job.limits.request_windows, AZURE_WINDOW_SECONDS if provider == "azure" else 60.0),
        token_window=_window(job.limits.token_windows, 60.0),
        latency=FIRST_TOKEN_SECONDS,
        token_latency=TOKEN_SECONDS,
        latency_sigma=LATENCY_SIGMA,
        caption_tokens=answer_tokens - thinking,
        reasoning_tokens=thinking,
    )
    return Scene(options, job.limits.most_in_flight)


def unlimited_job(job: Job) -> Job:
    """The same job as fast as it goes: what is left is this machine."""
    # A number that never holds, since without one the throttle would start slowly.
    return replace(job, limits=replace(job.limits, rpm=NO_LIMIT, tpm=None))


def unlimited_emulator(options: EmulatorOptions) -> EmulatorOptions:
    """The emulator for it."""
    return replace(options, rpm=None, tpm=None, latency=0.0, token_latency=0.0, rates={}, scenario=())


def pointed_at(job: Job, address: str, out: str, speed: float) -> Job:
    """The job with the emulator for its endpoint, writing to `out`; its images are limited by who lists them."""
    base = address if split_name(job.model.name)[0] == "azure" else f"{address}/v1"
    return replace(
        job,
        out=out,
        model=replace(job.model, base_url=base),
        limits=_sooner(job.limits, speed),
        run=replace(job.run, limit=None),
    )


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """No key and no address of a real account reaches the run."""
    kept = {name: value for name, value in environ.items() if name not in ADDRESSES}
    return kept | dict.fromkeys(KEYS, KEY)


def _sooner(limits: LimitOptions, speed: float) -> LimitOptions:
    """The HTTP client knows no other clock than the machine's."""
    return replace(limits, timeout_seconds=max(TIMEOUT_SECONDS_AT_LEAST, limits.timeout_seconds / speed))


def _window(chosen: Iterable[float] | None, usual: float) -> float:
    return min(chosen, default=usual) if chosen is not None else usual


def _answer_tokens(options: EmulatorOptions) -> int:
    return options.caption_tokens + options.reasoning_tokens
