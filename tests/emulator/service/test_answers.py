"""Answers as OpenAI and Azure give them."""

import json

import pytest

from pipeline.images import hash_bytes
from tests.emulator.service.asking import DATED, Asking, azure, body_of, openai, picture, request
from tests.helpers.pictures import encoded, photo


def test_an_answer_as_openai_gives_it():
    outcome = Asking()(openai(request(max_tokens=100)))
    body = body_of(outcome)
    [choice] = body["choices"]
    assert outcome.status == 200
    assert (body["object"], body["model"], body["created"]) == ("chat.completion", "gpt-4o", 1_700_001_000)
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"].startswith("A 640x480 jpeg picture")
    assert choice["message"]["refusal"] is None
    assert body["usage"]["prompt_tokens"] == 85 + 170 * 2 + 9
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert "prompt_filter_results" not in body
    assert outcome.headers["x-request-id"].startswith("req_")
    assert not [name for name in outcome.headers if name.startswith("x-ratelimit")], "no limits, no headers"


def test_an_answer_as_azure_gives_it():
    outcome = Asking(deployments={"captions": "gpt-4o-2024-11-20"})(azure(request(model=None)))
    body = body_of(outcome)
    assert body["model"] == "gpt-4o-2024-11-20", "the model behind the deployment"
    assert body["prompt_filter_results"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    assert body["choices"][0]["content_filter_results"]["violence"] == {"filtered": False, "severity": "safe"}
    assert "apim-request-id" in outcome.headers
    assert "x-ms-region" in outcome.headers


def test_the_caption_shows_the_beginning_of_the_images_hash():
    data = picture(64, 48)
    [choice] = body_of(Asking()(openai(request(data))))["choices"]
    assert hash_bytes(data).partition(":")[2][:12] in choice["message"]["content"]


def test_the_oldest_vision_model_ends_with_finish_details():
    ask = Asking()
    whole = body_of(ask(openai(request(model="gpt-4-vision-preview", max_tokens=100))))["choices"][0]
    assert "finish_reason" not in whole
    assert whole["finish_details"] == {"type": "stop", "stop": "<|fim_suffix|>"}
    cut = body_of(ask(openai(request(model="gpt-4-vision-preview", max_tokens=5))))["choices"][0]
    assert cut["finish_details"] == {"type": "max_tokens"}


@pytest.mark.parametrize("model", ["gpt-4-vision-preview", "gpt-4-turbo-2024-04-09"])
def test_azures_older_models_stop_after_16_tokens_when_no_limit_is_sent(model):
    ask = Asking(deployments={"captions": model})
    assert body_of(ask(azure(request(model=None))))["usage"]["completion_tokens"] == 16
    assert body_of(ask(azure(request(model=None, max_tokens=100))))["usage"]["completion_tokens"] > 16
    assert body_of(Asking()(openai(request(model=model))))["usage"]["completion_tokens"] > 16


def test_a_model_that_thinks_bills_its_reasoning():
    ask = Asking(reasoning_tokens=64)
    usage = body_of(ask(openai(request(model="o4-mini", max_completion_tokens=500))))["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 64
    assert usage["completion_tokens"] > 64
    usage = body_of(ask(openai(request())))["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


def test_grounding_is_an_azure_enhancement_of_its_time():
    wanted = request(model=None, enhancements={"grounding": {"enabled": True}}, max_tokens=100)
    ask = Asking(deployments={"captions": "gpt-4-vision-preview"})
    choice = body_of(ask(azure(wanted, version="2023-12-01-preview", enhanced=True)))["choices"][0]
    [line] = choice["enhancements"]["grounding"]["lines"]
    [span] = line["spans"]
    assert line["text"] == choice["message"]["content"]
    assert line["text"][span["offset"] : span["offset"] + span["length"]] == span["text"]
    assert all(0 <= corner[side] <= 1 for corner in span["polygon"] for side in "xy")
    assert ask(azure(wanted, version=DATED, enhanced=True)).status == 404


def test_without_named_deployments_every_deployment_exists():
    assert body_of(Asking()(azure(request(), deployment="gpt-4.1-mini")))["model"] == "gpt-4.1-mini"
    assert body_of(Asking()(azure(request(), deployment="night-shift")))["model"] == "gpt-4o"
    assert body_of(Asking(model="gpt-4-turbo")(azure(request())))["model"] == "gpt-4-turbo"


def test_the_models_that_are_listed():
    def names(provider, **options):
        return [model["id"] for model in json.loads(Asking(**options).service.model_list(provider, ""))["data"]]

    assert {"gpt-4o", "o4-mini"} <= set(names("openai"))
    assert "describe" not in names("openai")
    assert names("openai", model="my-own") == ["my-own"]
    assert names("azure", deployments={"captions": "gpt-4o"}) == ["captions"]


def test_one_model_can_stand_for_all():
    ask = Asking(model="gpt-4o-mini")
    body = body_of(ask(openai(request(model="my-own-llama"))))
    assert body["model"] == "my-own-llama"
    assert body["usage"]["prompt_tokens"] == 2833 + 5667 * 2 + 9


def test_stats_tell_what_was_asked_twice():
    ask = Asking()
    data = [picture(60 + index, 40) for index in range(3)]
    for item in (*data, data[0]):
        outcome = ask(openai(request(item)))
        ask.service.stats.sent("", outcome.status, outcome.question, ask.clock.now)
    stats = ask.service.stats.as_json()
    assert (stats["requests"], stats["answered"], stats["images"]) == (4, 4, 4)
    assert (stats["distinct_questions"], stats["repeated_answers"]) == (3, 1)
    assert stats["prompt_tokens"] == 4 * (255 + 9)
    assert stats["statuses"] == {"200": 4}
    ask.service.reset()
    assert ask.service.stats.as_json()["requests"] == 0


def test_a_wrong_mime_type_is_noticed():
    ask = Asking()
    ask(openai(request(encoded(photo(), "png"))))
    assert ask.service.stats.mime_mismatches == 1
