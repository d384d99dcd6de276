"""Answers by a schema, from the job to the row: every rung, one repair, and the bill as it was predicted."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.errors import UserError
from pipeline.presets import PRESETS
from tests.engine.live.run.runs import job_for
from tests.helpers.folders import write_jpegs
from tests.helpers.rows import rows_of
from tests.helpers.servers import emulate

SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "people": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
    "required": ["caption", "people", "place"],
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_jpegs(tmp_path / "photos", 6)
    return tmp_path / "photos"


def job_with(photos: Path, server: Running, **options: Any) -> Job:
    return job_for(photos, server).overlay(**{"schema": SCHEMA, **options})


async def rows(job: Job) -> list[dict[str, Any]]:
    await run_async(job)
    return list(rows_of(job.out).values())


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("openai:gpt-4o", 0),
        ("openai:gpt-5-mini", 0),
        ("openai:gpt-4-turbo", 0),
        ("openai:gpt-4-vision-preview", 0),
        ("compatible:gpt-4o-2024-05-13", 1),
    ],
)
async def test_fields_on_every_rung(photos: Path, emulator: Running, model: str, refused: int) -> None:
    if refused:  # nobody told us that the server does not have it: one image finds out for all
        model = "compatible:unheard-of"
    options = EmulatorOptions(model="gpt-4o-2024-05-13") if refused else EmulatorOptions()
    async with emulate(options) as server:
        found = await rows(job_with(photos, server, model=model, concurrency=1, max_tokens=400))
        assert server.stats.requests == 6 + refused
    for row in found:
        assert (row["status"], row["reason"], row["message"]) == ("captioned", None, None)
        assert row["fields"]["people"] == 1
        assert row["fields"]["place"] == {"name": row["caption"]}
        assert row["caption"] == row["fields"]["caption"]
        assert refused or row["prompt_tokens"] == row["predicted_prompt_tokens"]


@pytest.mark.parametrize("fault", ["answer_not_json", "schema_mismatch"])
async def test_an_answer_that_does_not_fit_is_repaired_once(photos: Path, fault: str) -> None:
    async with emulate(EmulatorOptions(scenario=(Step(fault, requests=(1, 1)),))) as server:
        found = await rows(job_with(photos, server, concurrency=1))
        assert server.stats.requests == 7
        assert sum(row["prompt_tokens"] for row in found) == server.stats.prompt_tokens
    assert {row["status"] for row in found} == {"captioned"}
    assert Counter(row["attempts"] for row in found) == {1: 5, 2: 1}
    assert all(row["prompt_tokens"] == row["predicted_prompt_tokens"] for row in found)


async def test_what_still_does_not_fit_is_a_row_that_says_why(photos: Path) -> None:
    async with emulate(EmulatorOptions(rates={"schema_mismatch": 1.0})) as server:
        job = job_with(photos, server)
        found = await rows(job)
        assert server.stats.requests == 12
        assert {(row["status"], row["reason"]) for row in found} == {("failed", "invalid_answer")}
        assert "does not fit the schema at $.caption" in found[0]["message"]
        assert "It was: {" in found[0]["message"]
        assert found[0]["caption"] is found[0]["fields"] is None
    async with emulate() as server:
        retried = Job.of_output(job.out).overlay(base_url=server.base_url, retry=["invalid_answer"])
        assert {row["status"] for row in await rows(retried)} == {"captioned"}


async def test_an_answer_cut_off_is_truncated(photos: Path, emulator: Running) -> None:
    found = await rows(job_with(photos, emulator, max_tokens=10))
    assert {(row["status"], row["caption"]) for row in found} == {("truncated", None)}
    assert "amid its JSON" in found[0]["message"]


async def test_a_refusal_is_one_also_where_json_was_asked_for(photos: Path) -> None:
    for fault in ("refusal", "apology"):
        async with emulate(EmulatorOptions(rates={fault: 1.0})) as server:
            found = await rows(job_with(photos, server, out=str(photos.parent / fault)))
            assert server.stats.requests == 6
        assert {(row["status"], row["reason"]) for row in found} == {("refused", "refused")}


@pytest.mark.parametrize("fault", [None, "answer_not_json"])
async def test_packs_hold_an_answer_by_the_schema_for_each(photos: Path, fault: str | None) -> None:
    scenario = (Step(fault, requests=(1, 1)),) if fault else ()
    async with emulate(EmulatorOptions(scenario=scenario)) as server:
        found = await rows(job_with(photos, server, pack=3, max_tokens=400))
        assert sum(row["prompt_tokens"] for row in found) == server.stats.prompt_tokens
    assert {row["status"] for row in found} == {"captioned"}
    assert len({row["fields"]["place"]["name"] for row in found}) == 6


async def test_the_estimate_is_the_bill(photos: Path, emulator: Running) -> None:
    for name in PRESETS:
        job = job_with(photos, emulator, schema=None, preset=name, out=str(photos.parent / name))
        [told] = estimate(job).models
        found = await rows(job)
        assert {row["status"] for row in found} == {"captioned"}
        assert told.prompt_tokens == sum(row["prompt_tokens"] for row in found)
        assert all(row["caption"] for row in found)
        assert told.text_tokens_exact == (job.model.schema is None)


async def test_another_schema_is_another_request(photos: Path, emulator: Running) -> None:
    job = job_with(photos, emulator)
    await rows(job)
    again = await run_async(job)
    assert again.to_dict()["skipped"] == 6
    other = job.overlay(schema={"type": "object", "properties": {"text": {"type": "string"}}})
    with pytest.raises(UserError, match="--replace"):
        await run_async(other)
    found = await rows(other.overlay(replace=True))
    assert {tuple(row["fields"]) for row in found} == {("text",)}


async def test_the_offline_describer_has_no_schema(photos: Path) -> None:
    with pytest.raises(UserError, match="answers in plain text"):
        await run_async(Job.create(photos, photos.parent / "out", preset="tags"))


async def test_the_openai_package_gets_what_it_parses(emulator: Running) -> None:
    class Photo(BaseModel):
        caption: str
        people: int

    async with AsyncOpenAI(api_key="k", base_url=emulator.base_url) as client:
        completion = await client.chat.completions.parse(
            model="gpt-4o", messages=[{"role": "user", "content": "?"}], response_format=Photo
        )
        parsed = completion.choices[0].message.parsed
        assert parsed is not None
        assert parsed.people == 1
        plain = await client.chat.completions.create(
            model="gpt-4-turbo",
            messages=[{"role": "user", "content": f"Answer in JSON by {json.dumps(SCHEMA)}"}],
            response_format={"type": "json_object"},
        )
        assert json.loads(plain.choices[0].message.content or "")["people"] == 1
