"""What would be sent for an image, exactly, and never is: to look at, to hand on, to try by hand. Knows no secret."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.api.endpoint import (
    Endpoint,
    catalogue_name,
    enhancing_way,
    key_variable,
    resolve_endpoint,
    split_name,
)
from pipeline.api.environment import read_variable
from pipeline.api.options import ModelOptions
from pipeline.api.payload import LabelledImage, around_images, images_of, render_head, tail_template
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.opening import first_form
from pipeline.api.pool.taken import request_limits
from pipeline.api.prompts import own_prompts
from pipeline.api.retrieval.videos import open_images
from pipeline.api.vision.analysis import analysis_endpoint
from pipeline.api.vision.resource import KEY_VARIABLE, find_vision
from pipeline.engine.packing.joining import packing_of
from pipeline.engine.preparing.by_url import HEAD_BYTES
from pipeline.engine.preparing.documents import Documents
from pipeline.engine.preparing.preparer import Fetched, Listed
from pipeline.engine.preparing.rules import build_preparer, check_groups, check_videos, json_tail, within_limits
from pipeline.errors import UserError
from pipeline.images import probe
from pipeline.items import Request, SourceImage
from pipeline.job import Job
from pipeline.models import find_model
from pipeline.preview.python import DataUrl, render_python
from pipeline.sources import Source, open_source
from pipeline.sources.source import remote_source
from pipeline.sources.web.reader import WebReader

_HIDDEN = "\0image {}\0"
"""In place of an image, where a program says how to read it."""


@dataclass(frozen=True, slots=True)
class Preview:
    """One request that is not sent. Its headers name the variable that holds the key, as a shell does."""

    keys: Sequence[str]
    """Of what is asked about: one, or each of a pack."""
    endpoint: Endpoint
    pieces: Sequence[bytes]
    """Of the body: what stands before, between and after the base64 of its images."""
    images: Sequence[LabelledImage]
    """As they are sent; none: the model fetches it from its address."""
    predicted_prompt_tokens: int | None
    before: Mapping[str, object] | str | None = None
    """What is asked first, and who finds what then stands at the end of the prompt; None: nobody."""

    @property
    def key(self) -> str:
        return ", ".join(self.keys)

    @property
    def headers(self) -> dict[str, str]:
        token = {"Authorization": "Bearer $TOKEN"} if self.endpoint.cloud else {}
        return {"Content-Type": "application/json", **self.endpoint.headers, **token}

    @property
    def file_names(self) -> list[str]:
        """For the images as they are sent."""
        stems = [re.sub(r"[^\w.-]+", "_", Path(key).stem) or "image" for key in self.keys]
        if len(self.images) == len(set(stems)):
            return [f"{stem}.sent.{image.format}" for stem, image in zip(stems, self.images, strict=True)]
        return [f"{stems[0]}.{number}.sent.{image.format}" for number, image in enumerate(self.images, start=1)]

    def _body(self, shown: Sequence[str]) -> dict[str, Any]:
        """With these in place of the images' data URLs."""
        body: dict[str, Any] = json.loads(b"".join(self.pieces))
        parts = [part["image_url"] for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
        for part, text in zip(parts, shown, strict=bool(shown)):
            part["url"] = text
        return body

    def to_dict(self) -> dict[str, object]:
        """With the number of its bytes in place of each image."""
        return {
            "key": self.key,
            "method": "POST",
            "url": self.endpoint.url,
            "headers": self.headers,
            "body": self._body([f"data:image/{image.format};base64,[{_size(image)}]" for image in self.images]),
            "predicted_prompt_tokens": self.predicted_prompt_tokens,
            **({"before": self.before} if self.before else {}),
        }

    def to_curl(self, files: Sequence[str]) -> str:
        """A command of a POSIX shell with curl and base64, which sends the same bytes; the images are in `files`."""
        address = f"curl -sS {shlex.quote(self.endpoint.url)}"
        headers = " \\\n".join(f'  -H "{name}: {value}"' for name, value in self.headers.items())
        token = ""
        if cloud := self.endpoint.cloud:
            token = f"TOKEN=$(az account get-access-token --scope {cloud.scope} --query accessToken --output tsv)\n"
        first, *others = (shlex.quote(piece.decode()) for piece in self.pieces)
        if self.endpoint.extension:  # it stands in front of all that could hold the same words
            first = first.replace(f'"${KEY_VARIABLE}"', f'"\'"${KEY_VARIABLE}"\'"', 1)
        token = self._remark + token
        if not self.images:
            return f"{token}{address} \\\n{headers} \\\n  --data-binary {first}"
        steps = [f"printf %s {first}"]
        for file, piece in zip(files, others, strict=True):
            steps += [f"base64 < {shlex.quote(file)} | tr -d '\\n'", f"printf %s {piece}"]
        body = "{ " + "\n  ".join(steps) + "; }"
        return f"{token}{body} | {address} \\\n{headers} \\\n  --data-binary @-"

    def to_python(self, files: Sequence[str]) -> str:
        """A program for the openai package, which asks the same."""
        hidden = [_HIDDEN.format(number) for number, _ in enumerate(self.images)]
        formats = [image.format for image in self.images]
        places = [DataUrl(*each) for each in zip(hidden, formats, files, strict=True)] if self.images else []
        return self._remark + render_python(self.endpoint, self._body(hidden), places)

    @property
    def _remark(self) -> str:
        """For a program, which does not look first."""
        return "# In a run, what was found in the image stands at the end of the prompt.\n" if self.before else ""


def preview(job: Job, environ: Mapping[str, str], count: int = 1, named: str | None = None) -> Iterator[Preview]:
    """The first `count` requests for the job's source, as the endpoint so `named`, or the first, would be sent them.

    Raises UserError when the job asks nobody, and when an image cannot be made ready to send.
    """
    member = _member(job.members, named)
    if split_name(member.model.name)[0] == "builtin":
        raise UserError(f"{member.model.name} sends nothing; name a model of an endpoint, e.g. --model openai:gpt-4o.")
    if not job.source.paths:
        raise UserError("No source was given; name an image.")
    model = find_model(catalogue_name(member.model))
    endpoint = _endpoint(member, environ)
    if member.model.video_index:
        yield from _of_index(job, member.model, endpoint, environ, count)
        return
    source = open_source(job.source)
    limits = request_limits(job.members, environ)
    check_groups(job.source, member.model, limits)
    check_videos(job.source, member.model)
    encode = json_tail(tail_template(member.model))
    before = _before(member.model, environ)
    form = first_form(endpoint, model)
    prepare = build_preparer(job.source, job.image, member.model, model, form, limits, encode)
    listing = within_limits(own_prompts(source.list(), member.model.prompt), limits)

    def prepared() -> Iterator[Request]:
        for image in listing:
            [request] = prepare([_read(source, image, member.model)])
            if not isinstance(request, Request):
                raise UserError(f"{image.key} would not be sent: {request.failure.message}")
            yield request

    packing = packing_of(job.members, environ)
    for together in islice(packing.packs(prepared()), count):
        request = packing.join(together) if len(together) > 1 else together[0]
        max_tokens = request.max_tokens or member.model.max_tokens
        head = render_head(replace(member.model, max_tokens=max_tokens), form, request.pack)
        shown = _preview(endpoint, head, request, [each.image.key for each in together])
        yield replace(shown, before=before)


def _of_index(
    job: Job, options: ModelOptions, endpoint: Endpoint, environ: Mapping[str, str], count: int
) -> Iterator[Preview]:
    """Videos are told without their signatures."""
    model = find_model(catalogue_name(options))
    head, documents = render_head(options, first_form(endpoint, model)), Documents(options, model)
    listing = own_prompts(open_images(job.source, options, environ).list(), options.prompt)
    for video in islice(listing, count):
        request = documents.request(replace(video, address=None))
        if not isinstance(request, Request):
            raise UserError(f"{video.key} would not be sent: {request.failure.message}")
        yield Preview([video.key], endpoint, (head + request.body,), (), request.predicted_prompt_tokens)


def _member(members: Sequence[MemberOptions], name: str | None) -> MemberOptions:
    found = members[0] if name is None else next((member for member in members if member.name == name), None)
    if found is None:
        known = ", ".join(member.name for member in members if member.name)
        raise UserError(f"There is no endpoint {name!r}; " + (f"there are {known}." if known else "the job has one."))
    return found


def _size(image: LabelledImage) -> str:
    header = probe(image.data)
    return f"{len(image.data)} bytes, {header.width}x{header.height}"


def _preview(endpoint: Endpoint, head: bytes, request: Request, keys: Sequence[str]) -> Preview:
    first, *others = around_images(request.body)
    images = [] if request.by_url else images_of(request.body)
    return Preview(keys, endpoint, (head + first, *others), images, request.predicted_prompt_tokens)


def _read(source: Source, image: SourceImage, options: ModelOptions) -> Listed:
    """As a run reads it; an address that is sent is told without its signature."""
    if image.failure or not any(remote_source(source, each) for each in image.members or (image,)):
        return image
    if image.members:
        return Fetched(image, tuple(source.read(member) for member in image.members))
    if options.send == "url" and isinstance(remote_source(source, image), WebReader):
        return Fetched(replace(image, address=None), (source.read_head(image, HEAD_BYTES),), by_url=True)
    return Fetched(image, (source.read(image),))


def _endpoint(member: MemberOptions, environ: Mapping[str, str]) -> Endpoint:
    """With the name of the variable where the key would be, which nobody reads."""
    provider, _ = split_name(member.model.name)
    variable = member.key_env or key_variable(member.model, environ)
    wanted = member.key_env or (
        provider == "openai" and not (member.model.base_url or read_variable("OPENAI_BASE_URL", environ))
    )
    named = {variable: f"${variable}"} if wanted or environ.get(variable) else {}
    return resolve_endpoint(member.model, {**_without_vision_key(environ), **named}, member.key_env, member.auth)


def _without_vision_key(environ: Mapping[str, str]) -> dict[str, str]:
    named = {KEY_VARIABLE: f"${KEY_VARIABLE}"} if environ.get(KEY_VARIABLE) else {}
    return {**environ, **named}


def _before(options: ModelOptions, environ: Mapping[str, str]) -> Mapping[str, object] | str | None:
    """Who looks at an image before the model is asked."""
    way, vision = enhancing_way(options, environ), find_vision(_without_vision_key(environ))
    if way == "image-analysis" and vision:
        asked = analysis_endpoint(vision, options.enhance)
        token = {"Authorization": "Bearer $TOKEN"} if asked.cloud else {}
        headers = {"Content-Type": asked.content_type, **asked.headers, **token}
        return {"method": "POST", "url": asked.url, "headers": headers, "body": "[the image as it is sent]"}
    return "RapidOCR on this machine" if way == "rapidocr" else None
