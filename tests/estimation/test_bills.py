"""What was estimated is what is billed: image by image, against the emulator and against a server that is not ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import pandas
import pytest
from PIL import Image

from pipeline import Job, estimate, run_async
from tests.helpers.foreign_mock import PROMPT, foreign_server
from tests.helpers.pictures import animation, encoded, exif
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5-mini")
SIZES = [
    (1, 1), (33, 32), (128, 64), (512, 512), (513, 512), (640, 480), (768, 769), (800, 600), (1024, 1024), (1440, 960),
    (2049, 513), (2050, 513), (1800, 2400), (1920, 1080), (1080, 1920), (3000, 2000), (4000, 1474), (2048, 4096),
    (5000, 300), (37, 3001),
]  # fmt: skip
SERVERS = {"emulator": emulate, "foreign": foreign_server}


def picture(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").convert("RGB").resize((width, height))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many sizes in every format, some turned by EXIF, one animated, one empty."""
    folder = tmp_path_factory.mktemp("photos")
    kinds = ("jpeg", "png", "webp", "bmp", "tiff")
    for number, (width, height) in enumerate(SIZES):
        kind = kinds[number % len(kinds)]
        turned = {"exif": exif(6)} if number % 3 == 0 and kind != "bmp" else {}
        (folder / f"{number:02}-{width}x{height}.{kind}").write_bytes(encoded(picture(width, height), kind, **turned))
    (folder / "animated.gif").write_bytes(animation("gif"))
    (folder / "see-through.png").write_bytes(encoded(picture(900, 700).convert("RGBA"), "png"))
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture(params=SERVERS)
async def base_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with SERVERS[request.param]() as server:
        yield server.base_url


@pytest.mark.parametrize("policy", ["optimal", "economy"])
@pytest.mark.parametrize("model", MODELS)
async def test_predicted_is_billed(model: str, policy: str, photos: Path, base_url: str, tmp_path: Path) -> None:
    job = Job.create(
        photos, tmp_path / "out", model=model, base_url=base_url, prompt=PROMPT, image_policy=policy, max_tokens=400
    )
    [told] = (before := estimate(job)).models
    summary = await run_async(job)
    frame = pandas.read_parquet(tmp_path / "out")
    asked = frame[frame.status == "captioned"]

    assert len(asked) == len(SIZES) + 2 == told.images
    assert (asked.predicted_prompt_tokens == asked.prompt_tokens).all()
    assert told.prompt_tokens == asked.prompt_tokens.sum()
    assert told.image_tokens == asked.predicted_image_tokens.sum()
    assert before.survey.unreadable == dict(frame[frame.status != "captioned"].reason.value_counts())
    assert told.live_usd is not None
    assert asked.cost_usd.sum() < told.live_usd.high
    assert {(r.mean, r.largest) for r in summary.stats.residuals.values()} == {(0, 0)}

    [left] = estimate(job).models
    assert (left.images, left.prompt_tokens, left.done) == (0, 0, len(frame))


async def test_what_is_learned_from_some_answers_prices_the_rest(photos: Path, tmp_path: Path) -> None:
    async with foreign_server() as server:
        job = Job.create(photos, tmp_path / "out", model="gpt-4o", base_url=server.base_url, prompt=PROMPT, limit=9)
        first = await run_async(job)
        rest = job.overlay(limit=1000)
        [told] = estimate(rest).models
        second = await run_async(rest)
    assert first.stats.recorded + told.images == len(SIZES) + 2, "all but the empty file"
    assert told.live_usd is not None
    assert told.live_usd.expected == second.stats.cost_usd, "the mock's answers are all of one length"


async def test_economy_saves_a_quarter_of_what_optimal_takes_as_estimated(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, (width, height) in enumerate([(1500, 1000), (1920, 1080), (1000, 1500), (1080, 1920), (3000, 2000)]):
        (photos / f"{number}.jpg").write_bytes(encoded(picture(width, height)))
    billed: dict[str, int] = {}
    told: dict[str, int | None] = {}
    async with foreign_server() as server:
        for policy in ("optimal", "economy"):
            out = tmp_path / policy
            job = Job.create(photos, out, model="gpt-4o", base_url=server.base_url, prompt=PROMPT, image_policy=policy)
            told[policy] = estimate(job).models[0].prompt_tokens
            billed[policy] = (await run_async(job)).stats.prompt_tokens
    assert told == billed
    text = 5 * 12
    assert billed["economy"] - text <= 0.75 * (billed["optimal"] - text)
