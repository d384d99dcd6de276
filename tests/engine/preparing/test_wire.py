"""What goes to a process and back is what was put in, whether it fits into the shared memory or not."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.preparing import wire
from pipeline.engine.preparing.preparer import Fetched
from pipeline.engine.preparing.wire import HEADER, message, pack_images, pack_results, unpack_images, unpack_results
from pipeline.engine.record import Unprepared
from pipeline.items import Failure, Probe, Request, Sent, SourceImage

TEXT = st.text(max_size=5)
SIZES = st.integers(0, 70_000)
IMAGES = st.builds(
    SourceImage,
    key=TEXT,
    uri=TEXT,
    version=TEXT,
    bytes=st.none() | SIZES,
    metadata=st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
    prompt=st.none() | TEXT,
    address=st.none() | TEXT,
    failure=st.none() | st.builds(Failure, TEXT, TEXT),
)
FETCHED = st.builds(Fetched, IMAGES, st.binary(max_size=9), st.none() | st.tuples(SIZES, SIZES))
PROBES = st.builds(Probe, TEXT, SIZES, SIZES, st.integers(1, 8), st.integers(1, 9))
REQUESTS = st.builds(
    Request, IMAGES, PROBES, TEXT, SIZES, st.builds(Sent, TEXT, SIZES, SIZES, SIZES), st.binary(max_size=9),
    st.none() | SIZES, st.none() | SIZES,
)  # fmt: skip
UNPREPARED = st.builds(
    Unprepared, IMAGES, st.builds(Failure, TEXT, TEXT), st.none() | PROBES, st.none() | TEXT, st.none() | SIZES
)


def through(content: object, blobs: list[bytes], room: int, monkeypatch: pytest.MonkeyPatch) -> tuple[object, bytes]:
    """The message as the other end has it: its content, and where its blobs are."""
    monkeypatch.setattr(wire, "LANE_BYTES", room)
    memory = bytearray(room)
    sent = b"".join(message(content, blobs, memoryview(memory)))
    length, following = HEADER.unpack_from(sent)
    rest = sent[HEADER.size + length :]
    assert len(rest) == following
    return pickle.loads(sent[HEADER.size : HEADER.size + length]), rest or bytes(memory)


@given(st.lists(IMAGES | FETCHED, max_size=4), st.sampled_from([0, 20, 100]))
def test_images_arrive_as_they_were(images: list[SourceImage | Fetched], room: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        packed, blobs = through(*pack_images(images), room, patch)
    assert isinstance(packed, list)
    assert unpack_images(packed, blobs) == images


@given(st.lists(REQUESTS | UNPREPARED, max_size=4), st.sampled_from([0, 20, 100]))
def test_results_arrive_as_they_were(results: list[Request | Unprepared], room: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        packed, blobs = through(*pack_results(results), room, patch)
    assert isinstance(packed, list)
    assert unpack_results([result.image for result in results], packed, blobs) == results
