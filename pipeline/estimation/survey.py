"""What a listing holds, from headers alone: sizes, unreadable images, what is done. Knows no model and no price."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pipeline.errors import ImageError, UserError
from pipeline.images import probe_from
from pipeline.items import SourceImage
from pipeline.sources import Source

PROGRESS_IMAGES = 1000


@dataclass(slots=True)
class Survey:
    """What the listing holds, by size."""

    listed: int = 0
    done: int = 0
    """Finished in OUT already; not counted in what follows."""
    probed: int = 0
    """Images of known size: all that are left, or the sample of them."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """By reason, of the images looked at; they will be failed rows that cost nothing."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    bytes: int = 0
    sampled: bool = False

    @property
    def left(self) -> int:
        """Images still to do."""
        return self.listed - self.done

    @property
    def looked_at(self) -> int:
        return self.probed + self.unreadable.total()

    @property
    def scale(self) -> float:
        """Images that each image looked at stands for."""
        return self.left / self.looked_at if self.looked_at else 0.0

    @property
    def images(self) -> int:
        """Images that will be asked about."""
        return round(self.probed * self.scale)


def survey_listing(
    source: Source,
    is_done: Callable[[SourceImage], bool],
    sample: int | None,
    rng: random.Random,
    observer: Callable[[int], None] | None = None,
) -> Survey:
    """Read the headers of what is left in the listing: of all, or of an even sample (reservoir) of `sample` images."""
    if sample is not None and sample < 1:
        raise UserError(f"sample is {sample}; give how many images to look at.")
    survey = Survey()
    reservoir: list[SourceImage] = []
    for image in source.list():
        survey.listed += 1
        if observer and survey.listed % PROGRESS_IMAGES == 0:
            observer(survey.listed)
        if is_done(image):
            survey.done += 1
        elif sample is None:
            _look_at(survey, source, image)
        elif len(reservoir) < sample:
            reservoir.append(image)
        elif (place := rng.randrange(survey.left)) < sample:
            reservoir[place] = image
    for image in reservoir:
        _look_at(survey, source, image)
    survey.sampled = survey.looked_at < survey.left
    return survey


def _look_at(survey: Survey, source: Source, image: SourceImage) -> None:
    try:
        header = probe_from(lambda count: source.read_head(image, count))
    except ImageError as error:
        survey.unreadable[error.reason] += 1
        return
    survey.probed += 1
    survey.sizes[header.width, header.height] += 1
    survey.bytes += image.bytes or 0


def histogram(sizes: Iterable[tuple[tuple[int, int], int]]) -> list[tuple[str, int]]:
    """Images by megapixels, from the smallest class that is there to the largest."""
    limits = [0.1, 0.25, 0.5, 1, 2, 4, 8, 12, 16, 24, 50, 100, math.inf]
    counts = [0] * len(limits)
    for (width, height), count in sizes:
        counts[next(i for i, limit in enumerate(limits) if width * height / 1e6 <= limit)] += count
    below = [f"{low:g} to {high:g} MP" for low, high in zip([0, *limits], limits[:-1], strict=False)] + ["above 100 MP"]
    used = [i for i, count in enumerate(counts) if count]
    return [(below[i], counts[i]) for i in range(used[0], used[-1] + 1)] if used else []
