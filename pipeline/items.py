"""The messages that travel between the stages. Floor 0: plain values, imports nothing of ours.

    SourceImage -> (Probe) -> Prepared -> Request -> Answer(Reply | Failure) -> Record
    SourceImage -> Unprepared(Failure) -> Record

All are slotted, and frozen for the type checker (`message`). An image that fails is a value (`Failure`) that ends as a
row, never an exception.
Sizes are pixels as (width, height) as a person sees the picture, after EXIF rotation; `bytes` are lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeVar, dataclass_transform

Status = Literal["captioned", "truncated", "filtered", "refused", "failed"]
REUSABLE: tuple[Status, ...] = ("captioned", "truncated")
"""Statuses of rows that hold a caption. A refusal or a failure holds none: its copies are asked themselves."""
Mode = Literal["live", "batch", "reused"]


T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def message(kind: type[T]) -> type[T]:
    """A dataclass with slots, frozen for the type checker alone.

    Frozen at run time, the hundred fields of an image's messages would take 20 us to set, where they take 4.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


OWN_PROMPT = "+prompt:"
"""In the version of an image that has a prompt of its own, before that prompt's digest."""


def own_prompt_of(version: str) -> str:
    """The digest of an image's own prompt, from its version; empty when it is asked with the job's."""
    return version.partition(OWN_PROMPT)[2]


@message
class SourceImage:
    """One image as a listing names it; nothing of it has been read."""

    key: str
    """Stable id within its source: relative path, blob name, listing id. Valid Unicode, `/` between folders."""
    uri: str
    """Where to read it, without any secret. A local file is a percent-encoded `file://` URI."""
    version: str
    """Changes when the content does: an etag, or `size-mtime_ns`."""
    bytes: int | None = None
    """Length as listed, where the listing says it."""
    metadata: Mapping[str, str] | None = None
    """Further columns of a listing file."""
    prompt: str | None = None
    """This image's own, in place of the job's; `version` changes with it."""
    address: str | None = field(default=None, repr=False)
    """Where to read it when `uri` leaves out a secret, such as a signed URL. Never written anywhere."""
    members: tuple["SourceImage", ...] = ()
    """The images that are asked about together, in order, when this one stands for them; empty: a single image."""
    failure: "Failure | None" = None
    """Why it will not be captioned, when the listing knows already: nothing is read, this is its row."""
    duration: float | None = None
    """Seconds, of a video that is not read here, where the listing says them."""


@message
class Probe:
    """What an image's header says. Nothing was decoded."""

    format: str
    """`jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff`, `heic`, `avif`: lower case."""
    width: int
    height: int
    orientation: int = 1
    """EXIF orientation 1..8; 5 to 8 mean that the stored sides are swapped."""
    frames: int = 1
    """More than one: animated (or a multi-page TIFF), the first frame is what is captioned; or a video's, about."""
    duration: float | None = None
    """Seconds, of a video."""


@message
class Prepared:
    """An image made ready to send."""

    probe: Probe
    content_hash: str
    """Of the original bytes, `algorithm:hex`."""
    original_bytes: int
    format: str
    width: int
    height: int
    data: bytes
    """The encoded image that is sent; the original's own bytes when it was passed through."""


@message
class Sent:
    """What was, or will be, sent of an image. Of several: format and sides where all have the same, all bytes."""

    format: str | None
    width: int | None
    height: int | None
    bytes: int


@message
class Request:
    """One question about one image, or about several together, ready to send."""

    image: SourceImage
    probe: Probe | None
    """None: it is several images (`image.members`)."""
    content_hash: str | None
    """None: the model fetches the image itself, its bytes never came here."""
    original_bytes: int | None
    sent: Sent
    body: bytes
    """What a worker made for the provider: the JSON from the image on for HTTP endpoints, each of which has its own
    beginning (`api.payload`); the encoded image for the built-in describer."""
    predicted_image_tokens: int | None
    """None: the model's rule is unknown. Never 0 for unknown."""
    predicted_prompt_tokens: int | None
    max_tokens: int | None = None
    """Upper bound of the answer where it is not the job's."""
    fingerprint: bytes | None = None
    """How the picture looks (`images.fingerprint`), where the job wants near-duplicates to be found."""
    by_url: bool = False
    """The body holds the image's address in place of the image."""
    pack: int = 1
    """Independent images in the body, each of which gets an answer of its own out of the one that comes."""
    alone: bool = False
    """Not to be packed with others."""
    detail: str | None = None
    """At which the images are looked at, where it is not the job's: frames of a video."""


