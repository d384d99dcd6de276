"""Images that an endpoint found too large, made again with half the pixels."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pipeline.api.payload import images_of
from pipeline.engine.preparing.preparer import Listed, TooLarge
from pipeline.errors import ImageError
from pipeline.items import Request, Unprepared

Prepare = Callable[[Sequence[Listed]], Awaitable[list[Request | Unprepared]]]


async def make_smaller(prepare: Prepare, request: Request) -> Request | None:
    """The same question about a smaller image, or several, all of them smaller; None when it cannot be made.

    Of what was sent, which is at hand: the original would have to be read or fetched again.
    """
    try:
        sent = tuple(images_of(request.body))
    except ImageError:
        return None
    if not sent:
        return None
    [made] = await prepare([TooLarge(request.image, sent)])
    if isinstance(made, Unprepared):
        return None
    return replace(
        made,
        probe=request.probe,
        content_hash=request.content_hash,
        original_bytes=request.original_bytes,
        max_tokens=request.max_tokens,
    )
