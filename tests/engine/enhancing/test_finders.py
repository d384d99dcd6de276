"""How far ahead of the model images are looked at, by whom."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.api.options import MOST_IN_FLIGHT, LimitOptions, ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.enhancing.finders import OcrFinder, Sought, images_ahead
from pipeline.errors import ImageError
from pipeline.items import Answer, Failure, Found, Request
from tests.engine.making import request
from tests.helpers.clock import FakeClock


@pytest.mark.parametrize(
    ("limits", "ahead"),
    [
        ([LimitOptions()], 40),
        ([LimitOptions(vision_rpm=20)], 1),
        ([LimitOptions(vision_rpm=1e9)], MOST_IN_FLIGHT),
        ([LimitOptions(rpm=300)], 10),
        ([LimitOptions(rpm=300), LimitOptions(rpm=150)], 15),
        ([LimitOptions(rpm=300), LimitOptions()], 40),
        ([LimitOptions(concurrency=4)], 4),
    ],
)
def test_two_seconds_of_the_narrower_service_and_never_without_end(limits: list[LimitOptions], ahead: int) -> None:
    assert images_ahead(limits) == ahead


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
        finder.stop()
        with pytest.raises(ThrottleClosed):
            await finder.find(asked(b"a picture"))
    assert isinstance(failed, Answer)
    assert isinstance(failed.outcome, Failure)
    assert (failed.outcome.reason, failed.attempts) == ("undecodable", 0)


def asked(data: bytes) -> Request:
    return replace(request(), body=tail_template(ModelOptions()).render("jpeg", data))
