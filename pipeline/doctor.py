"""What can be checked before a night begins: job, source, model, credentials, endpoint, output. Spends nothing."""

import asyncio
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial

from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint, catalogue_name, key_variable, resolve_endpoint
from pipeline.api.entra.clouds import Cloud
from pipeline.api.entra.credential import DefaultCredential
from pipeline.api.entra.tokens import Tokens
from pipeline.api.options import ModelOptions
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.taken import request_limits
from pipeline.api.reading.replies import read_response
from pipeline.api.retrieval.client import open_retrieval
from pipeline.api.retrieval.videos import open_images
from pipeline.api.structured.rungs import check_schema_is_followed
from pipeline.api.vision.analysis import analysis_endpoint, read_analysis
from pipeline.api.vision.resource import KEY_VARIABLE, find_vision
from pipeline.clock import SystemClock, utc
from pipeline.engine.asking.language import load_language_check
from pipeline.engine.enhancing.opening import way_of_all
from pipeline.engine.packing.joining import check_pack
from pipeline.engine.preparing.rules import asks_frames, check_groups, check_videos, frames_sent
from pipeline.errors import NightcapError, RunError, UserError
from pipeline.items import Failure
from pipeline.job import Job
from pipeline.models import TRANSCRIPT_TOKENS, Model, best_dimensions, find_model, find_price, video_tokens
from pipeline.objects import without_secrets
from pipeline.store import try_output

ENDPOINT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    exit_code: int
    """0 when all is well, else what a run would exit with."""
    text: str

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def examine(job: Job, environ: Mapping[str, str] = os.environ, *, whole: bool = True) -> list[Check]:
    """All findings, in the order in which a run would meet the trouble.

    Not `whole`: source and output are looked at only if the job names them.
    """
    checks = [_check("source", lambda: _source(job, environ))] if whole or job.source.paths else []
    checks += _endpoints(job, environ)
    if whole or job.out:
        checks.append(_check("output", lambda: _output(job.out)))
    return checks


def _endpoints(job: Job, environ: Mapping[str, str]) -> list[Check]:
    """Of each endpoint that shares the job, what can be known of it."""
    try:
        members = job.members
    except NightcapError as error:
        return [Check("model", error.exit_code, str(error))]
    checks = [_check("model", lambda: _model(members[0].model)), *_question(job, members, environ)]
    if members[0].model.name.startswith("builtin:"):
        return [*checks, _check("describer", _describer)]
    for member in members:
        named = f"{member.name}: " if member.name else ""
        credentials = _check("credentials", partial(_credentials, member, environ), named)
        checks.append(credentials)
        if credentials.exit_code == 0:
            checks.append(_check("endpoint", partial(_ask, member, environ), named))
    return checks


def _question(job: Job, members: Sequence[MemberOptions], environ: Mapping[str, str]) -> Iterator[Check]:
    """Of what is asked, what not everybody can answer or not every installation can do."""
    options = members[0].model
    if options.video_index:
        yield _check("video index", partial(_video_index, options.video_index, environ))
    if asks_frames(job.source, options):
        yield _check("videos", partial(_videos, job, members, environ))
    if job.source.group_by:
        yield _check("groups", partial(_groups, job, members, environ))
    if options.pack > 1:
        yield _check("pack", partial(_pack, members, environ))
    if options.enhance:
        yield _check("enhance", partial(_enhance, members, environ))
    if job.run.language:
        yield _check("language", partial(_language, job.run.language))


def _video_index(name: str, environ: Mapping[str, str]) -> str:
    vision = find_vision(environ)
    if vision is None:
        return f"VISION_ENDPOINT is not set, so nobody was asked for the index {name}."

    async def asked() -> str:
        async with open_retrieval(vision, SystemClock(), random.Random()) as client:
            index = await client.index(name)
            return f"{client.host} has the index {name}, with {', '.join(index.features)}."

    return asyncio.run(asked())


def _check(name: str, look: Callable[[], str], of: str = "") -> Check:
    try:
        return Check(name, 0, of + look())
    except NightcapError as error:
        return Check(name, error.exit_code, of + str(error))


def _source(job: Job, environ: Mapping[str, str]) -> str:
    if not job.source.paths:
        raise UserError("No source was given.")
    first = next(iter(open_images(job.source, job.model, environ).list()), None)
    where = ", ".join(map(without_secrets, job.source.paths))
    if first is None:
        raise UserError(f"{where} holds no image that is to be captioned; videos want --video.")
    return f"{where} can be read; the first to be captioned is {first.key}."


def _model(options: ModelOptions) -> str:
    model = find_model(catalogue_name(options))
    if model.responses_only:
        raise UserError(f"{model} is served by the Responses API alone, not by chat completions; choose another model.")
    check_schema_is_followed(options.schema, model)
    best_dimensions(model, 1024, 1024, options.image_detail, options.image_policy, options.max_shrink)
    today = utc(SystemClock().time()).date()
    price = find_price(model, today)
    if price and price.free:
        return f"{options.name} is free."
    told = [_tokens(model, options)]
    told.append("its price is known" if price else "its price is unknown, so costs will be too")
    if model.reasoning:
        told.append(f"it reasons before it answers, within max_tokens = {options.max_tokens}")
    if model.retired and model.retired <= today:
        told.append(f"it was to be retired on {model.retired}")
    return f"{options.name}: {', '.join(told)}."


