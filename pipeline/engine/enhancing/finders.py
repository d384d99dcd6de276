"""Who finds text and objects in an image: Image Analysis over HTTP, or RapidOCR on this machine's cores."""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Protocol

from pipeline.api.asker import Asker
from pipeline.api.options import LimitOptions
from pipeline.api.payload import LabelledImage, images_of
from pipeline.api.throttle import Throttle, ThrottleClosed
from pipeline.api.vision.analysis import LEAST_SIDE_PX, Sight
from pipeline.api.vision.asking import NAME
from pipeline.clock import Clock, utc
from pipeline.engine.preparing.preparer import failure_of
from pipeline.errors import ImageError, RunError
from pipeline.items import Answer, Failure, Found, Request, Respondent

AHEAD_SECONDS = 2.0
"""What Image Analysis has found and the model has not been asked yet is lost when the run stops: it is paid for."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What was found in one image, and what that cost."""

    found: tuple[Found, ...] = ()
    cost_usd: Decimal | None = None
    price_date: date | None = None


def images_ahead(limits: Sequence[LimitOptions]) -> int:
    """What comes in AHEAD_SECONDS through the narrower of both services, and no more than the model has in flight.
    `limits`: of each endpoint.
    """
    asked = [each.rpm for each in limits if each.rpm is not None]
    model_rpm = sum(asked) if len(asked) == len(limits) else math.inf
    rpm = min(limits[0].vision_rpm, model_rpm)
    return min(math.ceil(AHEAD_SECONDS * rpm / 60), sum(each.most_in_flight for each in limits))


class Finder(Protocol):
    """Looks at images."""

    @property
    def ahead(self) -> int:
        """Images that may be looked at, or wait for the model after that."""
        ...

    async def find(self, request: Request) -> Sought | Answer:
        """An Answer is a failure, which ends as the image's row. Raises RunError and ThrottleClosed."""
        ...

    def stop(self) -> None:
        """Look at nothing new."""
        ...


class AnalysisFinder:
    """Azure AI Vision's Image Analysis."""

    def __init__(self, throttle: Throttle, asker: Asker, ahead: int, clock: Clock) -> None:
        self.ahead = ahead
        self._clock = clock
        self._throttle = throttle
        self._asker = asker

    async def find(self, request: Request) -> Sought | Answer:
        if min(request.sent.width or 0, request.sent.height or 0) < LEAST_SIDE_PX:
            return Sought()  # the service takes none so small
        try:
            image = _image_of(request)
        except ImageError as error:
            return _unseen(failure_of(error, request.image.key), self._clock, self._clock.time())
        try:
            answer = await self._asker.ask(replace(request, body=image.data), _nothing_smaller)
        except RunError as error:
            raise RunError(f"{NAME}, at VISION_ENDPOINT: {error}") from error
        if not isinstance(answer.outcome, Sight):
            assert isinstance(answer.outcome, Failure)
            told = replace(answer.outcome, message=f"{NAME}: {answer.outcome.message}")
            return replace(answer, outcome=told)
        return Sought(answer.outcome.found, answer.cost_usd, answer.price_date)

    def stop(self) -> None:
        self._throttle.close()


def _image_of(request: Request) -> LabelledImage:
    images = images_of(request.body)
    if len(images) != 1:
        raise ImageError("undecodable", "What was made ready of the image is not one image.")
    return images[0]


def _unseen(failure: Failure, clock: Clock, began: float) -> Answer:
    return Answer(failure, Respondent("", ""), 0, 0, 0, utc(began), utc(clock.time()))


async def _nothing_smaller(request: Request) -> None:
    return None


class OcrFinder:
    """RapidOCR, in the worker threads."""

    def __init__(
        self, read: Callable[[bytes], tuple[Found, ...]], workers: Executor, worker_count: int, clock: Clock
    ) -> None:
        self.ahead = 2 * worker_count
        self._read = read
        self._workers = workers
        self._clock = clock
        self._stopped = False

    async def find(self, request: Request) -> Sought | Answer:
        if self._stopped:
            raise ThrottleClosed
        began = self._clock.time()
        outcome = await asyncio.get_running_loop().run_in_executor(self._workers, self._find, request)
        if isinstance(outcome, Sought):
            return outcome
        return _unseen(outcome, self._clock, began)

    def stop(self) -> None:
        """What the threads have begun they finish."""
        self._stopped = True

    def _find(self, request: Request) -> Sought | Failure:
        try:
            return Sought(self._read(_image_of(request).data))
        except Exception as error:
            return failure_of(error, request.image.key)
