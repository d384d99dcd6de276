"""Several requests as one: what may go together, the words around it, and what the whole is predicted to take. Pure."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.api.endpoint import azure_version, catalogue_name
from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, TailTemplate, tail_template
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.taken import request_limits
from pipeline.api.prompts import prompt_template
from pipeline.api.structured.counting import expected_form, request_tokens
from pipeline.errors import UserError
from pipeline.items import Request
from pipeline.models import Model, find_model
from pipeline.models import text_tokens as tokens_of

# Of bodies that are joined: a pack is for small images, and gateways refuse bodies that providers would take.
MOST_PACK_BYTES = 16 * 1024 * 1024


EXAMPLE = '{"answers":[{"image":1,"caption":"..."}]}'
"""In place of a schema, which endpoints bill as part of the prompt: 15 tokens instead of some 80."""


def packed_prompt(prompt: str, count: int, *, with_schema: bool) -> str:
    """The job's prompt, for so many images. As short as it can be: together with labels and answers in JSON it must
    take fewer tokens than the prompt once for each image, which may be ten words long.
    """
    asked = f"{prompt}\n\nAnswer about each of the {count} images separately"
    return f"{asked}." if with_schema else f"{asked}, as JSON: {EXAMPLE}"


def labels_of(count: int) -> list[str]:
    """What stands before each image. Without its name, which would be a hint that an image asked alone does not get."""
    return [f"Image {number}:" for number in range(1, count + 1)]


def text_tokens(options: ModelOptions, model: Model, form: Form, count: int) -> int | None:
    """Prompt tokens of a request of `count` images, but for the images; None: unknown."""
    if count == 1:
        return request_tokens(options, model, form, (0,))
    asked = packed_prompt(options.prompt, count, with_schema=options.schema is not None)
    prompt = request_tokens(options, model, form, (0,), asked, count)
    labels = _sum([tokens_of(model, label) for label in labels_of(count)])
    return None if prompt is None or labels is None else prompt + labels


@dataclass(frozen=True, slots=True)
class Packing:
    """How the requests of a job are joined."""

    size: int
    max_tokens: int
    """Upper bound of the answer about one image."""
    template: TailTemplate
    prompt: Callable[[int], str]
    """For so many images."""
    text_tokens: Callable[[int], int | None]
    """Prompt tokens of so many images' request, but for the images."""
    most_tokens: float
    """Prompt and answer of one request, at most."""
    most_bytes: int

    def may_join(self, request: Request) -> bool:
        """Whether it asks the job's own question, with the job's limit, about one image that is sent: neither a group
        nor a video, nor an image with a prompt of its own, nor the address of one.
        """
        asked = request.max_tokens is None and not request.alone
        return asked and request.body.startswith(self.template.beginning)

    def has_room(self, requests: Sequence[Request], another: Request) -> bool:
        """Whether `another` may go with those that are together already."""
        together = [*requests, another]
        if sum(len(request.body) for request in together) > self.most_bytes:
            return False
        images = sum(request.predicted_image_tokens or 0 for request in together)
        count = len(together)
        return images + (self.text_tokens(count) or 0) + count * self.max_tokens <= self.most_tokens

    def packs(self, requests: Iterable[Request]) -> Iterator[list[Request]]:
        """What goes together when requests come one after the other, without a wait in between."""
        together: list[Request] = []
        for request in requests:
            if not self.may_join(request):
                yield [request]
                continue
            if together and not self.has_room(together, request):
                yield together
                together = []
            together.append(request)
            if len(together) == self.size:
                yield together
                together = []
        if together:
            yield together

    def join(self, requests: Sequence[Request]) -> Request:
        """One request for the answers about all of them."""
        count = len(requests)
        images, text = _sum([request.predicted_image_tokens for request in requests]), self.text_tokens(count)
        return replace(
            requests[0],
            content_hash=None,
            body=self.template.join([request.body for request in requests], labels_of(count), self.prompt(count)),
            predicted_image_tokens=images,
            predicted_prompt_tokens=None if images is None or text is None else images + text,
            max_tokens=count * self.max_tokens,
            pack=count,
        )


def packing_of(members: Sequence[MemberOptions], environ: Mapping[str, str]) -> Packing:
    """That of a job with these endpoints. Raises UserError if they do not take such packs."""
    check_pack(members, environ)
    options = members[0].model
    model = find_model(catalogue_name(options))
    form = expected_form(model, azure_version(options, environ))
    limits = request_limits(members, environ)
    # What is more than a whole minute's tokens is never admitted.
    most_tokens = max(member.limits.tpm or math.inf for member in members)
    return Packing(
        size=options.pack,
        max_tokens=options.max_tokens,
        template=tail_template(options),
        prompt=functools.partial(packed_prompt, options.prompt, with_schema=options.schema is not None),
        text_tokens=functools.cache(functools.partial(text_tokens, options, model, form)),
        most_tokens=min(model.context_tokens or math.inf, most_tokens),
        most_bytes=min(MOST_PACK_BYTES, limits.request_bytes.most if limits.request_bytes else MOST_PACK_BYTES),
    )


def check_pack(members: Sequence[MemberOptions], environ: Mapping[str, str]) -> None:
    """UserError for more images in a request than the endpoints, or for longer answers than the model, can give."""
    options = members[0].model
    pack, model = options.pack, find_model(catalogue_name(options))
    if pack == 1:
        return
    if prompt_template(options.prompt):
        raise UserError(f"pack is {pack}, and with a {{column}} in it every image has its own prompt; leave one out.")
    if model.provider == "builtin":
        raise UserError(f"{options.name} looks at one image at a time; leave out pack, or name another model.")
    limit = request_limits(members, environ).images
    if limit and pack > limit.most:
        raise UserError(f"pack is {pack}, and {model} takes fewer images in a request, at most {limit}; lower it.")
    tokens, most = pack * options.max_tokens, model.max_output_tokens
    if most is not None and tokens > most:
        raise UserError(
            f"pack = {pack} with max_tokens = {options.max_tokens} asks for answers of up to {tokens:,} tokens, and "
            f"{model} gives {most:,} at most; lower one of them."
        )


def _sum(tokens: Sequence[int | None]) -> int | None:
    known = [count for count in tokens if count is not None]
    return sum(known) if len(known) == len(tokens) else None