def _tokens(model: Model, options: ModelOptions) -> str:
    if not options.video_index:
        what, tokens = "a 1024x1024 image is", model.image_tokens(1024, 1024, options.image_detail)
    elif tokens := video_tokens(model):
        what, tokens = "a video is about", tokens + TRANSCRIPT_TOKENS
    return "its image tokens are not predictable" if tokens is None else f"{what} {tokens:,} tokens"


def _videos(job: Job, members: Sequence[MemberOptions], environ: Mapping[str, str]) -> str:
    options = members[0].model
    check_videos(job.source, options)
    most = frames_sent(options, request_limits(members, environ))
    return f"PyAV is installed; frames sent of a video: at most {most}, at detail {options.frame_detail}."


def _groups(job: Job, members: Sequence[MemberOptions], environ: Mapping[str, str]) -> str:
    limits = request_limits(members, environ)
    check_groups(job.source, members[0].model, limits)
    return f"A request may have {limits.images or 'any number of images, as far as is known'}."


def _language(language: str) -> str:
    load_language_check(language)
    return f"Captions in another language than {language} will be told."


def _pack(members: Sequence[MemberOptions], environ: Mapping[str, str]) -> str:
    check_pack(members, environ)
    return f"{members[0].model.pack} images a request are within what is known of limits."


def _enhance(members: Sequence[MemberOptions], environ: Mapping[str, str]) -> str:
    """Who looks at the images, and whether it can."""
    way, vision = way_of_all(members, environ), find_vision(environ)
    wanted = " and ".join(members[0].model.enhance)
    if way == "rapidocr":
        from pipeline.builtin.ocr import load_text_finder

        load_text_finder()
        return f"{wanted}: RapidOCR is installed; it reads on this machine."
    if vision is None:
        return f"{wanted}: Azure OpenAI's own, without a vision resource beside it, as for an AI Services resource."
    return f"{wanted}: {asyncio.run(_vision(analysis_endpoint(vision, members[0].model.enhance)))}"


async def _vision(endpoint: Endpoint) -> str:
    """An image of no bytes is refused, which costs nothing, but only after the key."""
    address = endpoint.url.partition("?")[0]
    async with AsyncExitStack() as stack:
        tokens = await stack.enter_async_context(Tokens(endpoint.cloud, SystemClock())) if endpoint.cloud else None
        client = await stack.enter_async_context(Client(endpoint, ENDPOINT_SECONDS, tokens))
        response = await client.post(b"")
    found = response if isinstance(response, Failure) else read_analysis(response)
    if isinstance(found, Failure) and found.http_status != 400:
        raise RunError(f"{address}: {found.message}")
    return f"{address} answers and accepts {'the token' if endpoint.cloud else KEY_VARIABLE}."


def _describer() -> str:
    from pipeline.builtin import load_describer

    load_describer()
    return "The offline describer is installed; it is free and needs no network."


def _credentials(member: MemberOptions, environ: Mapping[str, str]) -> str:
    endpoint = resolve_endpoint(member.model, environ, member.key_env, member.auth)
    if endpoint.cloud:
        return asyncio.run(_token(endpoint.cloud))
    variable = member.key_env or key_variable(member.model, environ)
    return (
        f"The key comes from {variable}." if endpoint.headers else "No key is set; the endpoint is asked without one."
    )


async def _token(cloud: Cloud) -> str:
    credential = DefaultCredential(cloud)
    try:
        token = await credential.get_token()
    finally:
        await credential.close()
    if isinstance(token, Failure):
        raise RunError(token.message)
    minutes = (token.expires_on - SystemClock().time()) / 60
    return f"A token of Entra ID comes from {credential.found}; it is good for {minutes:.0f} minutes, then renewed."


def _ask(member: MemberOptions, environ: Mapping[str, str]) -> str:
    return asyncio.run(_endpoint(resolve_endpoint(member.model, environ, member.key_env, member.auth)))


async def _endpoint(endpoint: Endpoint) -> str:
    address = endpoint.url.partition("?")[0]
    async with AsyncExitStack() as stack:
        tokens = await stack.enter_async_context(Tokens(endpoint.cloud, SystemClock())) if endpoint.cloud else None
        client = await stack.enter_async_context(Client(endpoint, ENDPOINT_SECONDS, tokens))
        answer = await client.list_models()
    shown = "token" if endpoint.cloud else "key"
    if isinstance(answer, list):
        wanted = endpoint.body_model or endpoint.deployment
        if not answer or wanted in answer or endpoint.deployment:
            return f"{address} answers and accepts the {shown}."
        return f"{address} answers, but does not list {wanted}; it has {', '.join(sorted(answer)[:8])}."
    failure = answer if isinstance(answer, Failure) else read_response(answer.status, answer.headers, answer.body)
    fatal = ("credentials_refused", "wrong_address", "unreachable", "timeout")
    if isinstance(failure, Failure) and failure.reason in fatal:
        raise RunError(f"{address}: {failure.message}")
    return f"{address} answers; it cannot list its models, so the {shown} was not tried."


def _output(out: str) -> str:
    if not out:
        raise UserError("No output folder was given (-o OUT).")
    return f"{try_output(out)} can be written."
