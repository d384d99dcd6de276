"""Images that are named by their addresses instead of being sent: which, and what when the model cannot fetch them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.preparing.preparer import Fetched
from pipeline.engine.preparing.remaking import Prepare, make_smaller
from pipeline.images import NeedMoreBytes, probe
from pipeline.items import Failure, Request, SourceImage, Unprepared

log = logging.getLogger(__name__)

HEAD_BYTES = 64 * 1024
"""What is fetched of an image to know its size."""
MOST_REFUSED = 8
"""Refused one after the other, so many addresses say that the server fetches none."""

REMADE_AT_ONCE = 8
"""Whole originals in memory that no budget counts; all that are in flight may be refused together."""


class ByUrl:
    """Whether addresses are sent; given up for the run when the server fetches none: each refusal costs a request."""

    def __init__(self, wanted: bool) -> None:
        self.is_on = wanted
        self.remaking = asyncio.Semaphore(REMADE_AT_ONCE)
        self._refused = 0

    def worked(self) -> None:
        self._refused = 0

    def refused(self) -> None:
        self._refused += 1
        if self._refused == MOST_REFUSED and self.is_on:
            self.is_on = False
            log.warning("The model's server does not fetch images from their addresses; their bytes are sent instead.")


def holds_header(head: bytes) -> bool:
    """False: more of the image is needed to know its size."""
    try:
        probe(head)
    except NeedMoreBytes:
        return len(head) < HEAD_BYTES
    except Exception:  # whatever is wrong with it, the worker says it
        return True
    return True


async def remake(
    prepare: Prepare,
    fetch: Callable[[SourceImage], Awaitable[Fetched | Unprepared | None]],
    by_url: ByUrl,
    request: Request,
) -> Request | Failure | None:
    """The same question asked otherwise: with the image in place of its address, or with a smaller one.

    A Failure says what is wrong with the image, which nobody had seen before. Raises ThrottleClosed when the run stops.
    """
    if not request.by_url:
        return await make_smaller(prepare, request)
    by_url.refused()
    async with by_url.remaking:
        found = await fetch(request.image)
        if found is None:
            raise ThrottleClosed
        [made] = await prepare([found]) if isinstance(found, Fetched) else [found]
    return made.failure if isinstance(made, Unprepared) else made
