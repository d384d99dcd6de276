import json

from pipeline.models import list_models
from tests.helpers.called import called


def test_the_catalogue_is_a_table() -> None:
    ended = called("models")
    assert (ended.code, ended.err) == (0, "")
    head, *rows = ended.out.splitlines()
    assert len(rows) == len(list_models())
    assert max(map(len, [head, *rows])) <= 100
    [row] = [row for row in rows if row.startswith("openai:gpt-4o ")]
    assert row.split() == ["openai:gpt-4o", "765", "128,000", "2.50", "10.00", "2024-05-13"]
    assert row.index("765") + 3 == head.index("1024x1024") + 9


def test_all_that_is_known_of_one_model() -> None:
    ended = called("models", "gpt-5.4")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 100
    for told in (
        "openai:gpt-5.4\n",
        "percent 120, high 2,500 patches and 2,048 px",
        "1024x1024 1,229",
        "max_completion_tokens",
        "above 272,000 prompt tokens",
        "genai-prices",
        "https://community.openai.com/t/1377015",
    ):
        assert told in ended.out
    assert "retired" not in ended.out


def test_a_snapshot_has_its_own_price_and_says_what_it_is() -> None:
    ended = called("models", "gpt-4o-2024-05-13")
    assert "5 in, 5 cached, 15 out" in ended.out
    assert "asked as            gpt-4o-2024-05-13" in ended.out


def test_what_nobody_knows() -> None:
    ended = called("models", "compatible:mine")
    assert "1024x1024 unknown" in ended.out
    assert "US dollars, live    unknown" in ended.out


def test_a_model_for_another_endpoint() -> None:
    assert "Responses API alone" in called("models", "openai:o1-pro").out


def test_the_same_as_json() -> None:
    facts = json.loads(called("models", "gpt-5-mini", "--json").out)
    assert facts["rule"] == {
        "family": "patch",
        "percent": 120,
        "high": {"patches": 1536, "side_px": 2048},
        "low": None,
        "original": None,
        "documented_percent": 162,
        "documented_high": None,
    }
    assert facts["image_tokens"]["1024x1024"] == 1229
    assert facts["usd_per_million"]["live"] == {"input": "0.25", "cached_input": "0.025", "output": "2", "above": []}
    assert facts["usd_per_million"]["batch"]["input"] == "0.125"
    assert facts["released"] == "2025-08-07"
    everything = json.loads(called("models", "--json").out)
    assert len(everything) == len(list_models())
    assert facts in everything


def test_a_model_that_is_not_there() -> None:
    ended = called("models", "gpt-4oo")
    assert (ended.code, ended.out) == (2, "")
    assert "Did you mean openai:gpt-4o" in ended.err
