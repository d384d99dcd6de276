"""What `--keep-raw` takes: bytes of a reply on the disk, and time of a core beside the reading of the same reply.

python -m tests.benchmarks.bench_raw
"""

import gzip
import random
import time

from pipeline.api.attempt import Target
from pipeline.api.client import Response
from pipeline.api.reading.replies import read_response
from pipeline.emulator.answer import Answer
from pipeline.emulator.limits import Provider
from pipeline.emulator.wire.replies import completion, headers
from pipeline.engine.raw import render_line

REPLIES = 20_000
WORDS = ["".join(random.Random(number).choices("aeilnorst", k=5)) for number in range(2000)]
TARGET = Target("host/gpt-4o", "openai", "gpt-4o")
PROVIDERS: tuple[Provider, ...] = ("openai", "azure")


def replies(provider: Provider) -> list[Response]:
    """Captions of 45 words out of 2,000."""
    rng = random.Random(1)
    made = []
    for number in range(REPLIES):
        answer = Answer(" ".join(rng.choices(WORDS, k=45)), "stop", 800 + rng.randrange(300), 60)
        body = completion(
            answer, provider=provider, model="gpt-4o", created=number, fault=None, old=False, grounding=False
        )
        made.append(Response(200, headers(provider, {}, processing_seconds=1.2, retry_after=None), body))
    return made


def main() -> None:
    for provider in PROVIDERS:
        made = replies(provider)
        begun = time.process_time()
        for reply in made:
            read_response(reply.status, reply.headers, reply.body)
        read = time.process_time()
        lines = [render_line(f"{n:06}.jpg", TARGET, reply, "2026-11-22T03:00:00") for n, reply in enumerate(made)]
        rendered = time.process_time()
        packed = gzip.compress(b"".join(lines), 6)
        written = time.process_time()
        each = 1e6 / REPLIES
        print(
            f"{provider}: {sum(map(len, lines)) / REPLIES:,.0f} bytes a line, {len(packed) / REPLIES:.0f} on the disk; "
            f"line {(rendered - read) * each:.0f} us, gzip {(written - rendered) * each:.0f} us, "
            f"{(written - read) / (read - begun):.1f} times the {(read - begun) * each:.0f} us of reading it"
        )


if __name__ == "__main__":
    main()
