"""What goes between the run and a process that prepares images for it: messages by socket, bodies in shared memory.

    run -> worker    the Preparer, once; then for each hop (lane, images)
    worker -> run    an Outcome without results when it is ready; then for each hop an Outcome

A message is HEADER, its document, and the blobs (files read already, or bodies) that found no room in the lane's
memory. Both sides go through the blobs in the same order, so that each knows where the next one lies.

The worker trusts the run: documents for it are pickles, of flat tuples (pickling the items, frozen and slotted, takes
four times as long). The run does not trust a worker, which a hostile image may have taken over: what comes from it is
MessagePack, read as these types and nothing else, and every length in it is checked. That takes less time, too:
5.6 us an image, both ends together, and 7.3 us by pickle (tests/benchmarks/bench_wire.py).
"""

import pickle
import struct
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from pipeline.api.payload import LabelledImage
from pipeline.engine.preparing.preparer import Fetched, Listed, TooLarge, image_of
from pipeline.items import Failure, Probe, Request, Sent, SourceImage, Unprepared
from pipeline.texts import valid_unicode

HEADER = struct.Struct("<QQ")
"""Bytes of the document, and of the blobs that follow it."""
# Enough for a hop of small images; larger bodies go over the socket, where copying them is the least of the work.
LANE_BYTES = 4 * 1024 * 1024
# Results and log of a hop take a few kilobytes.
MOST_OUTCOME_BYTES = 4 * 1024 * 1024

Packed = tuple[Any, ...]
Length = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""What the columns of a row hold: a larger number would end the run when the row is written."""
_image_fields = attrgetter(*(field.name for field in fields(SourceImage)))
_MEMBERS = [field.name for field in fields(SourceImage)].index("members")


class Garbled(Exception):
    """What came from a worker is none of its messages."""


class Ready(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=True):
    """A Request, but for its image and its body."""

    body_bytes: Length
    probe: Probe | None
    content_hash: str | None
    original_bytes: Length | None
    sent: Sent
    predicted_image_tokens: Count | None
    predicted_prompt_tokens: Count | None
    max_tokens: Count | None
    fingerprint: bytes | None
    by_url: bool
    detail: str | None


class Broken(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=True):
    """An Unprepared, but for its image."""

    failure: Failure
    probe: Probe | None
    content_hash: str | None
    bytes: Length | None


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """How a hop ended, but for the bodies."""

    results: list[Ready | Broken] = []
    run_error: str | None = None
    """Trouble that is not the images'."""
    log: list[tuple[int, str]] = []
    """(level, text) of what there is to tell the user."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outcome).decode


class Lane:
    """The blobs of a hop, put one after the other into its memory. Those that find no room there go by the socket."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._at = 0
        self.beside: list[bytes] = []
        """What found no room."""

    def put(self, blob: bytes) -> None:
        end = self._at + len(blob)
        if end > len(self._memory):
            self.beside.append(blob)
        else:
            self._memory[self._at : end] = blob
            self._at = end


class FilledLane:
    """The same on the other side: blobs are taken in the order in which they were put."""

    def __init__(self, memory: memoryview, beside: bytes = b"") -> None:
        self._memory = memory
        self._at = 0
        self._beside = beside
        self._beside_at = 0

    def take(self, length: int) -> bytes:
        """Raises Garbled for more than came."""
        end = self._at + length
        if end <= len(self._memory):
            blob = bytes(self._memory[self._at : end])
            self._at = end
            return blob
        begin, self._beside_at = self._beside_at, self._beside_at + length
        if self._beside_at > len(self._beside):
            raise Garbled("a body that ends beyond its room")
        return self._beside[begin : self._beside_at]


def pack_images(images: Sequence[Listed], lane: Lane) -> list[Packed]:
    """Plain tuples; those that were read already are put into `lane`."""
    packed: list[Packed] = []
    for item in images:
        match item:
            case SourceImage():
                packed.append((None, _pack_image(item)))
                continue
            case Fetched(image, files, by_url, path):
                about: Packed = ("Fetched", _pack_image(image), (by_url, path))
            case TooLarge(image, sent):
                about = ("TooLarge", _pack_image(image), [(part.label, part.format) for part in sent])
                files = tuple(part.data for part in sent)
        for file in files:
            lane.put(file)
        packed.append((*about, *map(len, files)))
    return packed


