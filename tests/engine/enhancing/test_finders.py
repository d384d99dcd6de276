"""How far ahead of the model images are looked at, by whom."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.api.asker import Asker
from pipeline.api.options import MOST_IN_FLIGHT, LimitOptions, ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle
from pipeline.engine.enhancing.finders import AnalysisFinder, OcrFinder, Sought
from pipeline.errors import ImageError
from pipeline.items import Answer, Failure, Found, Request
from tests.engine.making import request
from tests.helpers.clock import FakeClock


@pytest.mark.parametrize(("rpm", "ahead"), [(20, 1), (1200, 40), (1e9, MOST_IN_FLIGHT)])
def test_as_many_as_two_seconds_bring_and_never_without_end(rpm: float, ahead: int) -> None:
    clock = FakeClock()
    throttle = Throttle(Pool([]), clock)
    asker = Asker(throttle, LimitOptions(), clock, random.Random(0), lambda attempt: None)
    assert AnalysisFinder(throttle, asker, rpm).ahead == ahead


async def test_reading_on_this_machine_happens_in_the_workers() -> None:
    found = (Found("text", "STOP", ((0.0, 0.0),)),)

    def read(data: bytes) -> tuple[Found, ...]:
        if data == b"broken":
            raise ImageError("undecodable", "It is broken.")
        return found

    with ThreadPoolExecutor(1) as workers:
        finder = OcrFinder(read, workers, 4, FakeClock())
        assert finder.ahead == 8
        assert await finder.find(asked(b"a picture")) == Sought(found)
        failed = await finder.find(asked(b"broken"))
    assert isinstance(failed, Answer)
    assert isinstance(failed.outcome, Failure)
    assert (failed.outcome.reason, failed.attempts) == ("undecodable", 0)


def asked(data: bytes) -> Request:
    return replace(request(), body=tail_template(ModelOptions()).render("jpeg", data))
