import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UnknownModel, UserError
from pipeline.models import find_model, image_tokens, list_models
from pipeline.models.image_rules import PatchRule, scaled

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("token_cases.json").read_text("utf-8"))


def name(case: dict[str, Any]) -> str:
    return f"{case['model']} {case['width']}x{case['height']} {case['detail']}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_published_counts(case: dict[str, Any]) -> None:
    assert image_tokens(case["model"], case["width"], case["height"], case["detail"]) == case["tokens"]


@pytest.mark.parametrize("case", [case for case in CASES if "documented" in case], ids=name)
def test_documented_counts_are_carried_beside_the_billed_ones(case: dict[str, Any]) -> None:
    model = find_model(case["model"])
    assert isinstance(model.rule, PatchRule)
    detail = model.resolve_detail(case["detail"])
    assert model.rule.documented().tokens(case["width"], case["height"], detail) == case["documented"]


@pytest.mark.parametrize(
    ("model", "width", "height", "seen"),
    [
        ("gpt-4o", 1024, 1024, (768, 768)),
        ("gpt-4o", 2048, 4096, (768, 1536)),
        ("gpt-4o", 2049, 513, (2048, 513)),
        ("gpt-4o", 2050, 513, (2048, 512)),
        ("gpt-4o", 4096, 1025, (2048, 512)),  # 512.5: half to even
        ("gpt-4o", 1334, 1000, (1024, 768)),  # 1024.5: the second step rounds down
        ("gpt-4.1-mini", 1800, 2400, (1056, 1408)),
        ("gpt-4.1-mini", 4000, 1474, (2048, 755)),
        ("gpt-5.5", 3840, 2160, (2048, 1152)),
        ("gpt-6-astra", 3840, 2160, (2104, 1184)),
        ("anthropic:claude-haiku-4-5", 1920, 1080, (1456, 819)),
        # The guide's table prints 1269x952, the guide's code gives this; 46 x 34 patches both.
        ("anthropic:claude-haiku-4-5", 2000, 1500, (1270, 952)),
        ("anthropic:claude-haiku-4-5", 1075, 1520, (924, 1307)),
        ("anthropic:claude-opus-4-7", 3840, 2160, (2576, 1449)),
    ],
)
def test_what_the_server_shows_the_model(model: str, width: int, height: int, seen: tuple[int, int]) -> None:
    assert find_model(model).rule.seen(width, height, "high") == seen


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        ("gpt-5.4", 1024, 1024, "high", 1229),
        ("gpt-5.4", 2048, 2048, "high", 3000),
        ("gpt-6-astra", 2048, 2048, "high", 3000),
        ("gpt-6-astra", 4096, 512, "high", 2458),
        ("gpt-5.4", 2048, 2048, "low", 4916),  # 6,144 patches allowed: more than `high`
        ("gpt-5.5", 2048, 2048, "low", 308),  # 512x512
        ("gpt-5.5", 2048, 2048, "auto", 4916),
    ],
)
def test_examples_of_the_guide_of_2026_09(model: str, width: int, height: int, detail: str, tokens: int) -> None:
    assert image_tokens(model, width, height, detail) == tokens


def test_patches_before_the_multiplier() -> None:
    rule = find_model("gpt-4.1-mini").rule
    assert isinstance(rule, PatchRule)
    patches = PatchRule(percent=100, high=rule.high)
    assert patches.tokens(1024, 1024, "high") == 1024
    assert patches.tokens(1800, 2400, "high") == 1452


@pytest.mark.parametrize("percent", [120, 150, 162, 172, 246])
def test_a_whole_product_is_not_rounded_up(percent: int) -> None:
    rule = PatchRule(percent=percent, high=find_model("gpt-4.1-mini").rule.high)  # type: ignore[attr-defined]
    for across in range(1, 39):
        patches = across * 38
        exact, rest = divmod(patches * percent, 100)
        assert rule.tokens(across * 32, 38 * 32, "high") == exact + (rest > 0)


