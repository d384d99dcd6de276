from datetime import date
from decimal import Decimal
from typing import Literal

import pytest

from pipeline.items import Usage
from pipeline.models import Price, find_fee, find_model, find_price, list_models

TODAY = date(2026, 11, 21)
MILLION = Decimal(1_000_000)


Mode = Literal["live", "batch"]
Zone = Literal["global", "us", "eu"]


def price(model: str, on: date = TODAY, mode: Mode = "live", zone: Zone = "global") -> Price:
    found = find_price(find_model(model), on, mode=mode, zone=zone)
    assert found is not None
    return found


def per_million(found: Price) -> list[Decimal]:
    return [amount * MILLION for amount in (found.base.input, found.base.cached_input, found.base.output)]


def usd(*amounts: str) -> list[Decimal]:
    return [Decimal(amount) for amount in amounts]


@pytest.mark.parametrize(
    ("model", "amounts"),
    [
        ("gpt-4o", ("2.5", "1.25", "10")),
        ("azure:gpt-4o", ("2.5", "1.25", "10")),
        ("gpt-4o-2024-05-13", ("5", "5", "15")),  # the snapshot's own price, not the family's
        ("gpt-4o-mini", ("0.15", "0.075", "0.6")),
        ("gpt-4.1-mini", ("0.4", "0.1", "1.6")),
        ("gpt-5-mini", ("0.25", "0.025", "2")),
        ("gpt-6", ("10", "1", "50")),
        ("azure:gpt-4-vision-preview", ("10", "10", "30")),
        ("claude-haiku-4.5", ("1", "0.1", "5")),
    ],
)
def test_prices_per_million(model: str, amounts: tuple[str, str, str]) -> None:
    assert per_million(price(model)) == usd(*amounts)


def test_the_price_of_the_day() -> None:
    assert per_million(price("o3", date(2025, 6, 9))) == usd("10", "2.5", "40")
    assert per_million(price("o3", date(2025, 6, 10))) == usd("2", "0.5", "8")
    assert price("o3", date(2025, 6, 9)).price_date == date(2025, 6, 9)


@pytest.mark.parametrize(
    ("model", "on", "amounts"),
    [
        ("gpt-4o", TODAY, ("1.25", "1.25", "5")),
        ("gpt-4o", date(2025, 3, 1), ("1.25", "1.25", "5")),  # genai-prices knows batches from 2026-10-14 on only
        ("gpt-5-mini", TODAY, ("0.125", "0.0125", "1")),
        ("azure:gpt-4o", TODAY, ("1.25", "1.25", "5")),  # genai-prices says 2.5
        ("azure:gpt-4.1-mini", TODAY, ("0.2", "0.1", "0.8")),
        ("computer-use-preview", TODAY, ("1.5", "1.5", "6")),
        ("claude-haiku-4.5", TODAY, ("0.5", "0.05", "2.5")),
    ],
)
def test_a_batch_costs_half(model: str, on: date, amounts: tuple[str, str, str]) -> None:
    assert per_million(price(model, on, mode="batch")) == usd(*amounts)


def test_a_batch_that_nobody_priced_is_unknown_and_not_the_live_price() -> None:
    model = find_model("gemini-2.0-flash")
    assert find_price(model, TODAY) is not None
    assert find_price(model, TODAY, mode="batch") is None


def test_every_batch_is_cheaper_than_live() -> None:
    for model in list_models():
        live, batch = find_price(model, TODAY), find_price(model, TODAY, mode="batch")
        if live and batch and not live.free:
            assert batch.base.input < live.base.input, model
            assert batch.base.output < live.base.output, model
            assert batch.base.cached_input <= live.base.cached_input, model


def test_azure_data_zones() -> None:
    assert per_million(price("azure:gpt-4o", zone="us")) == usd("2.75", "1.375", "11")
    assert per_million(price("azure:gpt-6-sol", zone="eu")) == usd("2.4", "0.24", "12")
    assert per_million(price("azure:gpt-4o", mode="batch", zone="eu"))[0] == Decimal("1.375")
    assert price("openai:gpt-4o", zone="eu").base == price("openai:gpt-4o").base  # zones are Azure's


def test_a_long_prompt_moves_the_whole_request_into_the_next_tier() -> None:
    found = price("gpt-5.4")
    assert found.cost(Usage(prompt_tokens=272_000, completion_tokens=0)) == Decimal("0.68")
    assert found.cost(Usage(prompt_tokens=272_001, completion_tokens=1000)) == Decimal("1.382505")
    assert found.cost(Usage(prompt_tokens=272_001, completion_tokens=1000, cached_tokens=272_001)) == Decimal(
        "0.158500500"
    )


def test_cached_tokens_are_part_of_the_prompt_and_reasoning_of_the_completion() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=600, reasoning_tokens=80)
    assert price("gpt-4o").cost(usage) == Decimal("0.00275")


def test_costs_fit_the_column() -> None:
    cost = price("gpt-5-nano").cost(Usage(prompt_tokens=1, completion_tokens=0, cached_tokens=1))
    assert cost == Decimal("0.000000005")
    assert cost.as_tuple().exponent == -9


@pytest.mark.parametrize("usage", [Usage(), Usage(prompt_tokens=10), Usage(completion_tokens=10)])
def test_without_counts_there_is_no_cost(usage: Usage) -> None:
    assert price("gpt-4o").cost(usage) is None


def test_builtin_is_known_to_be_free() -> None:
    assert price("builtin:describe").cost(Usage()) == 0
    assert price("builtin:describe", mode="batch").free


@pytest.mark.parametrize("model", ["compatible:gpt-4o", "compatible:anything", "ft:gpt-4o-2024-08-06:org::x"])
def test_unknown_prices_are_none(model: str) -> None:
    assert find_price(find_model(model), TODAY) is None
    assert find_price(find_model(model), TODAY, mode="batch") is None


def test_every_hosted_model_of_openai_and_azure_has_a_price() -> None:
    assert [str(m) for m in list_models() if m.provider in ("openai", "azure") and not find_price(m, TODAY)] == []


def fee(name: Literal["ocr", "grounding", "video_indexing", "video_query"], count: int = 1) -> Decimal:
    found = find_fee(name, date(2024, 2, 1))
    assert found is not None
    return found.usd * count


def test_the_guides_image_with_enhancements() -> None:
    model = find_model("azure:gpt-4-vision-preview")
    image = model.image_tokens(512, 512)  # one small image: 170 + 85
    assert image == 255
    tokens = price(str(model), date(2024, 2, 1)).cost(Usage(prompt_tokens=100 + image, completion_tokens=100))
    assert tokens is not None
    assert tokens + fee("ocr") + fee("grounding") == Decimal("0.00955")
    whole = find_price(model, date(2024, 2, 1), services=("ocr", "grounding"))
    assert whole is not None
    assert whole.cost(Usage(prompt_tokens=100 + image, completion_tokens=100)) == Decimal("0.00955")
    assert whole.cost(Usage()) is None


def test_the_guides_video() -> None:
    model = find_model("azure:gpt-4-vision-preview")
    frame = model.image_tokens(1920, 1080, "low")
    assert frame == 85
    prompt = 100 + (100 + 700) + (20 * frame + 100)
    tokens = price(str(model), date(2024, 2, 1)).cost(Usage(prompt_tokens=prompt, completion_tokens=100))
    assert tokens is not None
    assert tokens + fee("video_query") == Decimal("0.03025")
    assert fee("video_indexing", 3) == Decimal("0.15")


def test_fees_did_not_exist_before_the_service() -> None:
    assert find_fee("ocr", date(2023, 1, 1)) is None
