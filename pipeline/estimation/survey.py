"""What a listing holds, from headers alone: sizes, unreadable images, what is done. Knows no model and no price."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.api.prompts import own_prompts
from pipeline.engine.preparing.preparer import labels_of
from pipeline.engine.preparing.rules import within_limits
from pipeline.errors import UserError
from pipeline.estimation.headers import HeaderReader, Look, SizeClass, pictures_of
from pipeline.estimation.video_looks import VideoLook
from pipeline.items import SourceImage
from pipeline.models import RequestLimits
from pipeline.sources import Source

PROGRESS_IMAGES = 1000
PROMPTS = 500
"""Own prompts that are kept, to tell their usual length."""
LABELS = 1000
"""Groups whose labels are kept, for the same."""
NO_LIMITS = RequestLimits()
T = TypeVar("T")

IsDone = Callable[[SourceImage], bool]


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
    """Images probed, also those that are asked about together with others."""
    bytes: Counter[SizeClass] = field(default_factory=Counter)
    """Of their files."""
    videos: Counter[VideoLook] = field(default_factory=Counter)
    """Videos probed, which `sizes` does not count."""
    video_bytes: int = 0
    """Of their files."""
    limited: bool = False
    """The listing goes on after the images that the job's `limit` allows."""
    groups: Counter[tuple[SizeClass, ...]] = field(default_factory=Counter)
    """Those that are asked about together: how many times images of these sizes."""
    labels: list[Sequence[str]] = field(default_factory=list)
    """What the model is told before each image, of the first groups."""
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
        return round((self.bytes.total() + self.video_bytes) * self.scale)

    def add(self, image: SourceImage, look: Look) -> None:
        if isinstance(look, str):
            self.unreadable[look] += 1
            return
        self.probed += 1
        if isinstance(look, VideoLook):
            self.videos[look] += 1
            self.video_bytes += image.bytes or 0
            return
        for size, each in zip(look, pictures_of(image), strict=True):
            self.sizes[size] += 1
            self.bytes[size] += each.bytes or 0
        if image.members:
            self.groups[tuple(sorted(look))] += 1
            if len(self.labels) < LABELS:
                self.labels.append(labels_of(image))


def survey_listing(
    source: Source,
    headers: HeaderReader,
    finished: Sequence[IsDone | None],
    rng: random.Random,
    sample: int | None = None,
    limit: int | None = None,
    observer: Callable[[int], None] | None = None,
    prompt: str = "",
    limits: RequestLimits = NO_LIMITS,
) -> list[Survey]:
    """One pass over the listing, and a survey of what is left for each of `finished` (None: nothing is done yet).

    `sample`: look at so many of the images that are left, drawn evenly; None: at all. `limit`: stop when so many are
    left. `observer` is told now and then how many were listed. `prompt` is the job's, which columns may go into.
    Groups of more images than `limits` allow will fail.
    """
    if sample is not None and sample < 1:
        raise UserError(f"The sample is {sample}; give how many images to look at, 1 or more.")
    groups = [_Group(is_done, rng, sample, limit) for is_done in finished]
    listing = within_limits(own_prompts(source.list(), prompt), limits)
    for image, takers, look in headers.look_at(_to_look_at(listing, groups, limit, observer)):
        for group in takers:
            group.survey.add(image, look)
    drawn = ((image, each) for each in groups for image in each.drawn)
    for image, group, look in headers.look_at(drawn):
        group.survey.add(image, look)
    return [group.survey for group in groups]


def _to_look_at(
    listing: Iterator[SourceImage],
    groups: Sequence["_Group"],
    limit: int | None,
    observer: Callable[[int], None] | None,
) -> Iterator[tuple[SourceImage, list["_Group"]]]:
    """Images whose header is wanted now, and by whom."""
    for listed, image in enumerate(listing, start=1):
        if observer is not None and listed % PROGRESS_IMAGES == 0:
            observer(listed)
        if takers := [group for group in groups if group.takes(image)]:
            yield image, takers
        if limit is not None and all(group.survey.limited for group in groups):
            return


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
