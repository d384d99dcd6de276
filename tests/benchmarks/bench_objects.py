"""Object stores on this machine: `python -m tests.benchmarks.bench_objects [reading|estimate|real|night] [COUNT]`.

reading   images of 300 KB through the engine's listing and fetching, beside a bare obstore loop of as many readers;
          the two take turns. Both include what the server costs, which shares this machine.
estimate  COUNT small images in a bucket that is made up, estimated by the command: requests by kind, bytes, and its
          memory for a tenth of them and for all.
real      the same of moto's server, behind a proxy that counts; a hundred thousand take a quarter of an hour.
night     COUNT images in moto's server captioned by the emulator; then 50 new, 3 changed, 2 deleted: what the second
          night asks.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import obstore

from pipeline import Job, run_async
from pipeline.clock import SystemClock
from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live.fetching import FETCHED_BYTES, Fetcher, fetch_images
from pipeline.engine.live.stages import Line, list_images
from pipeline.engine.preparing.preparer import Fetched, Listed
from pipeline.engine.record import RowContext
from pipeline.engine.stats import RunStats
from pipeline.engine.stop import Stop
from pipeline.items import Respondent, SourceImage
from pipeline.objects import open_objects
from pipeline.sources import SourceOptions, open_source
from tests.helpers.large_bucket import large_bucket
from tests.helpers.object_stores import ObjectServer, azure_server, azurite, moto, s3_server
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate_process, launch
from tests.helpers.store_proxy import proxied

READERS = 32
ROUNDS = 9
IMAGE_BYTES = 300_000
SMALL = encoded(photo(64, 48))
REPOSITORY = Path(__file__).parents[2]


async def fill(url: str, names: list[str], size: int | None) -> None:
    store = open_objects(url).store
    rest = iter(names)

    async def put() -> None:
        for name in rest:
            data = SMALL + name.encode()
            await obstore.put_async(store, name, data if size is None else data + random.randbytes(size - len(data)))

    await asyncio.gather(*[put() for _ in range(16)])


async def bare(url: str) -> int:
    """What reading costs at least."""
    opened = open_objects(url)
    names = [found["path"] for page in obstore.list(opened.store, chunk_size=1000) for found in page]
    rest, total = iter(names), 0

    async def read() -> None:
        nonlocal total
        for name in rest:
            data = await (await obstore.get_async(opened.store, name)).bytes_async()
            total += len(data)

    await asyncio.gather(*[read() for _ in range(READERS)])
    return total


async def engine(url: str) -> int:
    """The stages of a run up to the preparers, whose place is taken by somebody who only counts."""
    source = open_source(SourceOptions((url,)))
    listed: Channel[SourceImage] = Channel("listed", 512, 1)
    todo: Channel[Listed] = Channel("todo", 512, READERS)
    line = Line(
        listed=listed,
        todo=todo,
        ready=Channel("ready", 1, 1),
        done=Channel("done", 512, READERS),
        fetched=ByteBudget(FETCHED_BYTES),
        in_flight=ByteBudget(1),
        context=RowContext("run", "request", Respondent("builtin", "describe"), "high"),
        stats=RunStats(),
        stop=Stop(SystemClock()),
    )
    fetcher = Fetcher(source, line.stop, SystemClock(), random.Random())
    total = 0

    async def prepare() -> None:
        nonlocal total
        while (item := await todo.get()) is not None:
            assert isinstance(item, Fetched)
            total += len(item.files[0])
            line.fetched.give_back(len(item.files[0]))

    with ThreadPoolExecutor(1) as lister:
        async with asyncio.TaskGroup() as group:
            group.create_task(list_images(line, source.list(), lambda image: None, lister, None))
            for _ in range(READERS):
                group.create_task(fetch_images(line, listed, fetcher))
            group.create_task(prepare())
    if line.stop.error:
        raise line.stop.error
    return total


async def reading(server: ObjectServer, count: int) -> None:
    os.environ |= server.environ
    url = server.create("reading")
    await fill(url, [f"{number:06}.jpg" for number in range(count)], IMAGE_BYTES)
    rates: dict[str, list[float]] = {"bare": [], "engine": []}
    for _ in range(ROUNDS):
        for name, method in (("bare", bare), ("engine", engine)):
            begun = time.perf_counter()
            assert await method(url) == count * IMAGE_BYTES
            rates[name].append(count / (time.perf_counter() - begun))
    ratio = statistics.median(e / b for b, e in zip(rates["bare"], rates["engine"], strict=True))
    for name, found in rates.items():
        print(f"  {name:8} {statistics.median(found):7.0f} images/s  {[round(rate) for rate in found]}")
    print(f"  {server.scheme}: {count} images of {IMAGE_BYTES} bytes, engine / bare = {ratio:.2f}")


async def estimate(count: int) -> None:
    for images in (count // 10, count):
        async with large_bucket(images, SMALL) as bucket:
            begun = time.perf_counter()
            environ = s3_server(bucket.endpoint).environ
            code, peak_mb = await command(environ, "estimate", "s3://large", "--model", "gpt-4o")
            seconds = time.perf_counter() - begun
            print(
                f"  {images} images: exit {code}, {dict(bucket.counts)}, {bucket.bytes_sent / 1e6:.1f} MB from the"
                f" store, peak memory {peak_mb:.0f} MB, {seconds:.0f} s"
            )


async def estimate_real(count: int) -> None:
    for images in (count // 10, count):
        with launch([sys.executable, "-m", "tests.helpers.filled_moto", "filled", str(images)]) as server:
            async with proxied(server.endpoint) as proxy:
                begun = time.perf_counter()
                environ = s3_server(proxy.endpoint).environ
                code, peak_mb = await command(environ, "estimate", "s3://filled", "--model", "gpt-4o")
                seconds = time.perf_counter() - begun
        print(
            f"  {images} images: exit {code}, {dict(proxy.counts)}, {proxy.bytes_sent / 1e6:.1f} MB from the store,"
            f" peak memory {peak_mb:.0f} MB, {seconds:.0f} s"
        )


async def command(environ: Mapping[str, str], *arguments: str) -> tuple[int, float]:
    """The command's exit code and peak memory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipeline", *arguments, cwd=REPOSITORY, env={**os.environ, **environ},
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    peak = 0
    ended = asyncio.create_task(process.wait())
    while not ended.done():
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *[int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")], 0)
        except OSError:
            break
        await asyncio.wait([ended], timeout=0.1)
    return await ended, peak / 1024


async def night(server: ObjectServer, count: int) -> None:
    os.environ |= server.environ
    url = server.url("filled")
    names = [f"{number // 1000:03}/{number:06}.jpg" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, emulate_process() as emulator:
        os.environ |= {"OPENAI_API_KEY": "emulator-key", "OPENAI_BASE_URL": emulator.base_url}
        job = Job.create(url, Path(folder) / "out", model="openai:gpt-4o", concurrency=32)
        begun = time.perf_counter()
        first = await run_async(job)
        print(f"  first night: {first.stats.captioned} captioned in {time.perf_counter() - begun:.0f} s")
        await fill(url, [f"new/{number:06}.jpg" for number in range(50)], None)
        store = open_objects(url).store
        for name in names[10:13]:
            obstore.put(store, name, SMALL + b"changed")
        obstore.delete(store, names[:2])
        async with proxied(server.endpoint) as proxy:
            os.environ |= s3_server(proxy.endpoint).environ
            begun = time.perf_counter()
            second = await run_async(job)
            seconds = time.perf_counter() - begun
        print(
            f"  second night: {second.stats.recorded} asked, {second.stats.skipped} finished before,"
            f" {dict(proxy.counts)} from the store, {seconds:.1f} s in all"
        )


def main() -> None:
    arguments = sys.argv[1:]
    what = next((word for word in arguments if word in ("estimate", "real", "night")), "reading")
    count = next((int(word) for word in arguments if word.isdigit()), 300)
    print(f"{what}, {count} images:")
    with ExitStack() as stack:
        if what == "estimate":
            asyncio.run(estimate(count))
        elif what == "real":
            asyncio.run(estimate_real(count))
        elif what == "night":
            start = [sys.executable, "-m", "tests.helpers.filled_moto", "filled", str(count)]
            asyncio.run(night(s3_server(stack.enter_context(launch(start)).endpoint), count))
        else:
            for server in (s3_server(stack.enter_context(moto())), azure_server(stack.enter_context(azurite()))):
                asyncio.run(reading(server, count))


if __name__ == "__main__":
    main()
