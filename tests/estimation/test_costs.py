import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.estimation.costs import REASONING_TOKENS, History, estimate_model
from pipeline.estimation.result import ModelEstimate
from pipeline.estimation.sizes import Sizes
from pipeline.estimation.survey import Survey
from pipeline.items import Usage
from pipeline.models import best_dimensions, find_model, find_price, image_tokens, prompt_tokens

NO_LIMITS = LimitOptions()
TODAY = date(2026, 11, 21)
FOUR = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5-mini")
SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def survey_of(sizes: Mapping[tuple[int, int], int], *, listed: int | None = None, unreadable: int = 0) -> Survey:
    """Images of these sizes, 1000 bytes each, sent as they are if they fit."""
    survey = Survey()
    for (width, height), count in sizes.items():
        survey.sizes[width, height, True] = count
        survey.bytes[width, height, True] = 1000 * count
    survey.probed = sum(sizes.values())
    if unreadable:
        survey.unreadable["truncated_file"] = unreadable
    survey.listed = listed or survey.looked_at
    return survey


def estimated(
    survey: Survey,
    model: str = "gpt-4o",
    *,
    limits: LimitOptions = NO_LIMITS,
    answers: Sequence[int] = (),
    with_economy: bool = False,
    **options: object,
) -> ModelEstimate:
    return estimate_model(
        model,
        find_model(model),
        replace(ModelOptions(name=model), **options),  # type: ignore[arg-type]
        limits,
        survey,
        Sizes.of(survey),
        History(answers),
        TODAY,
        with_economy=with_economy,
    )


@pytest.mark.parametrize("model", FOUR)
@given(sizes=st.dictionaries(SIZES, st.integers(1, 50), min_size=1, max_size=8))
def test_totals_are_the_sums_over_images(model: str, sizes: Mapping[tuple[int, int], int]) -> None:
    known, options = find_model(model), ModelOptions(name=model)
    price = find_price(known, TODAY)
    assert price is not None
    row = estimated(survey_of(sizes), model)
    tokens = {size: image_tokens(known, *best_dimensions(known, *size)) for size in sizes}
    prompts = {size: prompt_tokens(known, "", options.prompt, (tokens[size],)) or 0 for size in sizes}
    assert row.images == sum(sizes.values())
    assert row.image_tokens == sum(tokens[size] * count for size, count in sizes.items())
    assert row.prompt_tokens == sum(prompts[size] * count for size, count in sizes.items())
    assert row.live_usd is not None
    bills = [price.cost(Usage(prompt_tokens=prompts[s], completion_tokens=options.max_tokens)) for s in sizes]
    assert row.live_usd.high == sum((bill or 0) * count for bill, count in zip(bills, sizes.values(), strict=True))
    assert row.live_usd.low <= row.live_usd.expected <= row.live_usd.high


def test_an_image_of_the_guides_in_dollars() -> None:
    row = estimated(survey_of({(1024, 1024): 1000}), prompt="x" * 3, max_tokens=100)
    assert row.image_tokens == 765_000
    assert row.live_usd is not None
    text = row.text_tokens
    assert row.live_usd.high == (765_000 + text) * Decimal("0.0000025") + 100_000 * Decimal("0.00001")
    assert row.batch_usd is not None
    assert row.batch_usd.high * 2 == row.live_usd.high


@pytest.mark.parametrize("size", [(3000, 2000), (1920, 1080), (2000, 3000), (1080, 1920), (6000, 4000)])
def test_economy_saves_a_quarter_of_the_image_tokens_of_photos_and_says_so(size: tuple[int, int]) -> None:
    survey = survey_of({size: 10})
    optimal = estimated(survey, with_economy=True)
    economy = estimated(survey, image_policy="economy")
    assert optimal.image_tokens is not None
    assert economy.image_tokens is not None
    assert economy.image_tokens <= 0.75 * optimal.image_tokens
    assert optimal.economy_tokens == economy.image_tokens
    assert economy.saved_tokens == optimal.image_tokens - economy.image_tokens
    assert economy.saved_usd == economy.saved_tokens * Decimal("0.0000025")


