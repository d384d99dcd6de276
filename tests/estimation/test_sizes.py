from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.estimation.sizes import Sizes, sent_under
from pipeline.estimation.survey import Survey
from pipeline.models import Model, best_dimensions, list_models

MODELS = list({model.rule: model for model in list_models()}.values())
SIDES = st.one_of(st.integers(1, 4500), st.integers(1, 65_535), st.sampled_from([512, 513, 768, 769, 1024, 2048]))
KINDS = st.dictionaries(st.tuples(SIDES, SIDES, st.booleans()), st.integers(1, 9), max_size=12)
POLICIES = ["original", "optimal", "economy", "budget:600", "budget:5000"]


def survey_of(kinds: dict[tuple[int, int, bool], int]) -> Survey:
    survey = Survey(listed=sum(kinds.values()), probed=sum(kinds.values()), sizes=Counter(kinds))
    survey.bytes.update({kind: 1000 * images for kind, images in kinds.items()})
    return survey


@settings(max_examples=300)
@given(st.sampled_from(MODELS), st.sampled_from(POLICIES), KINDS, st.data())
def test_equal_to_asking_about_each_image(
    model: Model, policy: str, kinds: dict[tuple[int, int, bool], int], data: st.DataObject
) -> None:
    detail = data.draw(st.sampled_from(model.details))
    try:
        best = {(w, h): best_dimensions(model, w, h, detail, policy) for w, h, _ in kinds}
    except UserError:
        return  # a budget that this model cannot keep is refused before a survey begins
    sent = sent_under(policy, Sizes.of(survey_of(kinds)), model, detail, 0.25)
    tokens: Counter[int | None] = Counter()
    sent_bytes = 0.0
    for (width, height, kept), images in kinds.items():
        size = best[width, height]
        tokens[model.image_tokens(*size, detail)] += images
        sent_bytes += 1000 * images if kept and size == (width, height) else 0.13 * size[0] * size[1] * images
    assert sent.bytes == pytest.approx(sent_bytes)
    if model.image_tokens(1, 1, detail) is None:
        assert (sent.tokens, sent.by_tokens) == (None, {})
    else:
        assert sent.by_tokens == tokens
        assert sent.tokens == sum(one * images for one, images in sent.by_tokens.items())
