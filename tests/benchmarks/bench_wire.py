"""What the message with a hop's results costs an image, both ends together, beside a pickle of the same tuples.

    python -m tests.benchmarks.bench_wire [--rounds 2000]

Processor time of this thread, the best of five. A pickle can run code in the run; MessagePack of known types cannot.
"""

import argparse
import pickle
import time
from collections.abc import Callable, Sequence

from pipeline.engine.live.stages import HOP_IMAGES
from pipeline.engine.preparing.wire import FilledLane, Lane, Outcome, pack_results, take_outcome, to_run, unpack_results
from pipeline.items import Probe, Request, Sent
from tests.engine.making import request

REQUESTS = [request(f"{number}.jpg", b"x" * 1000) for number in range(HOP_IMAGES)]
IMAGES = [made.image for made in REQUESTS]
MEMORY = memoryview(bytearray(100_000))


def by_msgpack() -> Sequence[object]:
    packed = pack_results(REQUESTS, Lane(MEMORY))
    message = take_outcome(bytearray(b"".join(to_run(Outcome(packed)))), 10**9)
    assert message
    return unpack_results(IMAGES, message[0].results, FilledLane(MEMORY))


def by_pickle() -> Sequence[object]:
    flat = [
        (
            len(made.body), made.content_hash, made.original_bytes,
            made.probe.format, made.probe.width, made.probe.height, made.probe.orientation, made.probe.frames,
            made.sent.format, made.sent.width, made.sent.height, made.sent.bytes,
            made.predicted_image_tokens, made.predicted_prompt_tokens, made.max_tokens, made.fingerprint, made.by_url,
        )
        for made in REQUESTS
    ]  # fmt: skip
    sent = bytearray(pickle.dumps(flat, pickle.HIGHEST_PROTOCOL) + b"".join(made.body for made in REQUESTS))
    results, at = [], sum(len(made.body) for made in REQUESTS)
    bodies = bytes(sent[-at:])
    at = 0
    for image, (length, content_hash, size, *rest) in zip(IMAGES, pickle.loads(sent), strict=True):
        body = bytes(bodies[at : at + length])
        at += length
        results.append(Request(image, Probe(*rest[:5]), content_hash, size, Sent(*rest[5:9]), body, *rest[9:]))
    return results


def microseconds(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time_ns()
        for _ in range(rounds):
            work()
        best = min(best, (time.thread_time_ns() - begun) / rounds / len(REQUESTS) / 1000)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    rounds = parser.parse_args().rounds
    assert by_msgpack() == by_pickle() == REQUESTS
    pickled, packed = microseconds(by_pickle, rounds), microseconds(by_msgpack, rounds)
    print(f"MessagePack {packed:.1f} us an image, pickle {pickled:.1f} us: {packed / pickled:.2f} of its time")


if __name__ == "__main__":
    main()
