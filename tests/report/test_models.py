import json
from datetime import date

from pipeline.models import find_model, list_models
from pipeline.report.models import model_facts, render_model, render_models

TODAY = date(2026, 11, 21)
WIDTH = 100


def test_every_model_fits_a_terminal_and_json() -> None:
    assert max(map(len, render_models(list_models(), TODAY).splitlines())) <= WIDTH
    for model in list_models():
        text = render_model(model, TODAY)
        assert all(len(line) <= WIDTH or "https://" in line for line in text.splitlines()), text
        assert "None" not in text
        facts = json.loads(json.dumps(model_facts(model, TODAY)))
        assert facts["name"] == model.name


def test_prices_are_those_of_the_day() -> None:
    then = model_facts(find_model("o3"), date(2025, 6, 9))
    assert (then["usd_per_million"]["live"]["input"], then["price_date"]) == ("10", "2025-06-09")
    assert model_facts(find_model("o3"), TODAY)["usd_per_million"]["live"]["input"] == "2"


def test_an_unknown_price_and_rule_are_null() -> None:
    facts = model_facts(find_model("compatible:mine"), TODAY)
    assert facts["usd_per_million"] == {"live": None, "batch": None}
    assert set(facts["image_tokens"].values()) == {None}
    assert (facts["price_date"], facts["price_source"]) == (None, None)


def test_tiers_follow_the_base_price() -> None:
    live = model_facts(find_model("gpt-5.4"), TODAY)["usd_per_million"]["live"]
    assert live["above"] == [[272_000, {"input": "5", "cached_input": "0.5", "output": "22.5"}]]