def test_auto_is_high_until_gpt_5_5_and_original_after() -> None:
    assert image_tokens("gpt-5.4", 3840, 2160, "auto") == image_tokens("gpt-5.4", 3840, 2160, "high")
    assert image_tokens("gpt-5.5", 3840, 2160, "auto") == image_tokens("gpt-5.4", 3840, 2160, "original")
    assert image_tokens("gpt-5.5", 4032, 3024, "auto") == 11868  # 9,890 of 10,000 patches
    assert image_tokens("gpt-6-astra", 4032, 3024, "auto") == 14364  # no limit


def test_low_is_no_cheaper_on_patch_models() -> None:
    assert image_tokens("o4-mini", 128, 64, "low") == 14


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        ("compatible:pixtral-12b", 1024, 1024, 4160),
        ("compatible:pixtral-12b", 1920, 1080, 2340),
        ("compatible:llava-hf/llava-1.5-7b-hf", 4000, 3000, 576),
        # transformers' own functions, called for these sizes
        ("compatible:llava-hf/llava-v1.6-mistral-7b-hf", 1920, 1080, 1948),
        ("compatible:llava-hf/llava-v1.6-mistral-7b-hf", 672, 672, 2928),
        ("compatible:llava-hf/llava-v1.6-mistral-7b-hf", 18980, 10676, 1850),
        ("compatible:google/gemma-3-27b-it", 640, 480, 256),
        ("compatible:HuggingFaceTB/SmolVLM-Instruct", 1536, 1536, 4 * 4 * 83 + 4 + 84),
        ("compatible:HuggingFaceTB/SmolVLM2-256M-Video-Instruct", 640, 480, 4 * 3 * 66 + 3 + 67),
        ("google:gemini-2.5-pro", 1000, 1000, 4 * 258),
    ],
)
def test_open_and_other_models(model: str, width: int, height: int, tokens: int) -> None:
    assert image_tokens(model, width, height) == tokens


def test_vendors_spelling_of_a_detail() -> None:
    assert (
        image_tokens("gemini-3", 900, 900, "media_resolution_low") == image_tokens("gemini-3", 900, 900, "low") == 280
    )
    with pytest.raises(UserError, match="low, medium, high or auto"):
        image_tokens("gemini-2.5-flash", 900, 900, "media_resolution_ultra_high")


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0), (-1, 5), (100_000, 10), (10, 65_536)])
def test_impossible_sizes_are_refused_in_one_sentence(width: int, height: int) -> None:
    with pytest.raises(UserError, match="each side must be 1 to 65,535 pixels"):
        image_tokens("gpt-4o", width, height)


@pytest.mark.parametrize(
    ("model", "detail", "sentence"),
    [
        ("gpt-4o", "original", "gpt-4o knows no detail 'original': use low, high or auto"),
        ("gpt-4o", "", "use low, high or auto"),
        ("gpt-5.4", "ultra", "low, high, original or auto"),
        ("gpt-3.5-turbo", "high", "takes no images"),
        ("openai:o3-mini-2025-01-31", "high", "takes no images"),
        ("compatible:somebody/anything", "high", "is not known"),
        ("builtin:describe", "high", "is not known"),
    ],
)
def test_bad_questions_get_one_sentence(model: str, detail: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        image_tokens(model, 100, 100, detail)
    assert "\n" not in str(caught.value)


def test_unknown_rule_is_none_inside_and_never_zero() -> None:
    assert find_model("compatible:somebody/anything").image_tokens(100, 100) is None
    with pytest.raises(UnknownModel):
        image_tokens("gpt-4zero", 100, 100)


def test_every_model_counts_the_largest_and_the_smallest_image() -> None:
    for model in list_models():
        for detail in model.details:
            for size in [(1, 1), (65_535, 1), (1, 65_535), (65_535, 65_535)]:
                tokens = model.image_tokens(*size, detail)
                assert tokens is None or tokens > 0, (model, detail, size)


def test_scaling_is_exact_at_halves() -> None:
    for denominator in range(1, 200):
        for side in range(1, 200):
            twice = 2 * side * 768
            whole, rest = divmod(twice + denominator, 2 * denominator)
            half_even = whole - (rest == 0 and whole % 2)
            assert scaled(side, 768, denominator) == max(1, half_even)
