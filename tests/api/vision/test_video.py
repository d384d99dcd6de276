"""Questions about a video of an index: the bodies of the guides, key by key."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.api.endpoint import Endpoint, resolve_endpoint
from pipeline.api.options import DEFAULT_INDEXED_PROMPT, ModelOptions
from pipeline.api.payload import Form, render_head
from pipeline.api.vision.video import document_tail
from pipeline.errors import UserError

KEY = "a-vision-key-of-32-characters-00"
AZURE = {
    "AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com",
    "AZURE_OPENAI_API_KEY": "an-openai-key-of-32-characters-0",
    "OPENAI_API_VERSION": "2023-12-01-preview",
}
VISION = {"VISION_ENDPOINT": "https://acme.cognitiveservices.azure.com/", "VISION_KEY": KEY}
URL = "https://acme.blob.core.windows.net/videos/a.mp4?sv=1&sig=SECRET"
# The guide's own question (how-to 2024-02, REST).
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {
        "role": "user",
        "content": [
            {"type": "acv_document_id", "acv_document_id": "doc-1"},
            {"type": "text", "text": "Describe this video:"},
        ],
    },
]


def options(**given: Any) -> ModelOptions:
    usual: dict[str, Any] = {
        "name": "azure:gpt4v", "azure_model": "gpt-4-vision-preview", "video_index": "my-video-index",
        "prompt": "Describe this video:", "system": "You are a helpful assistant.", "max_tokens": 100,
    }  # fmt: skip
    return ModelOptions(**{**usual, **given})


def endpoint(environ: Mapping[str, str], **given: Any) -> Endpoint:
    return resolve_endpoint(options(**given), environ)


def body(environ: Mapping[str, str], **given: Any) -> dict[str, Any]:
    wanted = options(**given)
    head = render_head(wanted, Form(None, extension=resolve_endpoint(wanted, environ).extension))
    found: dict[str, Any] = json.loads(head + document_tail(wanted).render("doc-1", URL))
    return found


@pytest.mark.parametrize(
    ("access", "environ", "parameters"),
    [
        (
            "vision",
            VISION,
            {
                "computerVisionBaseUrl": "https://acme.cognitiveservices.azure.com/computervision",
                "computerVisionApiKey": KEY,
                "indexName": "my-video-index",
                "videoUrls": [URL],
            },
        ),
        (
            "vision-endpoint",
            VISION,
            {
                "endpoint": "https://acme.cognitiveservices.azure.com",
                "computerVisionApiKey": KEY,
                "indexName": "my-video-index",
                "videoUrls": [URL],
            },
        ),
        ("ai-services", VISION, {"indexName": "my-video-index", "videoUrls": [URL]}),
        ("managed-identity", {}, {"indexName": "my-video-index", "documentAuthenticationKind": "managedidentity"}),
    ],
)
def test_each_variant_of_the_guides(access: str, environ: dict[str, str], parameters: dict[str, object]) -> None:
    assert body({**AZURE, **environ}, video_access=access) == {
        "enhancements": {"video": {"enabled": True}},
        "dataSources": [{"type": "AzureComputerVisionVideoIndex", "parameters": parameters}],
        "messages": MESSAGES,
        "max_tokens": 100,
    }


@pytest.mark.parametrize(
    ("vision", "names"),
    [
        (VISION, {"computerVisionBaseUrl", "computerVisionApiKey", "indexName", "videoUrls"}),
        ({}, {"indexName", "videoUrls"}),
        ({**VISION, "VISION_ENDPOINT": "https://acme.openai.azure.com"}, {"indexName", "videoUrls"}),
    ],
)
def test_which_variant_goes_without_saying(vision: dict[str, str], names: set[str]) -> None:
    assert set(body({**AZURE, **vision})["dataSources"][0]["parameters"]) == names


def test_where_it_is_sent_and_what_stays_hidden() -> None:
    found = endpoint({**AZURE, **VISION})
    assert found.url == (
        "https://acme.openai.azure.com/openai/deployments/gpt4v/extensions/chat/completions"
        "?api-version=2023-12-01-preview"
    )
    assert found.extension
    assert found.extension.secrets == (KEY,)
    assert KEY not in repr(found)


def test_texts_of_any_kind_and_a_videos_own_prompt() -> None:
    own = 'He said "Hä? 🎬"\n\\}]'
    tail = document_tail(options(system=""))
    found = json.loads(
        render_head(options(), Form(None, extension=endpoint(AZURE).extension)) + tail.render("1", URL, own)
    )
    [message] = found["messages"]
    assert message["content"][1]["text"] == own
    assert found["dataSources"][0]["parameters"]["videoUrls"] == [URL]


@pytest.mark.parametrize("version", ["2024-04-01-preview", "2024-10-21", "2023-05-15", "v1"])
def test_api_versions_without_it_name_the_alternative(version: str) -> None:
    with pytest.raises(UserError, match=r"2023-12-01-preview to 2024-03-01-preview; .* by frames \(extra video\)"):
        endpoint({**AZURE, "OPENAI_API_VERSION": version})


@pytest.mark.parametrize(
    "given",
    [
        {"name": "openai:gpt-4o", "azure_model": None},
        {"azure_model": "gpt-4o"},
        {"azure_model": "gpt-4-turbo"},
        {"name": "azure:gpt-4o", "azure_model": None},
    ],
)
def test_other_models_and_providers_cannot(given: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is another"):
        endpoint({**AZURE, "OPENAI_API_KEY": "k" * 20}, **given)


def test_a_resource_without_its_key() -> None:
    with pytest.raises(UserError, match="VISION_KEY"):
        endpoint(AZURE, video_access="vision")
    with pytest.raises(UserError, match="VISION_KEY"):
        endpoint({**AZURE, "VISION_ENDPOINT": VISION["VISION_ENDPOINT"]})


@pytest.mark.parametrize(
    "given",
    [
        {"enhance": ("ocr",)},
        {"send": "url"},
        {"frames": 10},
        {"frames_at": "scenes"},
        {"detail": "high"},
        {"pack": 2},
        {"image_policy": "economy"},
        {"schema": '{"type":"object"}'},
        {"video_index": "a--b"},
        {"video_index": None, "video_access": "vision"},
    ],
)
def test_options_that_mean_nothing_to_it(given: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        options(**given)


def test_what_goes_without_saying() -> None:
    found = ModelOptions(video_index="videos")
    assert (found.prompt, found.image_detail) == (DEFAULT_INDEXED_PROMPT, "low")
