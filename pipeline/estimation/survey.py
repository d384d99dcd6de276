"""What a listing holds, from headers alone: sizes, unreadable images, what is done. Knows no model and no price."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.api.prompts import own_prompts
from pipeline.errors import ImageError, UserError
from pipeline.images import ImageOptions, probe_from
from pipeline.items import SourceImage
from pipeline.models import MAX_SIDE_PX
from pipeline.sources import Source

PROGRESS_IMAGES = 1000
PROMPTS = 500
"""Own prompts that are kept, to tell their usual length."""
T = TypeVar("T")

IsDone = Callable[[SourceImage], bool]
SizeClass = tuple[int, int, bool]
"""Width, height, and whether the file is sent byte for byte where it need not be shrunk."""
Look = SizeClass | str
"""What a look at an image's header gave: its size, or the reason of the row that will fail."""


@dataclass(slots=True)
class Survey:
    """What a listing holds for one request."""

    listed: int = 0
    done: int = 0
    """Finished in OUT already; not counted in what follows."""
    probed: int = 0
    """Images of known size: all that are left, or the sample of them."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """By reason, of the images looked at; they will be failed rows that cost nothing."""
    sizes: Counter[SizeClass] = field(default_factory=Counter)
    """Images probed."""
    bytes: Counter[SizeClass] = field(default_factory=Counter)
    """Of their files."""
    limited: bool = False
    """The listing goes on after the images that the job's `limit` allows."""
    prompts: list[str] = field(default_factory=list)
    """Drawn evenly from images that have their own; none when all have the job's."""

    @property
    def left(self) -> int:
        """Images still to do."""
        return self.listed - self.done

    @property
    def looked_at(self) -> int:
        return self.probed + self.unreadable.total()

    @property
    def sampled(self) -> bool:
        """Whether only some headers were read."""
        return self.looked_at < self.left

    @property
    def scale(self) -> float:
        """Images that each image looked at stands for."""
        return self.left / self.looked_at if self.looked_at else 0.0

    @property
    def images(self) -> int:
        """Images that will be asked about."""
        return round(self.probed * self.scale)

    @property
    def total_bytes(self) -> int:
        """Of their files."""
        return round(self.bytes.total() * self.scale)

    def add(self, image: SourceImage, look: Look) -> None:
        if isinstance(look, str):
            self.unreadable[look] += 1
        else:
            self.probed += 1
            self.sizes[look] += 1
            self.bytes[look] += image.bytes or 0


class HeaderReader:
    """Looks at an image as a run will, as far as its header tells."""

    def __init__(self, source: Source, options: ImageOptions, max_bytes: int) -> None:
        self._read_head = source.read_head
        self._max_bytes = max_bytes
        self._max_pixels = options.max_pixels
        self._max_sent_bytes = options.max_sent_bytes
        self._pass_through = frozenset(options.pass_through)

    def look(self, image: SourceImage) -> Look:
        if image.failure:
            return image.failure.reason
        size = image.bytes or 0
        if size > self._max_bytes:
            return "too_large"
        try:
            header = probe_from(lambda count: self._read_head(image, count))
        except ImageError as error:
            return error.reason
        width, height = header.width, header.height
        if width * height > self._max_pixels:
            return "bomb"
        if width > MAX_SIDE_PX or height > MAX_SIDE_PX:
            return "too_large"
        # What only pixels tell, transparency or a colour profile, is left out: it matters to the bytes sent alone.
        kept = header.format in self._pass_through and header.orientation == 1 and header.frames == 1
        return width, height, kept and size <= self._max_sent_bytes


def survey_listing(
    source: Source,
    look: Callable[[SourceImage], Look],
    finished: Sequence[IsDone | None],
    rng: random.Random,
    sample: int | None = None,
    limit: int | None = None,
    observer: Callable[[int], None] | None = None,
    prompt: str = "",
) -> list[Survey]:
    """One pass over the listing, and a survey of what is left for each of `finished` (None: nothing is done yet).

    `sample`: look at so many of the images that are left, drawn evenly; None: at all. `limit`: stop when so many are
    left. `observer` is told now and then how many were listed. `prompt` is the job's, which columns may go into.
    """
    if sample is not None and sample < 1:
        raise UserError(f"The sample is {sample}; give how many images to look at, 1 or more.")
    groups = [_Group(is_done, rng, sample, limit) for is_done in finished]
    for listed, image in enumerate(own_prompts(source.list(), prompt), start=1):
        if observer is not None and listed % PROGRESS_IMAGES == 0:
            observer(listed)
        seen: Look | None = None
        for group in groups:
            if group.takes(image):
                seen = seen or look(image)
                group.survey.add(image, seen)
        if limit is not None and all(group.survey.limited for group in groups):
            break
    for group in groups:
        for image in group.drawn:
            group.survey.add(image, look(image))
    return [group.survey for group in groups]


class _Group:
    """The images left for one request."""

    def __init__(self, is_done: IsDone | None, rng: random.Random, sample: int | None, limit: int | None) -> None:
        self.survey = Survey()
        self.drawn: list[SourceImage] = []
        self._is_done = is_done
        self._rng = rng
        self._sample = sample
        self._limit = limit

    def takes(self, image: SourceImage) -> bool:
        """Count a listed image; whether it is to be looked at now."""
        survey = self.survey
        if survey.limited:
            return False
        if self._is_done is not None and self._is_done(image):
            survey.listed += 1
            survey.done += 1
            return False
        if survey.left == self._limit:
            survey.limited = True
            return False
        survey.listed += 1
        if image.prompt is not None:
            self._draw(survey.prompts, image.prompt, PROMPTS)
        if self._sample is None:
            return True
        self._draw(self.drawn, image, self._sample)
        return False

    def _draw(self, drawn: list[T], one: T, sample: int) -> None:
        """Keep it with the chance that leaves every one so far equally likely to be kept (Vitter's algorithm R)."""
        if len(drawn) < sample:
            drawn.append(one)
        elif (place := self._rng.randrange(self.survey.left)) < sample:
            drawn[place] = one
