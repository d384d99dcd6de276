import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.api.options import EndpointOptions
from pipeline.emulator.stats import Stats
from pipeline.engine.stats import Ending, RunStats, Summary
from pipeline.estimation import Estimate, estimate
from pipeline.job import Job
from pipeline.rehearsal.forecast import Machine, Rehearsal, forecast
from pipeline.rehearsal.scene import Scene, environment, pointed_at, set_scene
from pipeline.rehearsal.text import duration, render_rehearsal
from tests.helpers.pictures import encoded, photo

ANSWER_TOKENS = 50
NOW = 1_763_000_000.0


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(encoded(photo(64, 48, seed=number)))
    return folder


def night_of(job: Job) -> Estimate:
    return estimate(job, [job.model.name])


def make_job(photos: Path, **options: object) -> Job:
    return Job.create(photos, photos / "out", model="openai:gpt-4o", **options)


def seen(admitted: int, every: float, tokens: int = 300) -> Stats:
    """What an emulator saw of so many requests at that pace; each answer takes two seconds."""
    stats = Stats()
    for number in range(admitted):
        now = 1000 + number * every
        with stats.handling("", now):
            stats.at("").admit(tokens, now)
        stats.sent("", 200, f"q{number}", now + 2)
    return stats


def summed_up(captioned: int, cost: str = "0", stopped: Ending | None = None, message: str | None = None) -> Summary:
    stats = RunStats(listed=captioned, listing_done=True, statuses=Counter(captioned=captioned), cost_usd=Decimal(cost))
    return Summary("run", "out", "openai:gpt-4o", 1.0, stats, stopped, message)


def foreseen(job: Job, stats: Stats, summary: Summary, machine: Machine | None = None) -> Rehearsal:
    plan = job.plan()
    scene = set_scene(plan.members, ANSWER_TOKENS, reasons=False)
    return forecast(plan, scene, machine or Machine(100.0, 300.0), night_of(job), stats, summary, speed=20.0, now=NOW)


def test_a_night_that_was_rehearsed_as_a_whole_is_told_as_it_was(photos: Path) -> None:
    found = foreseen(make_job(photos, rpm=60), seen(10, every=1.0), summed_up(10, "0.5"))
    assert found.whole
    assert (found.images_per_second, found.seconds) == (1.0, 11.0)
    assert [(use.limit, use.share) for use in found.uses] == [("60 requests per minute", 1.0)]
    assert (found.cost_usd, found.exit_code, found.stopped) == (Decimal("0.5"), 0, None)


def test_the_rest_follows_from_the_pace_and_its_price_from_the_estimate(photos: Path) -> None:
    job = make_job(photos, rpm=60)
    found = foreseen(job, seen(5, every=1.0), summed_up(5, "0.25"))
    assert not found.whole
    assert found.seconds == 4 + 2 + 5
    [row] = night_of(job).models
    assert row.live_usd
    assert (found.cost_usd, found.prompt_tokens) == (row.live_usd.expected, row.prompt_tokens)


def test_the_quota_that_was_nearest_is_told(photos: Path) -> None:
    found = foreseen(make_job(photos, rpm=6000, tpm=20_000), seen(10, every=1.0), summed_up(10))
    [use] = found.uses
    assert (use.limit, use.share) == ("20,000 tokens per minute", pytest.approx(0.9))
    assert foreseen(make_job(photos), seen(10, every=1.0), summed_up(10)).uses == ()
    assert foreseen(make_job(photos, rpm=60), seen(5, every=1.0), summed_up(5)).uses == (), "too short to tell"


def test_the_start_does_not_weigh_more_than_it_does_in_a_night(photos: Path) -> None:
    stats = seen(1, every=1.0)
    for number in range(1, 40):
        stats.at("").admit(300, 1000 + 9 + number)  # the second one is nine seconds late
    found = foreseen(make_job(photos, rpm=60), stats, summed_up(10))
    assert found.uses[0].share == 1.0


def test_where_it_would_stop(photos: Path) -> None:
    limited = foreseen(make_job(photos, rpm=60, limit=5), seen(5, every=1.0), summed_up(5))
    assert (limited.stopped, limited.exit_code, limited.images) == ("limit", 4, 5)
    assert limited.message
    assert "--limit 5" in limited.message
    trouble = foreseen(make_job(photos), seen(5, every=1.0), summed_up(5, stopped="trouble", message="No money left."))
    assert (trouble.stopped, trouble.message, trouble.exit_code) == ("trouble", "No money left.", 3)


def test_money_and_deadline_end_a_night_that_was_rehearsed_in_part(photos: Path) -> None:
    job = make_job(photos, rpm=60)
    [row] = night_of(job).models
    assert row.live_usd
    half = row.live_usd.expected / 2 + Decimal("1e-9")
    poor = foreseen(job.overlay(max_cost=half), seen(3, every=1.0), summed_up(3))
    assert (poor.stopped, poor.done, poor.exit_code) == ("budget", 5, 4)
    assert poor.cost_usd == pytest.approx(row.live_usd.expected / 2)
    assert "after 5 of 10 images: --max-cost is spent." in render_rehearsal(poor)
    late = datetime.fromtimestamp(NOW + 6.5, UTC).isoformat()
    hurried = foreseen(job.overlay(deadline=late), seen(3, every=1.0), summed_up(3))
    assert (hurried.stopped, hurried.done, hurried.seconds) == ("deadline", 5, 6.0)
    in_time = datetime.fromtimestamp(NOW + 600, UTC).isoformat()
    assert foreseen(job.overlay(deadline=in_time, max_cost=100), seen(3, every=1.0), summed_up(3)).stopped is None