def test_optimal_saves_bytes_and_no_tokens() -> None:
    survey = survey_of({(4000, 3000): 10})
    survey.bytes[4000, 3000, True] = 30_000_000
    row = estimated(survey)
    assert (row.saved_tokens, row.saved_usd) == (0, 0)
    assert row.original_bytes == 30_000_000
    assert 0.5e6 < row.sent_bytes < 2e6, "ten JPEGs of 1024x768"


def test_what_fits_is_sent_byte_for_byte_and_what_must_be_encoded_is_not() -> None:
    assert estimated(survey_of({(700, 500): 10})).sent_bytes == 10_000
    survey = survey_of({})
    survey.probed = survey.listed = 1
    survey.sizes[700, 500, False] = 1
    survey.bytes[700, 500, False] = 1_050_054  # a BMP
    assert estimated(survey).sent_bytes < 60_000


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Give five keywords.", 40),
        ("Write alt text.", 30),
        ("Describe this in one short sentence.", 30),
        ("Describe this image in one or two plain sentences.", 45),
        ("Describe it in two sentences.", 55),
        ("Describe everything in detail.", 200),
        ("What is this?", 75),
    ],
)
def test_the_kind_of_prompt_says_how_long_answers_are(prompt: str, expected: int) -> None:
    row = estimated(survey_of({(100, 100): 10}), prompt=prompt)
    assert row.output_tokens.expected == 10 * expected
    assert row.output_tokens.low < row.output_tokens.expected < row.output_tokens.high == 3000


def test_no_answer_is_longer_than_max_tokens() -> None:
    row = estimated(survey_of({(100, 100): 1}), prompt="Describe everything in detail.", max_tokens=20)
    assert (row.output_tokens.low, row.output_tokens.expected, row.output_tokens.high) == (20, 20, 20)


def test_reasoning_is_part_of_the_answer_until_answers_are_known() -> None:
    survey = survey_of({(100, 100): 1})
    guessed = estimated(survey, "gpt-5-mini", max_tokens=2000)
    assert guessed.output_tokens.expected == 45 + REASONING_TOKENS
    assert any("reasoning" in note and "empty" not in note for note in guessed.notes)
    assert any("may leave answers empty" in note for note in estimated(survey, "gpt-5-mini", max_tokens=100).notes)
    learned = estimated(survey, "gpt-5-mini", max_tokens=2000, answers=[400, 420])
    assert learned.output_tokens.expected == 410
    assert learned.notes == ()


def test_lengths_of_answers_are_learned() -> None:
    answers = [*range(40, 60), 500]
    row = estimated(survey_of({(100, 100): 10}), answers=answers, max_tokens=300)
    assert row.output_tokens.low == 10 * 42
    assert row.output_tokens.expected == 10 * round(sum(answers) / len(answers))
    assert row.output_tokens.high == 10 * 300
    assert "21 answers" in row.output_from


@pytest.mark.parametrize(
    ("limits", "minutes"),
    [
        (LimitOptions(), None),
        (LimitOptions(rpm=100), (6, 6, 6)),
        (LimitOptions(tpm=10_000), [600 * (765 + 17 + answer) / 10_000 for answer in (27, 45, 300)]),
        (LimitOptions(rpm=10, tpm=10_000), (60, 60, 600 * (765 + 17 + 300) / 10_000)),
    ],
)
def test_hours_at_the_limits(limits: LimitOptions, minutes: Sequence[float] | None) -> None:
    row = estimated(survey_of({(1024, 1024): 600}), limits=limits)
    assert row.text_tokens == 600 * 17
    if minutes is None:
        assert row.hours is None
    else:
        assert row.hours is not None
        assert [60 * h for h in (row.hours.low, row.hours.expected, row.hours.high)] == pytest.approx(minutes)


