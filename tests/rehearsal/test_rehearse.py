"""Rehearsals of small nights: real processes, real HTTP, clocks that go faster."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.api.options import EndpointOptions
from pipeline.engine.stats import RunStats
from pipeline.errors import UserError
from pipeline.job import Job, run_async
from pipeline.rehearsal import rehearse
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(12):
        (folder / f"{number:02}.jpg").write_bytes(encoded(photo(64, 48, grain=8, seed=number)))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 and no more")
    return folder


def test_a_night_is_rehearsed_without_key_money_or_trace(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = Job.create(photos, out, model="openai:gpt-4o", rpm=240)
    counted: list[int] = []

    def observe(stats: RunStats) -> None:
        counted.append(stats.recorded)

    found = rehearse(job, speed=5, observer=observe, environ={"PATH": os.environ["PATH"]})
    assert (found.images, found.rehearsed, found.requests, found.rate_limited) == (13, 13, 12, 0)
    assert found.cost_usd
    assert found.exit_code == 1
    assert sum(found.reasons.values()) == 1
    assert counted[-1] == 13
    assert not out.exists()


def test_a_pool_of_which_one_endpoint_is_gone_for_a_while(photos: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "outage.toml"
    scenario.write_text('[[step]]\nfault = "cut"\nendpoint = "east"\nseconds = [0, 1]\n')
    east = EndpointOptions(name="east", model="azure:captions", azure_model="gpt-4o", rpm=300, auth="entra")
    west = EndpointOptions(name="west", model="openai:gpt-4o", rpm=300, key_env="WEST_KEY")
    job = replace(Job.create(photos, tmp_path / "out"), endpoint=(east, west))
    found = rehearse(job, speed=3, scenario=scenario)
    assert (found.rehearsed, found.reasons) == (13, {"unsupported_format": 1})
    assert found.retries
    assert found.requests > 12
    assert found.stopped is None


def test_trouble_of_the_scenario_shows(photos: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "trouble.toml"
    scenario.write_text('[[step]]\nfault = "insufficient_quota"\nrequests = [5, 1000]\n')
    job = Job.create(photos, tmp_path / "out", model="azure:captions", azure_model="gpt-4o", rpm=600)
    found = rehearse(job, speed=5, scenario=scenario)
    assert (found.stopped, found.exit_code) == ("trouble", 3)
    assert found.message
    assert "quota" in found.message


def test_what_is_finished_is_not_rehearsed(photos: Path, tmp_path: Path) -> None:
    async def caption_all() -> Job:
        async with emulate() as running:
            job = Job.create(photos, tmp_path, model="compatible:gpt-4o", base_url=running.base_url)
            await run_async(job)
        return job

    found = rehearse(asyncio.run(caption_all()))
    assert (found.images, found.rehearsed) == (0, 0)


def test_the_offline_describer_needs_no_rehearsal(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="just run it"):
        rehearse(Job.create(photos, tmp_path))
