"""What the emulator costs: CPU for each request of about 120 KB, beside parsing the same JSON and nothing else.

python tests/benchmarks/bench_emulator.py
"""

import base64
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipeline.clock import SystemClock
from pipeline.emulator.answer import text_tokens
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.service import Call, Service
from tests.helpers.pictures import encoded, photo

PICTURES = 200
ROUNDS = 5


def body(seed: int) -> bytes:
    data = encoded(photo(640, 480, grain=12, seed=seed), quality=80)
    url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    content = [{"type": "text", "text": "Describe this image."}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "gpt-4o", "max_tokens": 300, "messages": messages}).encode()


def asking(options: EmulatorOptions) -> Callable[[bytes], object]:
    service = Service(options, SystemClock())
    return lambda item: service.ask(Call("openai", item, "application/json", None), 1)


def milliseconds(work: Callable[[bytes], object], bodies: list[bytes]) -> float:
    """CPU for each body, in the best of the rounds."""
    times = []
    for _ in range(ROUNDS):
        text_tokens.cache_clear()  # captions differ from image to image
        start = time.process_time()
        for item in bodies:
            work(item)
        times.append(time.process_time() - start)
    return min(times) / len(bodies) * 1000


def main() -> None:
    bodies = [body(seed) for seed in range(PICTURES)]
    print(f"{PICTURES} bodies of {sum(map(len, bodies)) / PICTURES / 1000:.0f} KB on average")
    baseline = milliseconds(json.loads, bodies)
    print(f"{'json.loads alone':40} {baseline:6.2f} ms")
    busy = EmulatorOptions(rpm=10**6, tpm=10**9, rates={"overloaded": 0.01}, latency=1.0, latency_sigma=0.35)
    for name, options in {
        "patient": EmulatorOptions(),
        "with limits, latency and faults": busy,
        "decoding every image": EmulatorOptions(decode=True),
    }.items():
        cost = milliseconds(asking(options), bodies)
        print(f"{name:40} {cost:6.2f} ms, {cost / baseline:5.1f} x")


if __name__ == "__main__":
    main()
