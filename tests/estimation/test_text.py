from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.estimation import Estimate, ModelEstimate, Range
from pipeline.estimation.result import histogram
from pipeline.estimation.survey import Survey
from pipeline.estimation.text import WIDTH, render_estimate


def survey_of(**changes: int) -> Survey:
    survey = Survey(listed=10, probed=10)
    survey.sizes[3000, 2000, True] = 9
    survey.sizes[100, 100, True] = 1
    survey.bytes[3000, 2000, True] = 20_000_000
    for name, value in changes.items():
        setattr(survey, name, value)
    return survey


def row(**changes: object) -> ModelEstimate:
    plain = ModelEstimate(
        model="openai:gpt-4o",
        images=10,
        done=0,
        image_tokens=11_050,
        requests=10,
        text_tokens=180,
        text_tokens_exact=True,
        prompt_tokens=11_230,
        output_tokens=Range(300, 450, 3000),
        output_from="guessed from the kind of prompt",
        live_usd=Range(Decimal("0.03"), Decimal("0.0325"), Decimal("1.5")),
        batch_usd=Range(Decimal("0.015"), Decimal("0.01625"), Decimal("0.75")),
        price_source="somewhere",
        hours=None,
        saved_tokens=0,
        saved_usd=Decimal(0),
        original_bytes=20_000_000,
        sent_bytes=20_000_000,
        economy_tokens=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def rendered(*rows: ModelEstimate, survey: Survey | None = None, policy: str = "optimal") -> str:
    return render_estimate(Estimate(survey or survey_of(), policy, "high", rows or (row(),)))


def table(text: str) -> list[str]:
    """Head and rows."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("model"))
    return lines[start : lines.index("", start)]


def test_columns_are_aligned_and_headed() -> None:
    head, first, second = table(rendered(row(), row(model="x", image_tokens=5, hours=Range(3.0, 3.25, 3.25))))
    assert head.split() == ["model", "image", "tokens", "text", "answers", "low", "expected", "high", "batch", "hours"]
    assert first.split() == ["openai:gpt-4o", "11,050", "180", "450", "0.0300", "0.0325", "1.50", "0.0162"]
    for name in ("image tokens", "text", "answers", "low", "expected", "high", "batch"):
        end = head.index(name) + len(name)
        assert first[end - 1] != " "
        assert second[end - 1] != " "
        assert (first + " ")[end] == second[end] == " "
    assert second.endswith("3.2")


@pytest.mark.parametrize("name", ["gpt-4o", "azure:" + "a-deployment-with-a-very-long-name-" * 4])
def test_a_hundred_columns_are_enough(name: str) -> None:
    large = row(
        model=name,
        images=123_456_789,
        image_tokens=987_654_321_012,
        margin_tokens=12_345_678_901,
        text_tokens=9_876_543_210,
        text_tokens_exact=False,
        output_tokens=Range(1, 98_765_432_100, 1),
        live_usd=Range(Decimal(1_234_567), Decimal(2_345_678), Decimal(3_456_789)),
        batch_usd=Range(Decimal(1), Decimal(1_234_567), Decimal(3)),
        margin_usd=Decimal(123_456),
        hours=Range(1.0, 12_345.6, 23_456.7),
        saved_tokens=123_456_789_012,
        saved_usd=Decimal(123_456),
        sent_bytes=10**6,
        economy_tokens=123_456,
        notes=("a remark " * 30,),
    )
    for text in (rendered(large), rendered(large, row(), policy="economy", survey=survey_of(listed=10**9))):
        assert max(map(len, text.splitlines())) <= WIDTH == 100


@pytest.mark.parametrize(
    ("hours", "said"), [((0.0, 0.01, 0.02), "<0.1"), ((1.0, 2.0, 2.01), "2.0"), ((1.0, 2.0, 4.5), "2.0 to 4.5")]
)
def test_hours_are_what_is_expected_and_at_most(hours: tuple[float, float, float], said: str) -> None:
    assert table(rendered(row(hours=Range(*hours))))[1].endswith(f"  {said}")


def test_images_have_a_column_only_where_models_differ_in_them() -> None:
    assert "images" not in table(rendered(row(), row()))[0]
    text = rendered(row(images=4, done=6), row())
    assert "images" in table(text)[0]
    assert "6 are finished in the output by openai:gpt-4o" in text


def test_what_is_unknown_is_said() -> None:
    text = rendered(row(image_tokens=None, prompt_tokens=None, live_usd=None, batch_usd=None, text_tokens_exact=False))
    assert table(text)[1].split() == ["openai:gpt-4o", "unknown", "~180", "450", "unknown", "unknown", "unknown"]


def test_a_sample_shows_its_interval() -> None:
    text = rendered(row(margin_tokens=221, margin_usd=Decimal("0.00065")), survey=survey_of(listed=1000))
    assert "11,050 ±2.0%" in text
    assert "0.0325 ±2.0%" in text
    assert "sample of 10" in text


def test_what_the_policy_saves() -> None:
    text = rendered(row(saved_tokens=3400, saved_usd=Decimal("0.0085"), sent_bytes=2_000_000), policy="economy")
    assert "economy saves 3,400 image tokens, 24% ($0.0085) and about 90% of the upload" in " ".join(text.split())
    assert "--image-policy economy would take 7,650 image tokens, 31% less" in rendered(row(economy_tokens=7650))
    assert "economy" not in rendered(row(economy_tokens=11_050))
    assert "saves" not in rendered()


def test_notes_that_models_share_are_said_once() -> None:
    text = rendered(row(model="a", notes=("is slow",)), row(model="b", notes=("is slow", "is new")))
    assert "a, b: is slow." in text
    assert "b: is new." in text


def test_unreadable_images_are_counted_by_reason() -> None:
    survey = survey_of(listed=12)
    survey.unreadable.update(truncated_file=2)
    assert "2 cannot be captioned: truncated_file" in rendered(survey=survey)
    assert "10 images of 12 listed" in rendered(survey=survey)


def test_sizes_are_a_plot_without_gaps() -> None:
    survey = survey_of()
    assert histogram(survey)[0] == (0, 0.1, 1)
    assert histogram(survey)[-1] == (4, 8, 9)
    assert sum(images for _, _, images in histogram(survey)) == 10
    bars = [line for line in rendered(survey=survey).splitlines() if " MP" in line]
    assert [line.count("█") for line in bars] == [4, 0, 0, 0, 0, 0, 40]


def test_an_empty_listing() -> None:
    text = rendered(row(images=0), survey=Survey())
    assert "0 images" in text
    assert "videos want --video" in text
    assert "Sizes" not in text


@pytest.mark.parametrize(
    ("megapixels", "bounds"), [((316, 316), (0, 0.1)), ((1000, 1000), (0.5, 1)), ((20_000, 10_000), (100, None))]
)
def test_classes_of_the_histogram(megapixels: tuple[int, int], bounds: tuple[float, float | None]) -> None:
    survey = Survey(listed=1, probed=1)
    survey.sizes[(*megapixels, True)] = 1
    assert histogram(survey) == [(*bounds, 1)]
