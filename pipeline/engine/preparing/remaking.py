"""An image that an endpoint found too large, made again with half the pixels."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pipeline.api.payload import image_of
from pipeline.engine.preparing.preparer import Fetched, Listed
from pipeline.engine.record import Unprepared
from pipeline.items import Request

Prepare = Callable[[Sequence[Listed]], Awaitable[list[Request | Unprepared]]]


async def make_smaller(prepare: Prepare, request: Request) -> Request | None:
    """The same question about a smaller image; None when it cannot be made.

    Of what was sent, which is at hand: the original would have to be read or fetched again.
    """
    width, height = (max(1, round(side * math.sqrt(0.5))) for side in (request.sent.width, request.sent.height))
    [made] = await prepare([Fetched(request.image, image_of(request.body), (width, height))])
    if isinstance(made, Unprepared):
        return None
    return replace(made, probe=request.probe, content_hash=request.content_hash, original_bytes=request.original_bytes)
