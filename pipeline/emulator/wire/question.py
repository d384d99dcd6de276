"""A request body, read the way the providers read it: their own words for everything that is wrong. Pure.

Unknown parameters are refused as the real endpoints do, so that a wire error shows in a rehearsal and not on the bill.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import pybase64

from pipeline.emulator.limits import Provider
from pipeline.emulator.wire.errors import BAD_JSON, UNSUPPORTED_IMAGE, Rejected, WireError
from pipeline.emulator.wire.shapes import WantedShape, read_shape
from pipeline.emulator.wire.video import VideoAsked
from pipeline.errors import ImageError
from pipeline.images import decode_rgb, hash_bytes
from pipeline.images.probe import is_complete, probe
from pipeline.models import MAX_SIDE_PX, Model, RequestLimits, find_limits

T = TypeVar("T")

FORMATS = ("png", "jpeg", "gif", "webp")
ROLES = ("system", "user", "assistant", "developer", "tool")
DIGEST_DIGITS = 12
MAX_STRING = 1_048_576

# fmt: off
PARAMETERS = frozenset((
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
))
# fmt: on
MAX_COMPLETION_TOKENS_SINCE = "2024-09-01-preview"


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a request, from its header."""

    format: str
    width: int
    height: int
    detail: str
    mime: str
    """As the data URL claims."""
    digest: str
    """The first hex digits of the SHA-256 of its bytes; captions show it."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Message:
    """The texts of one message, and its images."""

    role: str
    text: str
    """The first, or the only one."""
    pictures: tuple[Picture, ...] = ()
    labels: tuple[str, ...] = ()
    """Its further texts, as they stand between images."""


@dataclass(frozen=True, slots=True)
class Question:
    """A valid request."""

    messages: tuple[Message, ...]
    max_tokens: int | None
    """By either name."""
    shape: WantedShape | None = None
    """What the answer is to fit."""
    grounding: bool = False
    video: VideoAsked | None = None
    """It is about a video of an index."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for message in self.messages for picture in message.pictures)

    @property
    def text(self) -> str:
        """All texts joined."""
        return "".join(message.text for message in self.messages)

    @property
    def characters(self) -> int:
        return sum(len(text) for message in self.messages for text in (message.text, *message.labels))

    @property
    def digest(self) -> str:
        """The same for the same texts and images, whatever the other parameters."""
        parts = [
            part
            for message in self.messages
            for part in (message.role, message.text, *message.labels, *_digests(message))
        ]
        parts += [self.video.index, self.video.document_id] if self.video else ()
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def read_question(
    body: Mapping[str, object],
    model: Model,
    *,
    provider: Provider,
    api_version: str | None,
    decode: bool,
) -> Question:
    """A question that `model` can answer, or Rejected with the provider's error."""
    given = _check_parameters(body, provider, api_version)
    listed = _expect(body.get("messages"), list, "messages", "an array of objects")
    if not listed:
        _reject("Invalid 'messages': empty array. Expected an array with minimum length 1.", "messages", "empty_array")
    messages = tuple(_message(message, f"messages[{index}]", decode) for index, message in enumerate(listed))
    question = Question(
        messages=messages,
        max_tokens=_max_tokens(body, model),
        shape=read_shape(body.get("response_format"), model, provider, api_version, " ".join(_texts(messages))),
    )
    _check_pictures(question.pictures, model, find_limits(model, api_version, provider))
    _check_reasoning(model, given, _optional(body, "temperature", (int, float), "a decimal"))
    return question


def _check_parameters(body: Mapping[str, object], provider: Provider, api_version: str | None) -> frozenset[str]:
    """Names of the parameters that were sent with a value; Rejected when one of them does not exist."""
    known = PARAMETERS
    if api_version is not None and api_version < MAX_COMPLETION_TOKENS_SINCE:
        known -= {"max_completion_tokens"}
    for name in body:
        if name not in known:
            _reject(f"Unrecognized request argument supplied: {name}")
    if body.get("stream"):
        _reject("The emulator does not stream; leave out 'stream'.", "stream", "unsupported_value")
    if body.get("n") not in (None, 1):
        _reject("The emulator answers once; leave out 'n'.", "n", "unsupported_value")
    return frozenset(name for name, value in body.items() if value is not None)


def _check_pictures(pictures: Sequence[Picture], model: Model, limits: RequestLimits) -> None:
    if limits.images and len(pictures) > limits.images.most:
        message = f"Too many images in request: {len(pictures)}, maximum allowed: {limits.images.most}."
        _reject(message, "messages", "too_many_images")
    for picture in pictures:
        _one_of(picture.detail, model.details, "image_url.detail")
        side_px = limits.side_px(len(pictures))
        if max(picture.width, picture.height) > (side_px.most if side_px else MAX_SIDE_PX):
            raise Rejected(UNSUPPORTED_IMAGE)
        if limits.image_bytes and picture.bytes > limits.image_bytes.most:
            raise Rejected(UNSUPPORTED_IMAGE)


