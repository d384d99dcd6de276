"""Which moments of a video stand for it. Pure: seconds and small pictures, no file."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Choice = Literal["even", "scenes"]
LEAST_CHANGE = 12.0
"""Mean difference of two small grey pictures, of 255 levels, from which on it is another scene: a hand-held camera
moves by 3 to 8 within a second, a cut makes 30 and more."""


def evenly(duration: float, count: int, start: float = 0.0) -> list[float]:
    """The middles of `count` equal stretches of `duration` seconds: neither the black before nor the credits' end."""
    return [start + duration * (2 * number + 1) / (2 * count) for number in range(count)]


def by_scenes(duration: float, count: int, looks: Sequence[tuple[float, "NDArray[np.uint8]"]]) -> list[float]:
    """`count` moments, each scene getting at least one as long as there are enough; ascending.

    `looks` are small grey pictures and their seconds, ascending. A scene begins where a look differs from the one
    before; when there are more scenes than moments, the strongest cuts count. Further moments go to the longest
    scenes, spread evenly within.
    """
    import numpy as np

    changes = [
        (float(np.abs(here.astype(np.int16) - before).mean()), (then + now) / 2)
        for (then, before), (now, here) in pairwise(looks)
    ]
    cuts = sorted((change for change in changes if change[0] >= LEAST_CHANGE), reverse=True)[: count - 1]
    borders = [0.0, *sorted(at for _, at in cuts), duration]
    lengths = [end - begin for begin, end in pairwise(borders)]
    shares = [1] * len(lengths)
    for _ in range(count - len(lengths)):
        longest = max(range(len(lengths)), key=lambda place: lengths[place] / shares[place])
        shares[longest] += 1
    return [
        moment
        for begin, length, share in zip(borders, lengths, shares, strict=False)
        for moment in evenly(length, share, begin)
    ]


def label(number: int, seconds: float) -> str:
    """What the model is told before a frame: `Frame 1 at 00:01.500`."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"
    return f"Frame {number} at {hours}:{clock}" if hours else f"Frame {number} at {clock}"
