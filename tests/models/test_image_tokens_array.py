import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.models import Model, best_dimensions, fits_array, image_tokens_array, list_models
from pipeline.models.image_rules import PatchRule, TileRule, UnknownRule

MODELS = list({model.rule: model for model in list_models() if not isinstance(model.rule, UnknownRule)}.values())
SIDES = st.one_of(st.integers(1, 65_535), st.integers(1, 4_500), st.sampled_from([384, 385, 512, 513, 768, 1152, 2048]))


@settings(max_examples=300)
@given(st.sampled_from(MODELS), st.data(), st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=60))
def test_equal_to_the_scalar_for_every_size(model: Model, data: st.DataObject, sizes: list[tuple[int, int]]) -> None:
    detail = data.draw(st.sampled_from(model.details))
    tokens = image_tokens_array(model, [w for w, _ in sizes], [h for _, h in sizes], detail)
    assert tokens.tolist() == [model.image_tokens(width, height, detail) for width, height in sizes]


@settings(max_examples=300)
@given(st.sampled_from(list_models()), st.data(), st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=60))
def test_what_fits_is_left_as_it_is(model: Model, data: st.DataObject, sizes: list[tuple[int, int]]) -> None:
    detail = data.draw(st.sampled_from(model.details))
    fits = fits_array(model, [w for w, _ in sizes], [h for _, h in sizes], detail)
    for size, fit in zip(sizes, fits.tolist(), strict=True):
        left = best_dimensions(model, *size, detail) == size
        assert left or not fit
        if isinstance(model.rule, TileRule | PatchRule) and detail != "low":
            assert fit == left


def test_every_model_has_its_twin_and_agrees_on_photographs() -> None:
    rng = np.random.default_rng(7)
    widths = rng.integers(200, 9000, 1500)
    heights = np.maximum(1, (widths / rng.choice([1, 3 / 2, 4 / 3, 16 / 9, 2 / 3, 9 / 16], 1500)).astype(int))
    for model in MODELS:
        expected = [model.image_tokens(int(w), int(h)) for w, h in zip(widths, heights, strict=True)]
        assert image_tokens_array(model, widths, heights).tolist() == expected, model


def test_shapes_broadcast_and_chunks_join() -> None:
    tokens = image_tokens_array("gpt-4o", np.full((70, 1000), 1024), 1024)
    assert tokens.shape == (70, 1000)
    assert tokens.dtype == np.int64
    assert (tokens == 765).all()
    assert image_tokens_array("gpt-4o", [], []).shape == (0,)


@pytest.mark.parametrize("bad", [0, -5, 70_000])
def test_one_impossible_size_is_named(bad: int) -> None:
    with pytest.raises(UserError, match=f"{bad}x100"):
        image_tokens_array("gpt-4o", [100, bad, 100], [100, 100, 100])


def test_unknown_rules_and_fractions_of_pixels_are_refused() -> None:
    with pytest.raises(UserError, match="not known"):
        image_tokens_array("compatible:anything", [1], [1])
    with pytest.raises(UserError, match="whole pixels"):
        image_tokens_array("gpt-4o", [1.5], [1.5])