def _check_reasoning(model: Model, given: frozenset[str], temperature: float | None) -> None:
    """A model that thinks takes neither the old name of the limit nor a temperature."""
    if not model.reasoning:
        return
    if "max_tokens" in given:
        _reject(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if temperature not in (None, 1):
        _reject(
            f"Unsupported value: 'temperature' does not support {temperature} with this model. "
            "Only the default (1) value is supported.",
            "temperature",
            "unsupported_value",
        )


def _max_tokens(body: Mapping[str, object], model: Model) -> int | None:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        _reject(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    name = "max_tokens" if body.get("max_tokens") is not None else "max_completion_tokens"
    value = _optional(body, name, int, "an integer")
    if value is not None and value < 1:
        _reject(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead.",
            name,
            "integer_below_min_value",
        )
    if value is not None and value > (model.max_output_tokens or value):
        _reject(
            f"{name} is too large: {value}. This model supports at most {model.max_output_tokens} completion tokens, "
            f"whereas you provided {value}.",
            name,
            "invalid_value",
        )
    return value


def _message(message: object, where: str, decode: bool) -> Message:
    message = _expect(message, dict, where, "an object")
    role = message.get("role")
    if role is None:
        _reject(f"Missing required parameter: '{where}.role'.", f"{where}.role", "missing_required_parameter")
    _one_of(role, ROLES, f"{where}.role")
    content = message.get("content")
    if content is None and role == "assistant":
        return Message(role, "")
    if isinstance(content, str):
        return Message(role, _text(content, f"{where}.content"))
    if not isinstance(content, list):
        _wrong_type(content, f"{where}.content", "one of a string or array of objects")
    texts, pictures = [], []
    for index, part in enumerate(content):
        place = f"{where}.content[{index}]"
        part = _expect(part, dict, place, "an object")
        _one_of(part.get("type"), ("text", "image_url"), f"{place}.type")
        if part["type"] == "text":
            texts.append(_text(part.get("text"), f"{place}.text"))
        elif role == "user":
            pictures.append(_picture(part.get("image_url"), f"{place}.image_url", decode))
        else:
            _reject(
                f"Image URLs are only allowed for messages with role 'user', but this message with role '{role}'"
                " contains an image URL.",
                where,
                "invalid_value",
            )
    return Message(role, "".join(texts[:1]), tuple(pictures), tuple(texts[1:]))


def _text(value: object, where: str) -> str:
    text = _expect(value, str, where, "a string")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and no text can hold
            raise Rejected(BAD_JSON) from None
    if len(text) > MAX_STRING:
        _reject(
            f"Invalid '{where}': string too long. Expected a string with maximum length {MAX_STRING}, "
            f"but got a string with length {len(text)} instead.",
            where,
            "string_above_max_length",
        )
    return text


def _picture(image_url: object, where: str, decode: bool) -> Picture:
    image_url = _expect(image_url, dict, where, "an object")
    for name in image_url:
        if name not in ("url", "detail"):
            _reject(f"Unknown parameter: '{where}.{name}'.", f"{where}.{name}", "unknown_parameter")
    detail = _expect(image_url.get("detail", "auto"), str, f"{where}.detail", "a string")
    mime, data = _data_url(_expect(image_url.get("url"), str, f"{where}.url", "a string"), f"{where}.url")
    try:
        header = probe(data)
        whole = is_complete(header.format, data)
        if decode:
            decode_rgb(data)
    except ImageError:
        raise Rejected(UNSUPPORTED_IMAGE) from None
    animated = header.format == "gif" and header.frames > 1
    if header.format not in FORMATS or animated or not whole:
        raise Rejected(UNSUPPORTED_IMAGE)
    digest = hash_bytes(data).partition(":")[2][:DIGEST_DIGITS]
    return Picture(header.format, header.width, header.height, detail, mime, digest, len(data))


def _data_url(url: str, where: str) -> tuple[str, bytes]:
    if url.startswith(("http://", "https://")):
        _reject(f"Timeout while downloading {url}.", where, "invalid_image_url")
    comma = url.find(",", 0, 256)
    if not url.startswith("data:") or comma < 0:
        _reject(
            f"Invalid image URL: '{where}'. Expected a base64-encoded data URL with an image MIME type "
            "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value without the 'data:' prefix.",
            where,
            "invalid_value",
        )
    mime, *flags = url[5:comma].split(";")
    if not mime.startswith("image/"):
        _reject("Invalid MIME type. Only image types are supported.", None, "invalid_image_format")
    try:
        data = pybase64.b64decode(url[comma + 1 :], validate=True)
    except ValueError:
        data = b""
    if "base64" not in flags or not data:
        _reject("Invalid base64 image_url.", where, "invalid_base64_image")
    return mime, data


def _texts(messages: Iterable[Message]) -> Iterable[str]:
    return (message.text for message in messages)


def _digests(message: Message) -> Iterable[str]:
    return (picture.digest for picture in message.pictures)


def _optional(body: Mapping[str, object], name: str, kind: type[T] | tuple[type[T], ...], expected: str) -> T | None:
    value = body.get(name)
    return None if value is None else _expect(value, kind, name, expected)


def _expect(value: object, kind: type[T] | tuple[type[T], ...], where: str, expected: str) -> T:
    if isinstance(value, bool) or not isinstance(value, kind):
        _wrong_type(value, where, expected)
    return value


def _wrong_type(value: object, where: str, expected: str) -> NoReturn:
    if value is None:
        _reject(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    got = {
        str: "a string",
        list: "an array",
        dict: "an object",
        int: "an integer",
        float: "a decimal",
        bool: "a boolean",
    }
    kind = got.get(type(value), "something else")
    _reject(f"Invalid type for '{where}': expected {expected}, but got {kind} instead.", where, "invalid_type")


def _one_of(value: object, allowed: tuple[str, ...], where: str) -> None:
    if value not in allowed:
        names = ", ".join(f"'{name}'" for name in allowed[:-1])
        _reject(
            f"Invalid value: '{value}'. Supported values are: {names}, and '{allowed[-1]}'.", where, "invalid_value"
        )


def _reject(message: str, param: str | None = None, code: str | None = None) -> NoReturn:
    raise Rejected(WireError(400, message, param=param, code=code))
