"""One request through key, limits, faults and answer: decides what to send, how late and how broken; does no I/O."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from pipeline.clock import Clock
from pipeline.emulator.answer import (
    APOLOGY,
    Answer,
    caption,
    give_answer,
    image_tokens,
    prompt_tokens,
    video_tokens,
)
from pipeline.emulator.faults import SPOILING, Arrival, chance, decide
from pipeline.emulator.limits import Limits, Provider, admission_tokens
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.emulator.retrieval.indexes import Retrieval
from pipeline.emulator.stats import EndpointStats, Stats
from pipeline.emulator.wire import entra, errors, replies
from pipeline.emulator.wire.enhancements import Enhanced, has_extensions, read_enhancements
from pipeline.emulator.wire.errors import Rejected, WireError
from pipeline.emulator.wire.question import Question, read_question
from pipeline.emulator.wire.video import VideoAsked, read_video, sampling_failed, wants_video
from pipeline.errors import UnknownModel, UserError
from pipeline.models import Model, find_model, list_models

Delivery = Literal["whole", "slow_body", "cut", "cut_body", "hang"]
DELIVERIES: Mapping[str, Delivery] = {"slow_body": "slow_body", "cut": "cut", "cut_body": "cut_body", "hang": "hang"}
"""Faults of the sending itself."""

JSON = "application/json"
HTML = "text/html"
FALLBACK_MODEL = "gpt-4o"
"""Of an Azure deployment whose name says nothing."""
OLD_MODEL = "gpt-4-vision-preview"
"""Ends its answers with `finish_details` instead of `finish_reason`."""
SHORT_MODELS = (OLD_MODEL, "gpt-4-turbo")
SHORT_MAX_TOKENS = 16
"""Azure's default for SHORT_MODELS (quotas and limits)."""
PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body>Please sign in to continue.</body></html>\n"