@message
class Usage:
    """Tokens as the server counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    def plus(self, other: "Usage") -> "Usage":
        """The sum; None only where neither counted."""
        return Usage(
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            _sum(self.total_tokens, other.total_tokens),
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


@message
class FilterResult:
    """One category of a content filter's verdict."""

    category: str
    severity: str | None
    filtered: bool
    where: Literal["prompt", "completion"]


@message
class Grounding:
    """Something in the picture, where it lies, and where the caption speaks of it."""

    text: str
    """What the caption calls it; or the text that was read, the name of the object that was found."""
    offset: int | None
    """Unicode code points into the caption; None: the caption does not have it word for word."""
    length: int | None
    polygon: tuple[tuple[float, float], ...]
    """(x, y) corners as fractions 0..1 of the picture's sides."""


@message
class Found:
    """A line of text or an object that was found in a picture before the model was asked about it."""

    kind: Literal["text", "object"]
    text: str
    """The line, or the object's name."""
    polygon: tuple[tuple[float, float], ...]
    """(x, y) corners as fractions 0..1 of the picture's sides."""


@message
class Reply:
    """A model's answer, as read from the wire. A refusal and a cut-off answer are replies too: they were paid for."""

    caption: str
    usage: Usage
    finish_reason: str | None = None
    refusal: str | None = None
    """The server's own refusal text (`message.refusal`), when it sent one instead of an answer."""
    model_returned: str | None = None
    request_id: str | None = None
    content_filter: tuple[FilterResult, ...] = ()
    grounding: tuple[Grounding, ...] = ()


@message
class Failure:
    """Why an image has no answer. `reason` is a stable code, `message` one sentence without secrets."""

    reason: str
    message: str
    status: Status = "failed"
    http_status: int | None = None
    code: str | None = None
    """The server's own error code, lower case."""
    param: str | None = None
    """The request parameter that the server blames."""
    retry_after: float | None = None
    """Seconds that the server asked us to wait."""
    usage: Usage = Usage()
    """Of an answer that was paid for although it is useless."""
    finish_reason: str | None = None
    model_returned: str | None = None
    request_id: str | None = None
    content_filter: tuple[FilterResult, ...] = ()


@message
class Unprepared:
    """An image that could not be made ready; with what is known of it all the same."""

    image: SourceImage
    failure: Failure
    probe: Probe | None = None
    content_hash: str | None = None
    bytes: int | None = None


@message
class Respondent:
    """Who was asked: of several endpoints, one."""

    provider: str
    model: str
    """As it was asked for; behind an Azure deployment, the one that the user named."""
    deployment: str | None = None


@message
class Answer:
    """How asking ended, and what it took."""

    outcome: Reply | Failure
    respondent: Respondent
    """Of the last attempt."""
    attempts: int
    """Requests sent for this image."""
    latency_ms: int
    """Of the last one, from sending to the last byte."""
    queue_ms: int
    """What the last one waited for its turn."""
    started_at: datetime
    finished_at: datetime
    usage: Usage = Usage()
    """Of all attempts together: also of those that were billed and useless."""
    cost_usd: Decimal | None = None
    """Of all attempts whose usage is known, each at its own price; None: no usage or no price is known."""
    price_date: date | None = None
    remade: Request | None = None
    """What was sent in the end, where it is not what was to be asked: a smaller image, or several times."""
    trouble: str | None = None
    """Of the whole run, which it ends with: what was paid for before that is a row all the same."""


@message
class Record:
    """One row of the output: exactly one per listed image, whatever happened to it.

    Field names, order and meaning are the columns of schema version 1; `store.schema` gives their Arrow types.
    """

    key: str
    uri: str
    source_version: str
    status: Status
    request_hash: str
    run_id: str
    provider: str
    model: str
    content_hash: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    bytes: int | None = None
    duration: float | None = None
    members: tuple[str, ...] | None = None
    reason: str | None = None
    message: str | None = None
    caption: str | None = None
    fields: Mapping[str, object] | None = None
    model_returned: str | None = None
    deployment: str | None = None
    mode: Mode = "live"
    detail: str | None = None
    sent_width: int | None = None
    sent_height: int | None = None
    sent_bytes: int | None = None
    sent_format: str | None = None
    predicted_prompt_tokens: int | None = None
    predicted_image_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None
    price_date: date | None = None
    finish_reason: str | None = None
    content_filter: tuple[FilterResult, ...] = ()
    grounding: tuple[Grounding, ...] = ()
    attempts: int = 0
    latency_ms: int | None = None
    queue_ms: int | None = None
    request_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    metadata: Mapping[str, str] | None = None
