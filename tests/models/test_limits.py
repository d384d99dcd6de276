import tomllib
from importlib.resources import files

import pytest

from pipeline.models import Limit, RequestLimits, find_limits, find_model, list_models
from pipeline.models.catalogue import PROVIDERS


def most(limit: Limit | None) -> int | None:
    return limit and limit.most


@pytest.mark.parametrize(
    ("name", "api_version", "image_bytes", "images"),
    [
        ("openai:gpt-4o", None, 20_000_000, 500),
        ("azure:gpt-4-vision-preview", "2023-12-01-preview", 4_000_000, 10),
        ("azure:gpt-4-vision-preview", "2024-02-15-preview", 20_000_000, 10),
        ("azure:gpt-4-turbo", "2024-02-01", 20_000_000, 10),
        ("azure:gpt-4o", "2024-10-21", 20_000_000, 50),
        ("azure:gpt-4.1-mini", None, 20_000_000, 50),
        ("azure:gpt-5-mini", "v1", 20_000_000, 10),
        ("compatible:qwen3-vl-8b-instruct", None, None, None),
        ("builtin:describe", None, None, 1),
    ],
)
def test_what_a_provider_takes(name: str, api_version: str | None, image_bytes: int | None, images: int) -> None:
    limits = find_limits(find_model(name), api_version)
    assert (most(limits.image_bytes), most(limits.images)) == (image_bytes, images)


def test_a_limit_may_depend_on_how_many_images_there_are() -> None:
    model = find_model("anthropic:claude-opus-4-7")
    assert [most(find_limits(model).side_px(count)) for count in (1, 20, 21)] == [8000, 8000, 2000]


def test_a_model_behind_somebody_elses_server_has_that_servers_limits() -> None:
    model = find_model("compatible:claude-opus-4-7")
    assert find_limits(model) == RequestLimits()
    assert most(find_limits(model, provider="anthropic").request_bytes) == 32_000_000


def test_where_any_of_several_may_answer_the_stricter_holds() -> None:
    ours, theirs = find_limits(find_model("openai:gpt-5")), find_limits(find_model("azure:gpt-5"))
    both = ours.and_those_of(theirs)
    assert most(both.image_bytes) == most(theirs.and_those_of(ours).image_bytes) == 20_000_000
    assert both.images == theirs.images
    assert both.request_bytes == ours.request_bytes
    assert both.and_those_of(RequestLimits()) == both


def test_every_line_names_who_is_meant_and_who_says_so() -> None:
    known = {model.name for model in list_models()}
    for line in tomllib.loads(files("pipeline.models").joinpath("limits.toml").read_text("utf-8"))["limit"]:
        assert line["provider"] in PROVIDERS
        assert line["most"] > 0
        assert set(line.get("models", ())) <= known
        assert line["provider"] == "builtin" or any(year in line["source"] for year in ("2023", "2024", "2025", "2026"))
