"""What goes to a process and back is what was put in, whether it fits into the shared memory or not."""

import pickle
import struct
from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.api.payload import LabelledImage
from pipeline.engine.preparing.preparer import Fetched, Listed, TooLarge
from pipeline.engine.preparing.wire import (
    HEADER,
    MOST_OUTCOME_BYTES,
    FilledLane,
    Garbled,
    Lane,
    Outcome,
    pack_images,
    pack_results,
    take_outcome,
    to_run,
    to_worker,
    unpack_images,
    unpack_results,
)
from pipeline.items import Failure, Probe, Request, Sent, SourceImage, Unprepared
from tests.engine.making import image, request

MOST = 1000
TEXT = st.text(max_size=5)
SIZES = st.integers(0, 70_000)
ALONE = st.builds(
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
IMAGES = ALONE | st.builds(replace, ALONE, members=st.lists(ALONE, max_size=3).map(tuple))
FILES = st.lists(st.binary(max_size=9), min_size=1, max_size=3).map(tuple)
FETCHED = st.builds(Fetched, IMAGES, FILES, st.booleans())
SENT = st.lists(st.builds(LabelledImage, TEXT, TEXT, st.binary(max_size=9)), min_size=1, max_size=3).map(tuple)
TOO_LARGE = st.builds(TooLarge, IMAGES, SENT)
PROBES = st.builds(Probe, TEXT, SIZES, SIZES, st.integers(1, 8), st.integers(1, 9))
SENTS = st.builds(Sent, st.none() | TEXT, st.none() | SIZES, st.none() | SIZES, SIZES)
REQUESTS = st.builds(
    Request, IMAGES, st.none() | PROBES, TEXT, SIZES, SENTS, st.binary(max_size=9),
    st.none() | SIZES, st.none() | SIZES,
)  # fmt: skip
UNPREPARED = st.builds(
    Unprepared, IMAGES, st.builds(Failure, TEXT, TEXT), st.none() | PROBES, st.none() | TEXT, st.none() | SIZES
)


ROOMS = st.sampled_from([0, 20, 100])


@given(st.lists(IMAGES | FETCHED | TOO_LARGE, max_size=4), ROOMS)
def test_images_arrive_as_they_were(images: list[Listed], room: int) -> None:
    memory = memoryview(bytearray(room))
    lane = Lane(memory)
    sent = b"".join(to_worker(pack_images(images, lane), lane.beside))
    length, following = HEADER.unpack_from(sent)
    blobs = sent[HEADER.size + length :]
    assert len(blobs) == following
    packed = pickle.loads(sent[HEADER.size : HEADER.size + length])
    assert unpack_images(packed, FilledLane(memory, blobs)) == images


@given(st.lists(REQUESTS | UNPREPARED, max_size=4), ROOMS, st.integers(1, 50))
def test_results_arrive_as_they_were(results: list[Request | Unprepared], room: int, piece: int) -> None:
    """In pieces of any size, and whatever comes behind them."""
    memory = memoryview(bytearray(room))
    lane, log = Lane(memory), [(30, "Odd.")]
    packed = pack_results(iter(results), lane)
    sent = b"".join(to_run(Outcome(packed, None, log), lane.beside))
    received = bytearray()
    for at in range(0, len(sent), piece):
        assert take_outcome(received, MOST) is None
        received += sent[at : at + piece]
    received += b"more"
    message = take_outcome(received, MOST)
    assert message
    outcome, beside = message
    assert (outcome.log, outcome.run_error, bytes(received)) == (log, None, b"more")
    assert unpack_results([result.image for result in results], outcome.results, FilledLane(memory, beside)) == results


def test_a_name_that_no_text_can_hold_costs_no_process() -> None:
    broken = Unprepared(image("a"), Failure("invalid_row", "No file \udcff."))
    [made] = arrived(broken)
    assert made == replace(broken, failure=Failure("invalid_row", "No file \ufffd."))


class Taken:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit",)


def framed(document: bytes) -> bytearray:
    return bytearray(HEADER.pack(len(document), 0) + document)


@pytest.mark.parametrize(
    "received",
    [
        framed(pickle.dumps(Taken())),
        framed(b""),
        framed(msgspec.msgpack.encode([[["Ready", -1]]])),
        framed(
            msgspec.msgpack.encode([[["Broken", {"reason": "a", "message": "b", "status": "fine"}, None, None, 1]]])
        ),
        framed(b"\x91" * 100_000),
        framed(msgspec.msgpack.encode([[], "\ud800".encode("utf-8", "surrogatepass")])),
        bytearray(HEADER.pack(MOST_OUTCOME_BYTES + 1, 0)),
        bytearray(HEADER.pack(2**64 - 1, 2**64 - 1)),
        bytearray(HEADER.pack(0, MOST + 1)),
    ],
    ids=["pickle", "empty", "negative", "status", "nested", "surrogate", "long", "endless", "bodies"],
)
def test_what_is_no_outcome_is_refused_at_once(received: bytearray) -> None:
    with pytest.raises(Garbled):
        take_outcome(received, MOST)


@given(st.binary(max_size=60))
@example(struct.pack("<QQ", 5, 0) + b"\x93\x90\xa1\xff\x90")
def test_any_bytes_are_an_outcome_or_incomplete_or_refused(sent: bytes) -> None:
    for received in (bytearray(sent), framed(sent)):
        try:
            message = take_outcome(received, MOST)
        except Garbled:
            continue
        assert message is None or isinstance(message[0], Outcome)


@pytest.mark.parametrize(("room", "beside"), [(3, b""), (3, b"3"), (0, b"123")])
def test_a_body_cannot_be_longer_than_what_came(room: int, beside: bytes) -> None:
    enough = memoryview(bytearray(4))
    packed = pack_results([request("a", b"12"), request("b", b"34")], Lane(enough))
    images = [image("a"), image("b")]
    assert [made.body for made in unpack_results(images, packed, FilledLane(enough))] == [b"12", b"34"]
    with pytest.raises(Garbled, match="beyond"):
        unpack_results(images, packed, FilledLane(memoryview(bytes(room)), beside))
    with pytest.raises(Garbled, match="2 results for 1 images"):
        unpack_results(images[:1], packed, FilledLane(enough))


def arrived(result: Request | Unprepared) -> list[Request | Unprepared]:
    memory = memoryview(bytearray(1000))
    taken = take_outcome(bytearray(b"".join(to_run(Outcome(pack_results([result], Lane(memory)))))), MOST)
    assert taken
    return unpack_results([result.image], taken[0].results, FilledLane(memory))


@pytest.mark.parametrize("side", [-1, 2**31, 2**63])
def test_numbers_that_no_row_holds_are_refused(side: int) -> None:
    """They would end the run when the row is written."""
    broken = Unprepared(image(), Failure("undecodable", "x"), Probe("png", side, 1))
    results = [
        replace(request(), probe=Probe("png", 1, side)),
        replace(request(), predicted_prompt_tokens=side),
        broken,
    ]
    for result in results:
        with pytest.raises(Garbled):
            arrived(result)