def unpack_images(packed: Sequence[Packed], lane: FilledLane) -> list[Listed]:
    """The same images again."""
    images: list[Listed] = []
    for kind, own, *rest in packed:
        image = _unpack_image(own)
        if kind is None:
            images.append(image)
            continue
        about, *lengths = rest
        files = tuple(map(lane.take, lengths))
        if kind == "Fetched":
            images.append(Fetched(image, files, *about))
        else:
            parts = zip(about, files, strict=True)
            images.append(TooLarge(image, tuple(LabelledImage(label, form, data) for (label, form), data in parts)))
    return images


def _pack_image(image: SourceImage) -> Packed:
    values: Packed = _image_fields(image)
    return _with_members(values, tuple(map(_pack_image, image.members))) if image.members else values


def _unpack_image(packed: Packed) -> SourceImage:
    if members := packed[_MEMBERS]:
        packed = _with_members(packed, tuple(map(_unpack_image, members)))
    return SourceImage(*packed)


def _with_members(values: Packed, members: Packed) -> Packed:
    return (*values[:_MEMBERS], members, *values[_MEMBERS + 1 :])


def pack_results(results: Iterable[Request | Unprepared], lane: Lane) -> list[Ready | Broken]:
    """Without their images, which the run has. Each body is put into `lane` as it comes: the processor has it at hand.

    Measured: 86 us to make a small image ready and put it there, 95 when all of a hop are made first.
    """
    packed = []
    for result in results:
        if isinstance(result, Request):
            lane.put(result.body)
        packed.append(_pack(result))
    return packed


def _pack(result: Request | Unprepared) -> Ready | Broken:
    if isinstance(result, Unprepared):
        failure = replace(result.failure, message=valid_unicode(result.failure.message))
        return Broken(failure, result.probe, result.content_hash, result.bytes)
    return Ready(
        len(result.body), result.probe, result.content_hash, result.original_bytes, result.sent,
        result.predicted_image_tokens, result.predicted_prompt_tokens, result.max_tokens, result.fingerprint,
        result.by_url, result.detail,
    )  # fmt: skip


def unpack_results(
    images: Sequence[Listed], packed: Sequence[Ready | Broken], lane: FilledLane
) -> list[Request | Unprepared]:
    """The same results again. Raises Garbled where they cannot be those of `images`."""
    if len(packed) != len(images):
        raise Garbled(f"{len(packed)} results for {len(images)} images")
    results: list[Request | Unprepared] = []
    for item, made in zip(images, packed, strict=True):
        image = image_of(item)
        if made.probe:
            _check_sides(made.probe.width, made.probe.height)
        if isinstance(made, Broken):
            failure = Failure(made.failure.reason, made.failure.message)  # it has nothing else to say
            results.append(Unprepared(image, failure, made.probe, made.content_hash, made.bytes))
            continue
        _check_sides(made.sent.width, made.sent.height)
        results.append(_request(image, made, lane.take(made.body_bytes)))
    return results


def _check_sides(width: int | None, height: int | None) -> None:
    if not (0 <= (width or 0) < 2**31 and 0 <= (height or 0) < 2**31):
        raise Garbled("an image whose sides cannot be")


def _request(image: SourceImage, made: Ready, body: bytes) -> Request:
    return Request(
        image, made.probe, made.content_hash, made.original_bytes, made.sent, body,
        made.predicted_image_tokens, made.predicted_prompt_tokens, made.max_tokens, made.fingerprint, made.by_url,
        detail=made.detail,
    )  # fmt: skip


def to_worker(content: object, beside: Sequence[bytes] = ()) -> list[bytes]:
    """What to send for `content`, and for those of its blobs that found no room in the lane."""
    return _message(pickle.dumps(content, pickle.HIGHEST_PROTOCOL), beside)


def to_run(outcome: Outcome, beside: Sequence[bytes] = ()) -> list[bytes]:
    """The same in the other direction."""
    return _message(_encode(outcome), beside)


def _message(document: bytes, beside: Sequence[bytes]) -> list[bytes]:
    return [HEADER.pack(len(document), sum(map(len, beside))), document, *beside]


def take_outcome(received: bytearray, most_bytes: int) -> tuple[Outcome, bytes] | None:
    """The first message for the run, taken out of what was received, and what came beside the lane; None while it is
    not whole.

    Raises Garbled: for more than `most_bytes`, too, which nobody should wait for.
    """
    if len(received) < HEADER.size:
        return None
    length, following = HEADER.unpack_from(received)
    if length > MOST_OUTCOME_BYTES or following > most_bytes:
        raise Garbled(f"a message of {length + following} bytes")
    end = HEADER.size + length
    if len(received) < end + following:
        return None
    with memoryview(received) as view:
        try:
            outcome = _decode(view[HEADER.size : end])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled("no outcome of a hop") from error
        beside = bytes(view[end : end + following])
    del received[: end + following]
    return outcome, beside
