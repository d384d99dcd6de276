"""What a joined request looks like, what it is predicted to take, and which packs nobody would answer."""

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, LabelledImage, tail_template
from pipeline.api.pool.members import members_of
from pipeline.engine.packing.joining import check_pack, labels_of, packed_prompt, packing_of, text_tokens
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.models import find_model, prompt_tokens
from pipeline.models import text_tokens as tokens_of
from tests.engine.making import request

IMAGES = [("jpeg", b"first"), ("png", b"second image"), ("webp", b"")]

FORM = Form("gpt-4o")


def test_joined_tails_are_what_would_have_been_rendered() -> None:
    """Byte for byte, without decoding and encoding again."""
    template = tail_template(ModelOptions(prompt='Say "cheese"; \N{SNOWMAN}', detail="low"))
    tails = [template.render(kind, data) for kind, data in IMAGES]
    labelled = [LabelledImage(label, *image) for label, image in zip(labels_of(3), IMAGES, strict=True)]
    assert template.join(tails, labels_of(3), "All?") == template.render_several(labelled, "All?")


@pytest.mark.parametrize("name", ["openai:gpt-4o", "openai:gpt-5-mini", "openai:gpt-4.1-nano"])
def test_the_prediction_is_the_models_rule_for_the_whole_request(name: str) -> None:
    options = ModelOptions(name=name, system="Be brief.", pack=3)
    packing = packing_of(members_of(options, Job().limits, ()), {})
    joined = packing.join([request(key, packing.template.render("jpeg", b"x")) for key in "abc"])
    model, text = find_model(name), packed_prompt(options.prompt, 3, with_schema=False)
    labels = sum(tokens_of(model, label) or 0 for label in labels_of(3))
    assert joined.predicted_prompt_tokens == (prompt_tokens(model, "Be brief.", text, [255] * 3) or 0) + labels


def test_what_a_pack_takes_beside_its_prompt_is_what_the_readme_says() -> None:
    options, model = ModelOptions(name="openai:gpt-4o"), find_model("openai:gpt-4o")
    alone = text_tokens(options, model, FORM, 1) or 0
    for count in (2, 4, 10):
        assert text_tokens(options, model, FORM, count) == alone + 26 + 4 * count
    assert (text_tokens(options, model, FORM, 4) or 0) < 4 * alone, "even the shortest prompt pays in packs of four"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "azure:gpt-4-turbo", "pack": 11}, "pack is 11, .* at most 10 "),
        ({"model": "openai:gpt-4o", "pack": 501, "max_tokens": 1}, "at most 500 "),
        ({"model": "openai:gpt-4o", "pack": 60}, "answers of up to 18,000 tokens, .* gives 16,384 at most"),
        ({"model": "openai:gpt-4o", "pack": 2, "prompt": "A {name}."}, "with a {column} in it every image"),
        ({"pack": 2}, "builtin:describe looks at one image"),
    ],
)
def test_a_pack_that_nobody_takes_is_told_beforehand(options: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_pack(Job.create("photos", "out", **options).members, {})


def test_a_pack_below_one_is_none() -> None:
    with pytest.raises(UserError, match="pack is 0"):
        Job.create("photos", "out", pack=0)
