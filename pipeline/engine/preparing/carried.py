"""What a Preparer takes along to another process: functions of one job, that can be pickled.

Whatever this file imports, each of those processes loads before its first image.
"""

import pickle
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar, TypeVarTuple

from pipeline.api.payload import LabelledImage, TailTemplate
from pipeline.images import Bound, SendBounds
from pipeline.items import Prepared

if TYPE_CHECKING:
    from pipeline.models import RequestLimits

A = TypeVarTuple("A")
R = TypeVar("R")

MOST_KNOWN = 10_000
TEXT_BYTES = 1_000_000
"""Of a request's body, left for all that is no image: prompts, schema, labels."""


class Known(Generic[*A, R]):
    """A pure function that keeps its results: a collection has few sizes. Unlike functools.lru_cache's, pickled."""

    def __init__(self, function: Callable[[*A], R]) -> None:
        self._function = function
        self._known: dict[tuple[*A], R] = {}

    def __reduce__(self) -> tuple[type["Known[*A, R]"], tuple[Callable[[*A], R]]]:
        return Known, (self._function,)

    def __call__(self, *arguments: *A) -> R:
        try:
            return self._known[arguments]
        except KeyError:
            pass
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        result = self._known[arguments] = self._function(*arguments)
        return result


class TextTokens:
    """Tokens of a request but for the images.

    Only a prompt of an image's own, or labels, have them counted anew. What counts is unpickled then (30 ms of imports)
    and loads the vocabulary (0.16 s, 50 MB in each process).
    """

    def __init__(self, common: int | None, count: Callable[[str | None, Sequence[str]], int | None]) -> None:
        """`common`: with the job's prompt; `count`: for an image's own prompt, if it has one, and labels."""
        self._common = common
        self._pickled = pickle.dumps(count)

    @cached_property
    def _count(self) -> Callable[[str | None, Sequence[str]], int | None]:
        count: Callable[[str | None, Sequence[str]], int | None] = pickle.loads(self._pickled)
        return count

    def __call__(self, own_prompt: str | None, labels: Sequence[str]) -> int | None:
        return self._common if own_prompt is None and not labels else self._count(own_prompt, labels)


def send_bounds(max_sent_bytes: int | None, limits: "RequestLimits", may_shrink: bool, count: int) -> SendBounds:
    """What one of `count` images in a request must keep to. `max_sent_bytes`: what the job says."""
    known = [Bound(limit.most, limit.source) for limit in (limits.image_bytes,) if limit]
    if whole := limits.request_bytes:
        known.append(Bound((whole.most - TEXT_BYTES) * 3 // 4 // count, whole.source))  # four bytes of base64 for three
    if max_sent_bytes is not None:
        known.append(Bound(max_sent_bytes, "max_sent_bytes of the job"))
    side = limits.side_px(count)
    return SendBounds(
        min(known, key=lambda bound: bound.most, default=None),
        Bound(side.most, side.source) if side else None,
        may_shrink,
    )


def image_itself(image: Prepared | str | Sequence[LabelledImage], prompt: str | None) -> bytes:
    """What the built-in describer takes."""
    assert not isinstance(image, str), "it fetches nothing"
    return image.data if isinstance(image, Prepared) else image[0].data  # of a video it is given one frame


def tail_of(template: TailTemplate, image: Prepared | str | Sequence[LabelledImage], prompt: str | None) -> bytes:
    """What HTTP endpoints take."""
    if isinstance(image, Prepared):
        return template.render(image.format, image.data, prompt)
    if isinstance(image, str):
        return template.render_url(image, prompt)
    return template.render_several(image, prompt)
