import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.models import Model, best_dimensions, find_model, image_tokens, list_models
from pipeline.models.image_rules import ClaudeRule, CropRule, PatchRule, TileRule
from pipeline.models.open_model_rules import CappedTileRule, LlavaNextRule, PixtralRule, QwenRule, SmolVlmRule

MODELS = list({model.rule: model for model in list_models()}.values())
SIDES = st.one_of(
    st.integers(1, 65_535),
    st.integers(1, 5000),
    st.builds(
        lambda cell, count, by: max(1, cell * count + by),
        st.sampled_from([28, 32, 512]),
        st.integers(1, 60),
        st.integers(-1, 1),
    ),
)
PHOTO_SHAPES = [(3, 2), (4, 3), (16, 9), (1, 1), (2, 3), (3, 4), (9, 16)]
POLICIES = ["original", "optimal", "economy", "budget:2000", "budget:600"]


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    width = draw(SIDES)
    if draw(st.booleans()):
        return width, draw(SIDES)
    across, down = draw(st.sampled_from(PHOTO_SHAPES))
    return width, min(65_535, max(1, round(width * down / across)))


def best(model: Model, size: tuple[int, int], detail: str, policy: str) -> tuple[int, int]:
    try:
        return best_dimensions(model, *size, detail, policy)
    except UserError:
        assert policy.startswith("budget:")
        assume(False)
        raise


@settings(max_examples=300)
@given(st.sampled_from(MODELS), sizes(), st.sampled_from(POLICIES), st.data())
def test_never_dearer_never_larger_never_distorted_and_settled(
    model: Model, size: tuple[int, int], policy: str, data: st.DataObject
) -> None:
    detail = data.draw(st.sampled_from(model.details))
    (width, height), (sent_width, sent_height) = size, best(model, size, detail, policy)
    assert 1 <= sent_width <= width
    assert 1 <= sent_height <= height
    assert abs(sent_width * height - sent_height * width) <= max(width, height)  # one pixel off on one side
    tokens, before = model.image_tokens(sent_width, sent_height, detail), model.image_tokens(width, height, detail)
    assert (tokens is None and before is None) or (tokens or 0) <= (before or 0)
    assert best(model, (sent_width, sent_height), detail, policy) == (sent_width, sent_height)


@settings(max_examples=300)
@given(st.sampled_from(MODELS), sizes(), st.data())
def test_optimal_leaves_the_server_nothing_to_resize(model: Model, size: tuple[int, int], data: st.DataObject) -> None:
    detail = data.draw(st.sampled_from([detail for detail in model.details if detail != "low"]))
    sent = best_dimensions(model, *size, detail)
    assert model.rule.seen(*sent, model.resolve_detail(detail)) == sent
    if isinstance(model.rule, CropRule | CappedTileRule | SmolVlmRule):
        return  # counted by rough formulas: a resized image may be cheaper, as the first test says
    if isinstance(model.rule, PatchRule) and image_tokens(model, *size, detail) > 36_000:
        assert image_tokens(model, *sent, detail) <= 36_000  # OpenAI refuses more than 30,000 patches
        return
    assert model.image_tokens(*sent, detail) == model.image_tokens(*size, detail)


@settings(max_examples=300)
@given(st.sampled_from(MODELS), sizes(), st.floats(0, 0.9))
def test_economy_takes_little_and_saves_a_tenth(model: Model, size: tuple[int, int], max_shrink: float) -> None:
    optimal = best_dimensions(model, *size)
    economy = best_dimensions(model, *size, policy="economy", max_shrink=max_shrink)
    if economy == optimal:
        return
    before, after = image_tokens(model, *optimal), image_tokens(model, *economy)
    assert after <= 0.9 * before
    for sent, seen in zip(economy, optimal, strict=True):
        assert seen - sent <= max_shrink * seen


@settings(max_examples=300)
@given(st.sampled_from(MODELS), sizes(), st.integers(1, 6000))
def test_budget_is_kept_by_the_largest_size(model: Model, size: tuple[int, int], budget: int) -> None:
    exact = isinstance(model.rule, TileRule | PatchRule | ClaudeRule | PixtralRule)
    assume(exact or isinstance(model.rule, QwenRule | LlavaNextRule | CropRule | CappedTileRule))
    optimal, sent = best_dimensions(model, *size), best(model, size, "high", f"budget:{budget}")
    assert image_tokens(model, *sent) <= budget
    if sent != optimal and exact:
        longer = max(sent) + 1
        other = round(min(size) * longer / max(size)) or 1
        larger = (longer, other) if size[0] >= size[1] else (other, longer)
        assert longer == max(optimal) or image_tokens(model, *larger) > budget


