"""The pricing example of Microsoft's guide to video prompts, item by item."""

from datetime import date
from decimal import Decimal

import pytest

from pipeline.items import Usage
from pipeline.models import TRANSCRIPT_TOKENS, find_fee, find_model, find_video_price, video_tokens

TODAY = date(2024, 2, 1)
PROMPT = 100


def test_the_guides_example() -> None:
    model = find_model("azure:gpt-4-vision-preview")
    assert video_tokens(model) == 20 * 85
    price = find_video_price(model, TODAY, PROMPT)
    assert price
    # "Additional cost to identify frames": 100 input tokens + 700 tokens + 1 Video Retrieval transaction.
    assert price.per_request == Decimal("0.00825")
    usage = Usage(prompt_tokens=PROMPT + 20 * 85 + TRANSCRIPT_TOKENS, completion_tokens=100)
    assert price.cost(usage) == Decimal("0.03025")
    fee = find_fee("video_indexing", TODAY)
    assert fee
    assert 3 * fee.usd == Decimal("0.15")


def test_what_is_not_known_is_not_guessed() -> None:
    assert find_video_price(find_model("azure:gpt-4-vision-preview"), TODAY, None) is None
    assert find_video_price(find_model("compatible:anything"), TODAY, PROMPT) is None


def test_only_tokens_that_are_known_are_counted() -> None:
    assert video_tokens(find_model("compatible:anything")) is None
    assert video_tokens(find_model("openai:gpt-4o-mini")) == 20 * 2833


def test_a_reply_without_usage_has_no_price() -> None:
    price = find_video_price(find_model("azure:gpt-4-vision-preview"), TODAY, PROMPT)
    assert price
    assert price.cost(Usage()) is None


@pytest.mark.parametrize("answer", [1, 300])
def test_longer_answers_cost_more(answer: int) -> None:
    price = find_video_price(find_model("azure:gpt-4-vision-preview"), TODAY, PROMPT)
    assert price
    cost = price.cost(Usage(prompt_tokens=1900, completion_tokens=answer))
    assert cost == Decimal("0.02725") + answer * Decimal("0.00003")