def test_what_stopped_the_rehearsal_would_stop_the_night_there(photos: Path) -> None:
    found = foreseen(make_job(photos, rpm=60), seen(4, every=1.0), summed_up(4, "0.1", stopped="budget"))
    assert (found.stopped, found.done, found.seconds, found.cost_usd) == ("budget", 4, 5.0, Decimal("0.1"))


def test_a_machine_that_is_slower_than_the_quota_is_told(photos: Path) -> None:
    slow = foreseen(make_job(photos, rpm=600), seen(10, every=0.5), summed_up(10), Machine(2.0, 300.0))
    assert slow.machine_bound
    assert "This machine prepares 2.0 images/s" in render_rehearsal(slow)
    assert not foreseen(make_job(photos, rpm=60), seen(10, every=1.0), summed_up(10), Machine(2.0, 300.0)).machine_bound


def test_what_a_machine_can_do_is_measured_between_first_and_last_request() -> None:
    assert Machine.measured(seen(11, every=0.1, tokens=400)) == Machine(pytest.approx(10.0), 400.0)
    assert Machine.measured(seen(1, every=1)).images_per_second == float("inf")
    assert Machine.measured(Stats()).tokens_each == 0


def test_it_is_plain_json(photos: Path) -> None:
    found = foreseen(make_job(photos, rpm=60), seen(10, every=1.0), summed_up(10, "0.5"), Machine(float("inf"), 1.0))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["cost_usd"] == "0.5"
    assert document["uses"] == [{"endpoint": "", "limit": "60 requests per minute", "share": 1.0}]
    assert document["machine_images_per_second"] is None


def test_the_text_names_what_matters(photos: Path) -> None:
    found = foreseen(make_job(photos, rpm=60), seen(8, every=1.0), summed_up(8))
    text = render_rehearsal(replace(found, rate_limited=2, requests=7, retries={"rate_limited": 2}))
    for words in (
        "8 of 10 images at 20 times real speed", "nothing was spent", "the night                 11 s",
        "100.0%   of 60 requests per minute", "2   of 7 requests (28.57%)", "by an estimate", "exit code 0",
    ):  # fmt: skip
        assert words in text
    assert "Nothing to rehearse" in render_rehearsal(replace(found, images=0))


@pytest.mark.parametrize(
    ("seconds", "text"), [(38.2, "38 s"), (725, "12 min 5 s"), (27_000, "7 h 30 min"), (59.9, "1 min 0 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def scene(photos: Path, model: str = "openai:gpt-4o", **options: object) -> Scene:
    return set_scene(make_job(photos, **options).overlay(model=model).members, ANSWER_TOKENS, reasons=False)


def test_the_emulator_has_the_jobs_own_limits(photos: Path) -> None:
    options = scene(photos, rpm=300, tpm=90_000, request_windows=(10, 1)).emulator
    assert (options.rpm, options.tpm, options.request_window, options.caption_tokens) == (300, 90_000, 1, 50)
    azure = scene(photos, "azure:captions", azure_model="gpt-4o", rpm=60).emulator
    assert (azure.deployments, azure.request_window) == ({"captions": "azure:gpt-4o"}, 10.0)
    thinking = set_scene(make_job(photos).members, 100, reasons=True).emulator
    assert (thinking.reasoning_tokens, thinking.caption_tokens) == (80, 20)


def test_what_limits_the_pace(photos: Path) -> None:
    assert scene(photos, rpm=60, tpm=90_000).images_per_second(300) == 1.0
    assert scene(photos, rpm=6000, tpm=90_000).images_per_second(300) == 5.0
    assert scene(photos, concurrency=4).images_per_second(300) == 4 / (1.0 + 50 * 0.02)


def test_short_windows_bound_the_speed(photos: Path) -> None:
    assert scene(photos, rpm=60).highest_speed == pytest.approx(50)
    assert scene(photos, rpm=60, request_windows=(10,)).highest_speed == pytest.approx(30)
    assert scene(photos, rpm=60, request_windows=(1,)).highest_speed == pytest.approx(3)


def pool(photos: Path) -> Job:
    east = EndpointOptions(name="east", model="azure:d", azure_model="gpt-4o", base_url="https://east.example", rpm=60)
    west = EndpointOptions(model="openai:gpt-4o", key_env="WEST_KEY", rpm=120)
    return replace(make_job(photos), endpoint=(east, west))


def test_each_endpoint_of_a_pool_is_emulated(photos: Path) -> None:
    plan = pool(photos).plan()
    scene = set_scene(plan.members, ANSWER_TOKENS, reasons=False)
    assert {name: each.rpm for name, each in scene.emulator.endpoints.items()} == {"east": 60, "endpoint 2": 120}
    assert scene.images_per_second(300) == 3.0
    pointed = pointed_at(plan, "http://127.0.0.1:1", "elsewhere", speed=30)
    assert [member.model.base_url for member in pointed.members] == [
        "http://127.0.0.1:1/east", "http://127.0.0.1:1/endpoint%202/v1",
    ]  # fmt: skip
    assert {member.limits.timeout_seconds for member in pointed.members} == {5.0}
    environ = environment(
        {
            "WEST_KEY": "secret",
            "OPENAI_BASE_URL": "https://real",
            "HOME": "/home",
            "VISION_ENDPOINT": "https://v",
            "VISION_KEY": "secret",
        },
        plan.members,
        "http://127.0.0.1:1",
    )
    assert "secret" not in environ.values()
    assert "OPENAI_BASE_URL" not in environ
    assert environ["HOME"] == "/home"
