"""Prompt and image to request body. Pure bytes.

The JSON is built once per job as a template; each image's base64 is spliced in as bytes, so no JSON encoder runs
over it (measured on 200 KB images: 0.14 ms an image instead of 2.2 ms for base64 + json.dumps).
"""

import json
import secrets
from dataclasses import dataclass

import pybase64

from pipeline.api.options import ModelOptions


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A request body with a hole where the image's URL goes, and one for the prompt of an image that has its own."""

    head: bytes
    prompt: bytes
    """The job's, as JSON."""
    middle: bytes
    suffix: bytes

    def render(self, image_format: str, data: bytes, prompt: str | None = None) -> bytes:
        """The whole body. `image_format` is that of the bytes (`jpeg`, `png`, ...), never guessed from a file name."""
        mime = b"data:image/" + image_format.encode() + b";base64,"
        return b"".join((self.head, self._text(prompt), self.middle, mime, pybase64.b64encode(data), self.suffix))

    def _text(self, prompt: str | None) -> bytes:
        return self.prompt if prompt is None else json.dumps(prompt).encode()


def build_template(options: ModelOptions, body_model: str | None, max_tokens_parameter: str) -> BodyTemplate:
    """The chat-completions body for every image of a job.

    The text comes before the image, so that requests share the longest possible prefix for the provider's prompt cache.
    `max_tokens` is always sent: some Azure deployments default to 16.
    """
    hole, text_hole = secrets.token_hex(16), secrets.token_hex(16)
    content: list[dict[str, object]] = [
        {"type": "text", "text": text_hole},
        {"type": "image_url", "image_url": {"url": hole, "detail": options.detail}},
    ]
    messages: list[dict[str, object]] = [{"role": "user", "content": content}]
    if options.system:
        messages.insert(0, {"role": "system", "content": options.system})
    body: dict[str, object] = {} if body_model is None else {"model": body_model}
    body |= {"messages": messages, max_tokens_parameter: options.max_tokens}
    head, rest = json.dumps(body, separators=(",", ":")).split(f'"{text_hole}"')
    middle, suffix = rest.split(hole)
    return BodyTemplate(head.encode(), json.dumps(options.prompt).encode(), middle.encode(), suffix.encode())


def rename_max_tokens(body: bytes) -> bytes:
    """The same body with the other name of the limit, `max_completion_tokens` or `max_tokens`, for a model that refuses
    the one it was given: reasoning models want the newer one, older API versions know the older one alone.
    """
    # JSON escapes the quotes of a prompt, so nothing but the parameter reads like this; it stands near the end.
    old, new = b'"max_tokens":', b'"max_completion_tokens":'
    if old not in body:
        old, new = new, old
    head, found, tail = body.rpartition(old)
    return head + new + tail if found else body