@dataclass(frozen=True, slots=True)
class Call:
    """A chat request as it came."""

    provider: Provider
    body: bytes
    content_type: str
    key: str | None
    deployment: str | None = None
    """From the URL; None where the body names the model."""
    api_version: str | None = None
    enhanced: bool = False
    """Sent to Azure's `/extensions/` path."""
    endpoint: str = ""
    """The name in its path."""
    bearer: bool = False
    """`key` is a bearer token; else it came in a header of its own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to send back, and how."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = JSON
    delay_seconds: float = 0.0
    delivery: Delivery = "whole"
    question: str | None = None
    """Digest of the question, when this is a usable answer to it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked: the name under which limits count, and the model whose rules hold."""

    name: str
    model: Model
    shown: str
    """As the answer names it."""
    options: EndpointOptions
    stats: EndpointStats
    limits: Limits
    now: float
    """When it was asked."""


class Service:
    """The provider's side of the wire, with its memory of what was asked."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything: counters, limits, and how far the scenario is."""
        self.stats = Stats()
        self._limits: dict[tuple[str, str], Limits] = {}
        self.retrieval = Retrieval(self.options.ingestion_seconds)

    def ask(self, call: Call, number: int) -> Outcome:
        """The outcome of the request that arrived as `number` at its endpoint, counted from 1."""
        self.stats.bytes_received += len(call.body)
        target = None
        try:
            self.check_key(call.provider, call.key, bearer=call.bearer)
            body = _parse(call)
            target = self._target(call, body)
            question = self._read(call, target, body)
            self._admit(call, target, question)
            return self._answer(call, target, question, self._fault(call, target, question, number))
        except Rejected as rejected:
            return self.refuse(call.provider, rejected.error, target)

    def refuse(self, provider: Provider, error: WireError, target: Target | None = None) -> Outcome:
        """An error as the provider sends it."""
        if error.html:
            return Outcome(error.status, error.body(), {}, HTML)
        return Outcome(error.status, error.body(), _headers(provider, target, 0.0, error.retry_after))

    def check_key(self, provider: Provider, key: str | None, *, bearer: bool) -> None:
        """Rejected (401, 403) unless the key or token is right, or none is needed."""
        if provider == "azure" and self.options.entra_seconds is not None:
            if key and not bearer:
                raise Rejected(errors.KEYS_DISABLED)
            if not entra.is_valid(key or "", self._clock.time()):
                raise Rejected(errors.BAD_TOKEN)
        elif self.options.api_key is not None and key != self.options.api_key:
            raise Rejected(errors.unauthorized(provider, key))

    def token(self, resource: str) -> bytes | None:
        """A token for `resource`, as a managed identity's endpoint answers; None: nobody gives any here."""
        if self.options.entra_seconds is None:
            return None
        return entra.token_answer(resource, int(self._clock.time()), self.options.entra_seconds)

    def model_list(self, provider: Provider, endpoint: str) -> bytes:
        """The body of `GET .../models`; Rejected (404) when there is no such endpoint."""
        options = self._endpoint(provider, endpoint)
        names = [model.name for model in list_models() if model.provider == provider]
        if options.model:
            names = [options.model]
        if provider == "azure" and options.deployments:
            names = list(options.deployments)
        return replies.model_list(names, int(self._clock.time()))

    def _endpoint(self, provider: Provider, name: str) -> EndpointOptions:
        options = self.options.endpoint(name)
        if options is None:
            raise Rejected(errors.unknown_url(provider, "POST", f"/{name}/"))
        return options

    def _target(self, call: Call, body: Mapping[str, object]) -> Target:
        options = self._endpoint(call.provider, call.endpoint)
        name = call.deployment or body.get("model")
        if not name or not isinstance(name, str):
            raise Rejected(WireError(400, "you must provide a model parameter"))
        if call.provider == "azure":
            if call.enhanced and not has_extensions(call.api_version):
                raise Rejected(errors.NO_SUCH_RESOURCE)
            model = _model_behind(options, name)
            shown = model.requested
        else:
            model, shown = _model_named(options, name), name
        limits = self._limits_of(call, options, name)
        return Target(name, model, shown, options, self.stats.at(call.endpoint), limits, self._clock.monotonic())

    def _limits_of(self, call: Call, options: EndpointOptions, name: str) -> Limits:
        place = call.endpoint, name
        if place not in self._limits:
            windows = options.request_window, options.token_window
            self._limits[place] = Limits(call.provider, options.rpm, options.tpm, *windows)
        return self._limits[place]

    def _read(self, call: Call, target: Target, body: Mapping[str, object]) -> Question:
        version, decode = call.api_version, self.options.decode
        enhanced, video = Enhanced(), None
        if call.enhanced and wants_video(body):
            if target.model.name != OLD_MODEL:
                raise Rejected(errors.NO_ENHANCEMENTS)
            video, body = read_video(body)
        elif call.enhanced:
            enhanced, body = read_enhancements(body)
        key = video.key if video else enhanced.key
        if key is not None and self.options.entra_seconds is None:
            self.check_key("azure", key, bearer=False)
        question = read_question(body, target.model, provider=call.provider, api_version=version, decode=decode)
        question = replace(question, grounding=enhanced.grounding, video=video)
        if (enhanced.ocr or enhanced.grounding) and len(question.pictures) > 1:
            raise Rejected(errors.ONE_IMAGE)
        if question.max_tokens is None and call.provider == "azure" and target.model.name in SHORT_MODELS:
            question = replace(question, max_tokens=SHORT_MAX_TOKENS)
        return question

    def _admit(self, call: Call, target: Target, question: Question) -> None:
        pictures = sum(image_tokens(target.model, picture) for picture in question.pictures)
        pictures += video_tokens(target.model) if question.video else 0
        cost = admission_tokens(call.provider, question.characters, pictures, question.max_tokens)
        if denied := target.limits.admit(target.now, cost):
            target.stats.rate_limited[denied.kind] += 1
            raise Rejected(errors.denied(call.provider, denied, target.name, call.api_version or "v1"))
        target.stats.admit(cost, target.now)

    def _fault(self, call: Call, target: Target, question: Question, number: int) -> str | None:
        """The fault that spoils the answer; Rejected when the fault is an error."""
        stats, digest = self.stats, question.digest
        stats.asked[digest] += 1
        stats.images += len(question.pictures)
        stats.mime_mismatches += sum(picture.mime != f"image/{picture.format}" for picture in question.pictures)
        arrival = Arrival(
            number=number,
            seconds=target.now - (stats.first_arrival or 0.0),
            question=digest,
            images=tuple(picture.digest for picture in question.pictures),
            attempt=stats.asked[digest],
            endpoint=call.endpoint,
        )
        step = decide(self.options.scenario, target.options.rates, self.options.seed, arrival)
        if step is None:
            return None
        target.stats.faults[step.fault] += 1
        error = errors.ordered(step.fault, call.provider, target.name, call.api_version or "v1", step.retry_after)
        if error:
            raise Rejected(error)
        return step.fault

    def _trouble_with(self, video: VideoAsked) -> bytes | None:
        """What is answered when the service does not get at a video's frames."""
        try:
            document = self.retrieval.document(video.index, video.document_id, self._clock.time())
        except Rejected:
            return sampling_failed("Index does not exist.", 404)
        if document is None:
            return sampling_failed("Document does not exist.", 404)
        if video.url is not None and video.url.partition("?")[0] != document.url:
            return sampling_failed("The video cannot be accessed.", 400)
        self.retrieval.queries += 1
        return None

    def _answer(self, call: Call, target: Target, question: Question, fault: str | None) -> Outcome:
        if question.video and (trouble := self._trouble_with(question.video)):
            return Outcome(200, trouble, _headers(call.provider, target, 0.0))
        answer = _say(target, question, fault)
        target.stats.prompt_tokens += answer.prompt_tokens
        target.stats.completion_tokens += answer.completion_tokens
        body = replies.completion(
            answer,
            provider=call.provider,
            model=target.shown,
            created=int(self._clock.time()),
            fault=fault,
            old=target.model.name == OLD_MODEL,
            grounding=question.grounding,
        )
        delay = self._delay(target.options, question.digest, answer)
        content_type = JSON
        if fault == "invalid_json":
            body = body[: len(body) // 2]
        elif fault == "html":
            body, content_type = PAGE, HTML
        elif fault == "wrong_content_type":
            content_type = "text/plain"
        return Outcome(
            status=200,
            body=body,
            headers=_headers(call.provider, target, delay),
            content_type=content_type,
            delay_seconds=delay,
            delivery=DELIVERIES.get(fault or "", "whole"),
            question=None if fault in SPOILING else question.digest,
        )

    def _delay(self, options: EndpointOptions, digest: str, answer: Answer) -> float:
        median = options.latency + options.token_latency * answer.completion_tokens
        if not options.latency_sigma:
            return median
        # The middle of the chance's step: never exactly 0, which no normal distribution has.
        share = chance(self.options.seed, "latency", digest, self.stats.asked[digest]) + 2.0**-49
        return median * math.exp(options.latency_sigma * NormalDist().inv_cdf(share))


def _model_named(options: EndpointOptions, name: str) -> Model:
    """OpenAI: the model that is asked for."""
    try:
        model = find_model(options.model or name)
    except UnknownModel:
        raise Rejected(errors.unknown_model(name)) from None
    except UserError:
        raise Rejected(errors.NO_IMAGES) from None
    if model.responses_only:
        raise Rejected(errors.RESPONSES_ONLY)
    return model


def _model_behind(options: EndpointOptions, deployment: str) -> Model:
    """Azure: the model that a deployment runs."""
    if options.deployments and deployment not in options.deployments:
        raise Rejected(errors.NO_SUCH_DEPLOYMENT)
    try:
        return find_model(options.deployments.get(deployment) or options.model or f"azure:{deployment}")
    except UserError:
        return find_model(FALLBACK_MODEL)


def _say(target: Target, question: Question, fault: str | None) -> Answer:
    model, options = target.model, target.options
    prompt = prompt_tokens(model, question)
    if prompt > (model.context_tokens or prompt):
        raise Rejected(errors.context_length(model.context_tokens, prompt))
    if fault in ("refusal", "apology"):
        return give_answer(model, prompt, APOLOGY)
    text = caption(model, question, options.caption_tokens, fault)
    if fault == "answer_filtered":
        return replace(give_answer(model, prompt, text[: len(text) // 2]), finish="content_filter")
    reasoning = options.reasoning_tokens if model.reasoning else 0
    return give_answer(model, prompt, text, max_tokens=question.max_tokens, reasoning_tokens=reasoning)


def _headers(
    provider: Provider, target: Target | None, seconds: float, retry_after: float | None = None
) -> dict[str, str]:
    standings = target.limits.standings(target.now) if target else {}
    return replies.headers(provider, standings, processing_seconds=seconds, retry_after=retry_after)


def _parse(call: Call) -> dict[str, object]:
    if call.content_type != JSON:
        message = (
            f"Unsupported content type: '{call.content_type}'. This API method only accepts 'application/json' "
            f"requests, but you specified the header 'Content-Type: {call.content_type}'. Please try again with a "
            "supported content type."
        )
        raise Rejected(WireError(400, message, code="unsupported_content_type"))
    try:
        body = json.loads(call.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Rejected(errors.BAD_JSON)
    return body
