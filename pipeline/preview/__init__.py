"""What would be sent for an image, exactly, and never is: to look at, to hand on, to try by hand. Knows no secret."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.api.endpoint import Endpoint, catalogue_name, key_variable, resolve_endpoint, split_name
from pipeline.api.options import ModelOptions
from pipeline.api.payload import image_of, render_head, tail_template
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.opening import first_form
from pipeline.api.pool.taken import request_limits
from pipeline.engine.preparing.by_url import HEAD_BYTES
from pipeline.engine.preparing.preparer import Fetched
from pipeline.engine.preparing.rules import build_preparer, json_tail
from pipeline.errors import UserError
from pipeline.items import Request, SourceImage
from pipeline.job import Job
from pipeline.models import find_model
from pipeline.preview.python import render_python
from pipeline.sources import Source, open_source
from pipeline.sources.source import remote_source
from pipeline.sources.web.reader import WebReader

_HIDDEN = "\0image\0"
"""In place of the image, where a program says how to read it."""
_MARK = b";base64,"


@dataclass(frozen=True, slots=True)
class Preview:
    """One request that is not sent. Its headers name the variable that holds the key, as a shell does."""

    key: str
    endpoint: Endpoint
    head: bytes
    """The body up to the image's base64."""
    image: bytes | None
    """As it is sent; None: the model fetches it from its address, which is in `head`."""
    tail: bytes
    request: Request

    @property
    def headers(self) -> dict[str, str]:
        token = {"Authorization": "Bearer $TOKEN"} if self.endpoint.cloud else {}
        return {"Content-Type": "application/json", **self.endpoint.headers, **token}

    @property
    def file_name(self) -> str:
        """For the image as it is sent."""
        stem = re.sub(r"[^\w.-]+", "_", Path(self.key).stem) or "image"
        return f"{stem}.sent.{self.request.sent.format}"

    def _body(self, image: str) -> dict[str, Any]:
        """With this in place of the image's data URL."""
        body: dict[str, Any] = json.loads(self.head + self.tail)
        if self.image is not None:
            body["messages"][-1]["content"][-1]["image_url"]["url"] = image
        return body

    def to_dict(self) -> dict[str, object]:
        """With the number of its bytes in place of the image."""
        sent = self.request.sent
        size = len(self.image or b"")
        return {
            "key": self.key,
            "method": "POST",
            "url": self.endpoint.url,
            "headers": self.headers,
            "body": self._body(f"data:image/{sent.format};base64,[{size} bytes, {sent.width}x{sent.height}]"),
            "predicted_prompt_tokens": self.request.predicted_prompt_tokens,
        }

    def to_curl(self, image_file: str) -> str:
        """A command of a POSIX shell with curl and base64, which sends the same bytes."""
        address = f"curl -sS {shlex.quote(self.endpoint.url)}"
        headers = " \\\n".join(f'  -H "{name}: {value}"' for name, value in self.headers.items())
        token = ""
        if cloud := self.endpoint.cloud:
            token = f"TOKEN=$(az account get-access-token --scope {cloud.scope} --query accessToken --output tsv)\n"
        head, tail = (shlex.quote(part.decode()) for part in (self.head, self.tail))
        if self.image is None:
            return f"{token}{address} \\\n{headers} \\\n  --data-binary {shlex.quote((self.head + self.tail).decode())}"
        encoded = f"base64 < {shlex.quote(image_file)} | tr -d '\\n'"
        body = f"{{ printf %s {head}\n  {encoded}\n  printf %s {tail}; }}"
        return f"{token}{body} | {address} \\\n{headers} \\\n  --data-binary @-"

    def to_python(self, image_file: str) -> str:
        """A program for the openai package, which asks the same."""
        where = None if self.image is None else (image_file, f"data:image/{self.request.sent.format};base64,")
        return render_python(self.endpoint, self._body(_HIDDEN), _HIDDEN, where)


def preview(job: Job, environ: Mapping[str, str], count: int = 1) -> Iterator[Preview]:
    """For the first `count` images of the job's source, as the first of its endpoints would be asked.

    Raises UserError when the job asks nobody, and when an image cannot be made ready to send.
    """
    member = job.members[0]
    if split_name(member.model.name)[0] == "builtin":
        raise UserError(f"{member.model.name} sends nothing; name a model of an endpoint, e.g. --model openai:gpt-4o.")
    if not job.source.paths:
        raise UserError("No source was given; name an image.")
    model = find_model(catalogue_name(member.model))
    endpoint = _endpoint(member, environ)
    head = render_head(member.model, first_form(endpoint, model))
    source = open_source(job.source)
    limits = request_limits(job.members, environ)
    encode = json_tail(tail_template(member.model))
    prepare = build_preparer(job.source, job.image, member.model, model, limits, encode)
    for image in islice(source.list(), count):
        [request] = prepare([_read(source, image, member.model)])
        if not isinstance(request, Request):
            raise UserError(f"{image.key} would not be sent: {request.failure.message}")
        yield _preview(endpoint, head, request)


def _preview(endpoint: Endpoint, head: bytes, request: Request) -> Preview:
    tail = request.body
    if request.by_url:
        return Preview(request.image.key, endpoint, head + tail, None, b"", request)
    begin = tail.rindex(_MARK) + len(_MARK)
    end = tail.index(b'"', begin)
    return Preview(request.image.key, endpoint, head + tail[:begin], image_of(tail), tail[end:], request)


def _read(source: Source, image: SourceImage, options: ModelOptions) -> Fetched:
    """As a run reads it; an address that is sent is told without its signature."""
    if options.send == "url" and isinstance(remote_source(source, image), WebReader):
        return Fetched(replace(image, address=None), source.read_head(image, HEAD_BYTES), by_url=True)
    return Fetched(image, source.read(image))


def _endpoint(member: MemberOptions, environ: Mapping[str, str]) -> Endpoint:
    """With the name of the variable where the key would be, which nobody reads."""
    provider, _ = split_name(member.model.name)
    variable = member.key_env or key_variable(member.model, environ)
    wanted = member.key_env or (provider == "openai" and not (member.model.base_url or environ.get("OPENAI_BASE_URL")))
    named = {variable: f"${variable}"} if wanted or environ.get(variable) else {}
    return resolve_endpoint(member.model, {**environ, **named}, member.key_env, member.auth)
