"""What stands in for the real endpoint: an emulator with the job's own limits, and the plan pointed at it. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote

from pipeline.api.endpoint import catalogue_name, split_name
from pipeline.api.pool.members import MemberOptions
from pipeline.api.vision.resource import ENDPOINT_VARIABLE, KEY_VARIABLE
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.engine.plan import Plan

Options = TypeVar("Options", EndpointOptions, EmulatorOptions)

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
"""Where a key is looked for unless an endpoint names another variable."""
ADDRESSES = ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT")
TIMEOUT_SECONDS_AT_LEAST = 5.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The endpoints as they are rehearsed."""

    emulator: EmulatorOptions
    concurrency: Mapping[str, int]
    """Requests in flight, by endpoint; "" for one that is alone."""

    def endpoint(self, name: str) -> EndpointOptions:
        """The emulated endpoint of that name."""
        found = self.emulator.endpoint(name)
        assert found, name
        return found

    @property
    def answer_seconds(self) -> float:
        """Median time of one answer."""
        return max(_answer_seconds(self.endpoint(name)) for name in self.concurrency)

    def images_per_second(self, tokens_each: float) -> float:
        """What limits and concurrency allow, for requests that are admitted as so many tokens."""
        asked = sum(
            _images_per_second(self.endpoint(name), count, tokens_each) for name, count in self.concurrency.items()
        )
        looked_at = self.emulator.vision_rpm
        return min(asked, looked_at / 60) if looked_at else asked

    @property
    def highest_speed(self) -> float:
        """At which the windows' margins still are longer than this machine is late."""
        options = [self.endpoint(name) for name in self.concurrency]
        window = min(min(each.request_window, each.token_window) for each in options)
        return max(1.0, min(MARGIN_SHARE * window, MARGIN_SECONDS_AT_MOST) / LATE_SECONDS)


def set_scene(members: Sequence[MemberOptions], answer_tokens: int, reasons: bool) -> Scene:
    """The emulator for a job's endpoints. `answer_tokens`: of a usual answer; `reasons`: most are spent unseen."""
    endpoints = {member.name: _emulated(member, answer_tokens, reasons) for member in members}
    concurrency = {member.name: member.limits.most_in_flight for member in members}
    if alone := endpoints.pop("", None):
        own = {name: getattr(alone, name) for name in EndpointOptions.__slots__}
        return Scene(EmulatorOptions(**own), concurrency)
    return Scene(EmulatorOptions(endpoints=endpoints), concurrency)


def unlimited_plan(plan: Plan) -> Plan:
    """The same plan as fast as it goes: what is left is this machine."""
    # A number that never holds, since without one the throttle would start slowly.
    members = (
        replace(each, limits=replace(each.limits, rpm=NO_LIMIT, tpm=None, vision_rpm=NO_LIMIT)) for each in plan.members
    )
    return replace(plan, members=tuple(members), run=replace(plan.run, max_cost=None, deadline=None))


def unlimited_emulator(options: EmulatorOptions) -> EmulatorOptions:
    """The emulator for it."""
    endpoints = {name: _unlimited(each) for name, each in options.endpoints.items()}
    return replace(_unlimited(options), endpoints=endpoints, scenario=(), vision_rpm=None)


def pointed_at(plan: Plan, address: str, out: str, speed: float) -> Plan:
    """The plan with the emulator for its endpoints, writing to `out`; how many images are asked, the listing says."""
    members = tuple(
        replace(
            member,
            auth=None,  # a key of the emulator's, even for an endpoint that takes tokens
            model=replace(member.model, base_url=_base_url(member, address)),
            # The HTTP client knows no other clock than the machine's.
            limits=replace(
                member.limits,
                timeout_seconds=max(TIMEOUT_SECONDS_AT_LEAST, member.limits.timeout_seconds / speed),
            ),
        )
        for member in plan.members
    )
    # What the emulator says is English, whatever the prompt asks for.
    return replace(plan, members=members, out=out, run=replace(plan.run, limit=None, language=None))


def environment(environ: Mapping[str, str], members: Sequence[MemberOptions], address: str) -> dict[str, str]:
    """No key and no address of a real account reaches the run; what looks at images is the emulator too."""
    kept = {name: value for name, value in environ.items() if name not in (*ADDRESSES, ENDPOINT_VARIABLE, KEY_VARIABLE)}
    named = [member.key_env for member in members if member.key_env]
    vision = {ENDPOINT_VARIABLE: address, KEY_VARIABLE: KEY} if environ.get(ENDPOINT_VARIABLE) else {}
    return kept | dict.fromkeys((*KEYS, *named), KEY) | vision


def _emulated(member: MemberOptions, answer_tokens: int, reasons: bool) -> EndpointOptions:
    provider, name = split_name(member.model.name)
    model, limits = catalogue_name(member.model), member.limits
    thinking = math.floor(THINKING_SHARE * answer_tokens) if reasons else 0
    return EndpointOptions(
        model=model,
        deployments={name: model} if provider == "azure" else {},
        rpm=limits.rpm,
        tpm=limits.tpm,
        request_window=_window(limits.request_windows, AZURE_WINDOW_SECONDS if provider == "azure" else 60.0),
        token_window=_window(limits.token_windows, 60.0),
        latency=FIRST_TOKEN_SECONDS,
        token_latency=TOKEN_SECONDS,
        latency_sigma=LATENCY_SIGMA,
        caption_tokens=answer_tokens - thinking,
        reasoning_tokens=thinking,
    )


def _base_url(member: MemberOptions, address: str) -> str:
    root = f"{address}/{quote(member.name, safe='')}".rstrip("/")
    return root if split_name(member.model.name)[0] == "azure" else f"{root}/v1"


def _unlimited(options: Options) -> Options:
    return replace(options, rpm=None, tpm=None, latency=0.0, token_latency=0.0, rates={})


def _window(chosen: Iterable[float] | None, usual: float) -> float:
    return min(chosen, default=usual) if chosen is not None else usual


def _answer_seconds(options: EndpointOptions) -> float:
    return options.latency + options.token_latency * (options.caption_tokens + options.reasoning_tokens)


def _images_per_second(options: EndpointOptions, concurrency: int, tokens_each: float) -> float:
    allowed = [concurrency / _answer_seconds(options)]
    if options.rpm:
        allowed.append(options.rpm / 60)
    if options.tpm and tokens_each:
        allowed.append(options.tpm / 60 / tokens_each)
    return min(allowed)
