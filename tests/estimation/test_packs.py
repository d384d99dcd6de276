"""Packs share prompts and requests: what is estimated is what is billed, and a pack that does not pay is told."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline import Job, estimate, run_async
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import Form
from pipeline.errors import UserError
from pipeline.estimation.packs import Packs, plan_packs
from pipeline.models import find_model
from tests.estimation.test_costs import estimated, survey_of
from tests.helpers.folders import write_small_jpegs
from tests.helpers.servers import emulate

GPT_4O = find_model("gpt-4o")
LONG = "Describe this image for a training set: " + "the subject, its surroundings, the light, the mood; " * 10

FORM = Form("gpt-4o")


def test_asked_alone_each_image_has_a_prompt() -> None:
    for pack, one_by_one in ((1, 0), (4, 10)):
        packs = plan_packs(ModelOptions(pack=pack), GPT_4O, FORM, 10, 17, one_by_one=one_by_one)
        assert packs == Packs(requests=10, text_tokens=170)


def test_the_last_pack_has_what_is_left() -> None:
    def of(images: int) -> Packs:
        return plan_packs(ModelOptions(pack=4), GPT_4O, FORM, images, 17, one_by_one=0)

    assert [of(images).requests for images in range(10)] == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert of(9).text_tokens == 2 * of(4).text_tokens + 17
    assert of(10).text_tokens == 2 * of(4).text_tokens + of(2).text_tokens


def test_videos_and_groups_are_in_no_pack() -> None:
    five = plan_packs(ModelOptions(pack=4), GPT_4O, FORM, 5, 17, one_by_one=0)
    eight = plan_packs(ModelOptions(pack=4), GPT_4O, FORM, 8, 17, one_by_one=3)
    assert (eight.requests, eight.text_tokens) == (five.requests + 3, five.text_tokens + 3 * 17)
    assert eight.saved_tokens == five.saved_tokens


@pytest.mark.parametrize(("pack", "prompt", "words"), [(4, LONG, "fewer"), (2, "Caption?", "more")])
def test_whether_packing_pays_is_told(pack: int, prompt: str, words: str) -> None:
    found = estimated(survey_of({(64, 64): 40}), pack=pack, prompt=prompt)
    [note] = [note for note in found.notes if "packs" in note]
    assert f"packs of {pack} take {40 // pack} requests, and " in note
    assert f"prompt tokens {words} than images asked alone" in note


def test_dollars_are_those_of_the_tokens_to_the_last_one() -> None:
    found = estimated(survey_of({(64, 64): 41}), pack=4, prompt=LONG)
    assert found.live_usd is not None
    assert found.prompt_tokens is not None
    prompt, answers = Decimal("0.0000025"), Decimal("0.00001")
    assert found.live_usd.expected == found.prompt_tokens * prompt + found.output_tokens.expected * answers


def test_fewer_requests_are_fewer_minutes() -> None:
    hours = [estimated(survey_of({(64, 64): 600}), limits=LimitOptions(rpm=60), pack=pack).hours for pack in (1, 4)]
    assert [each and round(each.expected * 60) for each in hours] == [10, 2]


def test_where_the_vocabulary_is_unknown_text_is_counted_by_its_length() -> None:
    unknown = find_model("compatible:nobody-knows-it")
    packs = plan_packs(ModelOptions(pack=4), unknown, FORM, 8, 17, one_by_one=0)
    assert 2 * 17 < packs.text_tokens < 8 * 17


def test_more_than_a_provider_takes_is_refused(tmp_path: Path) -> None:
    job = Job.create(tmp_path, tmp_path / "out", model="azure:gpt-4-turbo", pack=11)
    with pytest.raises(UserError, match="at most 10 "):
        estimate(job)


def test_a_schema_that_nobody_follows_is_refused_as_by_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers in plain text"):
        estimate(Job.create(tmp_path, tmp_path / "out", preset="tags"), ["builtin:describe"])


@pytest.mark.integration
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5-mini"])
async def test_predicted_is_billed(model: str, tmp_path: Path) -> None:
    write_small_jpegs(tmp_path / "photos", 23)
    async with emulate() as server:
        options = {"model": model, "base_url": server.base_url, "max_tokens": 400, "prompt": LONG}
        alone, packed = (Job.create(tmp_path / "photos", tmp_path / f"out-{n}", pack=n, **options) for n in (1, 5))
        [told] = estimate(packed).models
        summary = await run_async(packed)
        assert (told.requests, told.prompt_tokens) == (5, summary.stats.prompt_tokens)
        assert server.stats.requests == 5
    assert json.loads(json.dumps(estimate(packed).to_dict()))["models"][0]["requests"] == 0, "all are finished"
    assert told.prompt_tokens is not None
    assert told.prompt_tokens < (estimate(alone).models[0].prompt_tokens or 0)