def test_what_is_unknown_is_never_zero() -> None:
    row = estimated(survey_of({(100, 100): 10}), "compatible:somebodys-model", limits=LimitOptions(tpm=1000))
    assert (row.image_tokens, row.prompt_tokens, row.live_usd, row.batch_usd) == (None, None, None, None)
    assert (row.saved_tokens, row.saved_usd, row.price_source, row.hours) == (None, None, None, None)
    assert not row.text_tokens_exact
    assert row.text_tokens > 0
    assert any("not known" in note for note in row.notes)
    priceless = estimated(survey_of({(100, 100): 10}), "compatible:gpt-4o")
    assert priceless.image_tokens == 2550
    assert priceless.live_usd is None
    assert any("price" in note for note in priceless.notes)


def test_the_offline_describer_is_free() -> None:
    row = estimated(survey_of({(100, 100): 10}), "builtin:describe")
    assert row.live_usd is not None
    assert (row.live_usd.high, row.prompt_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("model", "note"), [("o1-pro", "Responses API"), ("gpt-4.5-preview", "retired on 2025-07-14"), ("gpt-4o", None)]
)
def test_a_model_that_will_not_answer_is_noted(model: str, note: str | None) -> None:
    notes = estimated(survey_of({(100, 100): 1}), model).notes
    assert any(note in told for told in notes) if note else notes == ()


def test_rows_of_another_request_are_noted() -> None:
    model = find_model("gpt-4o")
    survey = survey_of({})
    history = History((), 1234)
    row = estimate_model("gpt-4o", model, ModelOptions("gpt-4o"), NO_LIMITS, survey, Sizes.of(survey), history, TODAY)
    assert any("1,234" in note and "--replace" in note for note in row.notes)


def test_nothing_left_costs_nothing() -> None:
    row = estimated(survey_of({}), limits=LimitOptions(rpm=10))
    assert (row.images, row.image_tokens) == (0, 0)
    assert row.hours is not None
    assert row.hours.high == 0
    assert row.live_usd is not None
    assert row.live_usd.high == 0


def test_without_a_sample_there_is_no_margin() -> None:
    row = estimated(survey_of({(100, 100): 3, (2000, 2000): 5}))
    assert (row.margin_tokens, row.margin_usd) == (0, 0)


def test_a_sample_is_extrapolated() -> None:
    row = estimated(survey_of({(512, 512): 30, (1024, 1024): 10}, unreadable=10, listed=5000))
    assert row.images == 4000
    assert row.image_tokens == 100 * (30 * 255 + 10 * 765)
    assert row.output_tokens.high == 4000 * 300


def test_the_interval_of_a_sample_holds_in_95_of_100_cases() -> None:
    """Samples of 300 out of 20,000 images whose sizes and readability vary; tokens and dollars."""
    rng = random.Random(7)
    sizes: list[tuple[int, int] | None] = [
        None if rng.random() < 0.1 else rng.choice([(300, 200), (1024, 1024), (3000, 2000), (9000, 500)])
        for _ in range(20_000)
    ]
    readable = [size for size in sizes if size]
    truth = estimated(survey_of({size: readable.count(size) for size in set(readable)}))
    assert truth.live_usd is not None
    inside_tokens = inside_usd = 0
    for _ in range(300):
        drawn = rng.sample(sizes, 300)
        seen = [size for size in drawn if size]
        row = estimated(
            survey_of({size: seen.count(size) for size in set(seen)}, unreadable=drawn.count(None), listed=20_000)
        )
        assert row.live_usd is not None
        assert row.margin_usd is not None
        assert row.image_tokens is not None
        assert truth.image_tokens is not None
        inside_tokens += abs(row.image_tokens - truth.image_tokens) <= row.margin_tokens
        inside_usd += abs(row.live_usd.expected - truth.live_usd.expected) <= row.margin_usd
    assert 0.92 < inside_tokens / 300 < 0.98
    assert 0.92 < inside_usd / 300 < 0.98
