"""The vision resource by its variables, and who looks at the images of a job."""

import pytest

from pipeline.api.endpoint import enhancing_way, resolve_endpoint
from pipeline.api.entra.clouds import GOVERNMENT
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import render_head
from pipeline.api.pool.opening import first_form
from pipeline.api.vision.resource import find_vision
from pipeline.api.vision.ways import fees_of
from pipeline.errors import UserError
from pipeline.models import find_model

KEY = "vision-Ab12Cd34Ef56"
VISION = {"VISION_ENDPOINT": "https://v.cognitiveservices.azure.com/", "VISION_KEY": KEY}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com", "AZURE_OPENAI_API_KEY": "sk-Ab12Cd34Ef56Gh78"}
OLD = {"azure_model": "gpt-4-vision-preview", "api_version": "2024-02-15-preview"}


def way(environ: dict[str, str], name: str = "azure:d", **options: object) -> str | None:
    return enhancing_way(ModelOptions(name, **{"enhance": ("ocr",), **options}), environ)


def test_a_resource_is_found_by_the_guides_names() -> None:
    found = find_vision(VISION)
    assert found is not None
    assert found.endpoint == "https://v.cognitiveservices.azure.com"
    assert found.headers == {"Ocp-Apim-Subscription-Key": KEY}
    assert KEY not in repr(found)
    assert find_vision({}) is None
    assert find_vision({"VISION_ENDPOINT": "https://v.example/computervision"}).endpoint == "https://v.example"


def test_without_a_key_it_takes_a_token() -> None:
    found = find_vision({"VISION_ENDPOINT": "https://v.cognitiveservices.azure.us"})
    assert found is not None
    assert (found.headers, found.cloud) == ({}, GOVERNMENT)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"VISION_KEY": KEY}, "VISION_KEY is set without VISION_ENDPOINT"),
        ({"VISION_ENDPOINT": "v.cognitiveservices.azure.com"}, "VISION_ENDPOINT's address"),
        ({"VISION_ENDPOINT": "https://u:p@v.example"}, "VISION_ENDPOINT's address holds a password"),
        ({**VISION, "VISION_KEY": "a b"}, "VISION_KEY holds a character that is in no key"),
    ],
)
def test_what_cannot_be_is_told_without_the_key(environ: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        find_vision(environ)
    assert KEY not in str(told.value)


def test_left_to_us_the_first_that_is_there_looks() -> None:
    assert way(VISION, **OLD) == "azure-openai"
    assert way({}, **OLD) == "azure-openai"
    assert way(VISION | {"OPENAI_API_VERSION": "2023-12-01-preview"}) == "azure-openai"
    assert way(VISION) == "image-analysis"
    assert way(VISION, azure_model="gpt-4-turbo", api_version="2024-02-15-preview") == "image-analysis"
    assert way(VISION, "gpt-4o") == "image-analysis"
    assert way({}, "gpt-4o") == "rapidocr"
    assert way(VISION, enhance_with="rapidocr") == "rapidocr"
    assert way(VISION, **OLD, enhance_with="image-analysis") == "image-analysis"
    assert way(VISION, enhance=()) is None


@pytest.mark.parametrize(
    ("environ", "options", "words"),
    [
        ({}, {"enhance": ("grounding",)}, "rapidocr finds text alone"),
        ({}, {"enhance_with": "image-analysis"}, "needs an Azure AI Vision resource"),
        (VISION, {"name": "gpt-4o", "enhance_with": "azure-openai"}, "removed in api-version 2024-04-01-preview"),
        (
            VISION,
            {**OLD, "api_version": "2024-04-01-preview", "enhance_with": "azure-openai"},
            "2024-04-01-preview is asked for",
        ),
        (VISION, {"enhance_with": "azure-openai"}, "undated /openai/v1/ form has none"),
        (VISION, {**OLD, "azure_model": "gpt-4o", "enhance_with": "azure-openai"}, "gpt-4o never had them"),
        ({"VISION_ENDPOINT": "https://v.example"}, OLD, "without VISION_KEY"),
        (VISION, {"send": "url"}, "looks at the image itself"),
        (VISION, {"name": "builtin:describe"}, "reads text itself"),
    ],
)
def test_who_cannot_look_says_so_in_one_sentence(
    environ: dict[str, str], options: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        way(environ, **{"name": "azure:d", **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"enhance": ("text",)}, "enhance names 'text'"),
        ({"enhance_with": "rapidocr"}, "give enhance too"),
        ({"enhance": ("ocr",), "pack": 4}, "pack is 4"),
    ],
)
def test_options_that_cannot_be_are_told(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ModelOptions(**options)


def test_the_same_is_asked_for_in_any_order() -> None:
    assert ModelOptions(enhance=("grounding", "ocr")) == ModelOptions(enhance=("ocr", "grounding"))
    with pytest.raises(UserError, match="vision_rpm"):
        LimitOptions(vision_rpm=0)


def head(environ: dict[str, str]) -> tuple[str, str]:
    options = ModelOptions("azure:d", enhance=("ocr", "grounding"), max_tokens=100, **OLD)
    endpoint = resolve_endpoint(options, AZURE | environ)
    form = first_form(endpoint, find_model("azure:gpt-4-vision-preview"))
    assert KEY not in repr(endpoint) + repr(form)
    return endpoint.url, render_head(options, form).decode()


def test_the_historic_request_is_the_guides() -> None:
    url, body = head(VISION)
    assert url == (
        "https://res.openai.azure.com/openai/deployments/d/extensions/chat/completions?api-version=2024-02-15-preview"
    )
    assert (
        '"enhancements":{"ocr":{"enabled":true},"grounding":{"enabled":true}},"dataSources":[{"type":'
        '"AzureComputerVision","parameters":{"endpoint":"https://v.cognitiveservices.azure.com","key":"'
        + KEY
        + '"}}],"messages":'
    ) in body
    assert '"max_tokens":100' in body


def test_an_ai_services_resource_names_no_source() -> None:
    assert "dataSources" not in head({})[1]


def test_each_way_has_its_fees() -> None:
    both = ("ocr", "grounding")
    assert fees_of("azure-openai", both) == ("ocr", "grounding")
    assert fees_of("image-analysis", both) == ("analysis_read", "analysis_objects")
    assert fees_of("rapidocr", ("ocr",)) == fees_of(None, both) == ()
