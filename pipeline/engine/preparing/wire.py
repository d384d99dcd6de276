"""What goes between the run and a process that prepares images for it: messages by socket, bodies in shared memory.

Both ends are ours and of one version, so the messages are pickles. They hold flat tuples: pickling the items, frozen
and slotted, takes four times as long.

    run -> worker    the Preparer, once; then for each hop (lane, images)
    worker -> run    None when it is ready; then for each hop an Outcome

A message is HEADER, its pickle, and the blobs (files read already, or bodies) that found no room in the lane's memory.
"""

import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from pipeline.engine.preparing.preparer import Fetched, Listed
from pipeline.engine.record import Unprepared
from pipeline.items import Failure, Probe, Request, Sent, SourceImage

HEADER = struct.Struct("<QQ")
"""Bytes of the pickle, and of the blobs that follow it."""
# Enough for a hop of small images; larger bodies go over the socket, where copying them is the least of the work.
LANE_BYTES = 4 * 1024 * 1024

Packed = tuple[Any, ...]
_image_fields = attrgetter(*(field.name for field in fields(SourceImage)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a hop ended, but for the bodies."""

    results: list[Packed]
    run_error: str | None = None
    """Trouble that is not the images'."""
    log: tuple[tuple[int, str], ...] = ()
    """(level, text) of what there is to tell the user."""


def pack_images(images: Sequence[Listed]) -> tuple[list[Packed], list[bytes]]:
    """Plain tuples, and the blobs of those that were read already."""
    packed, blobs = [], []
    for item in images:
        image, length, dimensions, by_url = item, None, None, False
        if isinstance(item, Fetched):
            image, length, dimensions, by_url = item.image, len(item.data), item.dimensions, item.by_url
            blobs.append(item.data)
        assert isinstance(image, SourceImage)
        packed.append((length, dimensions, by_url, *_image_fields(image)))
    return packed, blobs


def unpack_images(packed: Sequence[Packed], blobs: bytes | memoryview) -> list[Listed]:
    """The same images again; `blobs` holds what was read, one after the other."""
    images: list[Listed] = []
    at = 0
    for length, dimensions, by_url, *own in packed:
        image = SourceImage(*own)
        if length is None:
            images.append(image)
        else:
            images.append(Fetched(image, bytes(blobs[at : at + length]), dimensions, by_url))
            at += length
    return images


def pack_results(results: Sequence[Request | Unprepared]) -> tuple[list[Packed], list[bytes]]:
    """Plain tuples, and the bodies of those that are ready."""
    bodies = [result.body for result in results if isinstance(result, Request)]
    return [_pack(result) for result in results], bodies


def _pack(result: Request | Unprepared) -> Packed:
    if isinstance(result, Unprepared):
        return (result.failure, result.probe, result.content_hash, result.bytes)
    probe, sent = result.probe, result.sent
    return (
        len(result.body), result.content_hash, result.original_bytes,
        probe.format, probe.width, probe.height, probe.orientation, probe.frames, probe.duration,
        sent.format, sent.width, sent.height, sent.bytes,
        result.predicted_image_tokens, result.predicted_prompt_tokens, result.max_tokens, result.fingerprint,
        result.by_url,
    )  # fmt: skip


def unpack_results(
    images: Sequence[Listed], packed: Sequence[Packed], bodies: bytes | memoryview
) -> list[Request | Unprepared]:
    """The same results again; `bodies` holds the bodies one after the other."""
    results: list[Request | Unprepared] = []
    at = 0
    for item, (first, *rest) in zip(images, packed, strict=True):
        image = item.image if isinstance(item, Fetched) else item
        if isinstance(first, Failure):
            results.append(Unprepared(image, first, *rest))
            continue
        body = bytes(bodies[at : at + first])
        at += first
        content_hash, size, *rest = rest
        results.append(Request(image, Probe(*rest[:6]), content_hash, size, Sent(*rest[6:10]), body, *rest[10:]))
    return results


def message(content: object, blobs: Sequence[bytes] = (), memory: memoryview | None = None) -> list[bytes]:
    """What to send for `content`. Its blobs are put into `memory` where they fit, else they follow in the stream."""
    document = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    following = sum(map(len, blobs))
    if memory is not None and following <= LANE_BYTES:
        at = 0
        for blob in blobs:
            memory[at : at + len(blob)] = blob
            at += len(blob)
        return [HEADER.pack(len(document), 0), document]
    return [HEADER.pack(len(document), following), document, *blobs]