@pytest.mark.parametrize(
    ("size", "optimal", "economy", "tokens"),
    [
        ((6000, 4000), (1152, 768), (1024, 683), (1105, 765)),  # 3:2
        ((4000, 6000), (768, 1152), (683, 1024), (1105, 765)),
        ((3840, 2160), (1365, 768), (1024, 576), (1105, 765)),  # 16:9
        ((1280, 720), (1280, 720), (1024, 576), (1105, 765)),
        ((4000, 3000), (1024, 768), (1024, 768), (765, 765)),  # 4:3: the next boundary is a third away
        ((513, 300), (513, 300), (512, 299), (425, 255)),
        ((1024, 576), (1024, 576), (1024, 576), (765, 765)),  # on a boundary already
        ((7000, 2000), (2048, 585), (1792, 512), (1445, 765)),
    ],
)
def test_tiles_of_photographs(
    size: tuple[int, int], optimal: tuple[int, int], economy: tuple[int, int], tokens: tuple[int, int]
) -> None:
    assert best_dimensions("gpt-4o", *size) == optimal
    assert best_dimensions("gpt-4o", *size, policy="economy") == economy
    assert (image_tokens("gpt-4o", *optimal), image_tokens("gpt-4o", *economy)) == tokens


def test_other_grids() -> None:
    assert best_dimensions("gpt-4.1-mini", 4032, 3024) == (1408, 1056)
    assert best_dimensions("gpt-4.1-mini", 257, 256, policy="economy") == (
        257,
        256,
    )  # a side on the grid, nothing resized
    assert best_dimensions("gpt-4.1-mini", 257, 257, policy="economy") == (256, 256)
    assert best_dimensions("anthropic:claude-haiku-4-5", 1920, 1080) == (1456, 819)
    assert best_dimensions("google:gemini-2.5-flash", 400, 300, policy="economy") == (384, 288)  # one crop, not four
    assert best_dimensions("google:gemini-2.5-flash", 4000, 3000) == (1536, 1152)
    assert best_dimensions("compatible:qwen3-vl-8b-instruct", 8000, 6000, "low") == (512, 384)
    assert best_dimensions("compatible:llava-hf/llava-1.5-7b-hf", 4000, 3000) == (448, 336)


def test_low_detail_is_512_for_every_model() -> None:
    for model in list_models():
        assert max(best_dimensions(model, 3000, 3000, "low")) <= 512, model


def test_unknown_rules_fit_a_square_and_cannot_keep_a_budget() -> None:
    assert best_dimensions("compatible:anything", 5000, 4000) == (2048, 1638)
    assert best_dimensions("compatible:anything", 5000, 4000, policy="economy") == (2048, 1638)
    assert best_dimensions("builtin:describe", 4000, 3000) == (1024, 768)
    with pytest.raises(UserError, match="not known"):
        best_dimensions("compatible:anything", 5000, 4000, policy="budget:500")


def test_original_sends_as_is() -> None:
    assert best_dimensions("gpt-4o", 9000, 7000, policy="original") == (9000, 7000)


@pytest.mark.parametrize(
    "policy", ["", "best", "budget", "budget:", "budget:-5", "budget:0", "budget:1.5", "optimal:3", "Economy"]
)
def test_bad_policies_get_one_sentence(policy: str) -> None:
    with pytest.raises(UserError, match=r"^(Unknown image policy|Image policy) '.*'.*\.$"):
        best_dimensions("gpt-4o", 100, 100, policy=policy)


@pytest.mark.parametrize("max_shrink", [-0.1, 1.0, float("nan")])
def test_bad_shrink_is_refused(max_shrink: float) -> None:
    with pytest.raises(UserError, match="max_shrink"):
        best_dimensions("gpt-4o", 100, 100, policy="economy", max_shrink=max_shrink)


def test_a_budget_below_the_least_names_it() -> None:
    with pytest.raises(UserError, match="the least is 255"):
        best_dimensions("gpt-4o", 4000, 3000, policy="budget:200")
    with pytest.raises(UserError, match="the least is 85"):
        best_dimensions("gpt-4o", 4000, 3000, "low", "budget:84")
    assert best_dimensions("gpt-4o", 4000, 3000, policy="budget:255") == (512, 384)
    assert (
        image_tokens(find_model("gpt-4.1-mini"), *best_dimensions("gpt-4.1-mini", 4000, 3000, policy="budget:1000"))
        <= 1000
    )
