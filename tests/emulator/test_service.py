"""The emulator's decisions, without a socket and with a clock that stands still."""

import base64
import json
import math
import statistics
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.clock import SystemClock
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.emulator.service import Call, Outcome, Service
from pipeline.emulator.stats import Mark
from pipeline.errors import UserError
from pipeline.images import hash_bytes
from tests.helpers.pictures import encoded, photo

DATED = "2024-10-21"


class StillClock(SystemClock):
    """Time passes only when a test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now


@cache
def picture(width: int = 640, height: int = 480) -> bytes:
    return encoded(photo(width, height))


def request(data: bytes | None = None, model: str | None = "gpt-4o", **more: object) -> bytes:
    url = f"data:image/jpeg;base64,{base64.b64encode(picture() if data is None else data).decode()}"
    content = [{"type": "text", "text": "Describe."}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"messages": [{"role": "user", "content": content}], **more}
    return json.dumps(body | ({"model": model} if model else {})).encode()


def openai(body: bytes, key: str | None = None, content_type: str = "application/json") -> Call:
    return Call("openai", body, content_type, key)


def azure(body: bytes, deployment: str | None = "captions", version: str | None = DATED, **more) -> Call:
    return Call("azure", body, "application/json", None, deployment, version, **more)


class Asking:
    """A service that is called without a server."""

    def __init__(self, **options: object) -> None:
        self.clock = StillClock()
        self.service = Service(EmulatorOptions(**options), self.clock)

    def __call__(self, call: Call) -> Outcome:
        with self.service.stats.handling(call.endpoint, self.clock.now) as number:
            return self.service.ask(call, number)


def body_of(outcome: Outcome):
    return json.loads(outcome.body)


def error_of(outcome: Outcome):
    return body_of(outcome)["error"]


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


def test_keys():
    ask = Asking(api_key="right")
    assert ask(openai(request(), key="right")).status == 200
    assert error_of(ask(openai(request(), key="wrong")))["code"] == "invalid_api_key"
    assert "didn't provide" in error_of(ask(openai(request())))["message"]
    refused = ask(azure(request()))
    assert refused.status == 401
    assert error_of(refused)["code"] == "401"
    assert "right" not in repr(ask.service.options)


def test_unknown_models_and_deployments():
    ask = Asking(deployments={"captions": "gpt-4o"})
    assert (ask(openai(request(model="gpt-4oo"))).status, ask.service.stats.asked.total()) == (404, 0)
    assert error_of(ask(openai(request(model="gpt-4oo"))))["code"] == "model_not_found"
    assert error_of(ask(azure(request(), deployment="other")))["code"] == "DeploymentNotFound"
    assert ask(azure(request(model="captions"), deployment=None, version=None)).status == 200
    assert "model parameter" in error_of(ask(openai(request(model=None))))["message"]
    assert "image_url is only supported" in error_of(ask(openai(request(model="gpt-3.5-turbo"))))["message"]
    assert "v1/responses" in error_of(ask(openai(request(model="o1-pro"))))["message"]


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


def test_what_is_not_json():
    ask = Asking()
    assert "could not parse" in error_of(ask(openai(b"{")))["message"]
    assert "could not parse" in error_of(ask(openai(b"[1]")))["message"]
    assert "could not parse" in error_of(ask(openai(b"[" * 200_000)))["message"]
    assert error_of(ask(openai(request(), content_type="text/plain")))["code"] == "unsupported_content_type"


def test_a_prompt_longer_than_the_context():
    outcome = Asking(model="gpt-4o")(
        openai(request(model="gpt-4o", messages=[{"role": "user", "content": "ab " * 140_000}]))
    )
    assert error_of(outcome)["code"] == "context_length_exceeded"


def test_openais_limits_in_headers_and_errors():
    ask = Asking(rpm=2, tpm=10_000)
    headers = ask(openai(request(max_tokens=1000))).headers
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-reset-requests"] == "30s"
    assert headers["x-ratelimit-remaining-tokens"] == "9000", "max_tokens is more than the prompt"
    ask(openai(request(max_tokens=1000)))
    denied = ask(openai(request(max_tokens=1000)))
    assert denied.status == 429
    assert (denied.headers["retry-after"], denied.headers["retry-after-ms"]) == ("30", "30000")
    assert error_of(denied)["type"] == "requests"
    ask.clock.now += 30
    assert ask(openai(request(max_tokens=1000))).status == 200
    assert ask.service.stats.rate_limited == {"requests": 1}


def test_azures_limits_in_headers_and_errors():
    ask = Asking(tpm=2000)
    ask.clock.now = 1215.0
    headers = ask(azure(request(max_tokens=1000))).headers
    assert headers["x-ratelimit-remaining-tokens"] == str(2000 - (1000 + 425 + 3)), "prompt and max_tokens"
    assert headers["x-ratelimit-reset-tokens"] == "45"
    denied = ask(azure(request(max_tokens=1000)))
    assert denied.status == 429
    assert denied.headers["retry-after"] == "45"
    assert error_of(denied)["code"] == "429"
    assert error_of(denied)["message"].endswith("Please retry after 45 seconds.")
    assert ask(azure(request(max_tokens=1000), deployment="another")).status == 200, "each deployment has its own"


@pytest.mark.parametrize(
    ("fault", "provider", "status", "code"),
    [
        ("content_filter", openai, 400, "content_policy_violation"),
        ("content_filter", azure, 400, "content_filter"),
        ("insufficient_quota", openai, 429, "insufficient_quota"),
        ("rate_limit", openai, 429, "rate_limit_exceeded"),
        ("rate_limit", azure, 429, "429"),
        ("server_error", openai, 500, None),
        ("unauthorized", openai, 401, "invalid_api_key"),
        ("model_not_found", openai, 404, "model_not_found"),
        ("context_length", openai, 400, "context_length_exceeded"),
    ],
)
def test_errors_to_order(fault, provider, status, code):
    outcome = Asking(scenario=(Step(fault),))(provider(request()))
    assert (outcome.status, error_of(outcome)["code"], outcome.question) == (status, code, None)


def test_an_ordered_rate_limit_says_when_to_come_back():
    ask = Asking(scenario=(Step("rate_limit", requests=(1, 1), retry_after=2.5),))
    outcome = ask(openai(request()))
    assert (outcome.headers["retry-after"], outcome.headers["retry-after-ms"]) == ("3", "2500")
    assert "try again in 2.5s" in error_of(outcome)["message"]
    assert ask(openai(request())).status == 200
    assert ask.service.stats.faults == {"rate_limit": 1}
    assert ask.service.stats.rate_limited == {}, "no limit was reached"


def test_errors_of_a_proxy_are_pages():
    outcome = Asking(scenario=(Step("bad_gateway"),))(openai(request()))
    assert (outcome.status, outcome.content_type) == (502, "text/html")
    assert b"<html>" in outcome.body


def test_spoilt_answers():
    def spoilt(fault: str) -> Outcome:
        outcome = Asking(scenario=(Step(fault),))(openai(request()))
        assert outcome.status == 200
        return outcome

    with pytest.raises(json.JSONDecodeError):
        body_of(spoilt("invalid_json"))
    assert spoilt("html").content_type == "text/html"
    assert body_of(spoilt("empty_choices"))["choices"] == []
    assert body_of(spoilt("empty_answer"))["choices"][0]["message"]["content"] == ""
    assert spoilt("empty_answer").question is None
    assert "usage" not in body_of(spoilt("missing_usage"))
    assert spoilt("missing_usage").question is not None
    assert [spoilt(fault).delivery for fault in ("cut", "cut_body", "hang", "slow_body")] == [
        "cut",
        "cut_body",
        "hang",
        "slow_body",
    ]


def test_refusals():
    refusal = body_of(Asking(rates={"refusal": 1.0})(openai(request())))["choices"][0]
    assert refusal["message"]["content"] is None
    assert "can't assist" in refusal["message"]["refusal"]
    apology = body_of(Asking(rates={"apology": 1.0})(openai(request())))["choices"][0]
    assert "can't assist" in apology["message"]["content"]
    filtered = body_of(Asking(rates={"answer_filtered": 1.0})(azure(request())))["choices"][0]
    assert filtered["finish_reason"] == "content_filter"
    assert filtered["content_filter_results"]["violence"] == {"filtered": True, "severity": "medium"}


def test_latency_has_a_median_and_a_spread():
    call = openai(request())
    ask, again = Asking(latency=2.0, latency_sigma=0.35), Asking(latency=2.0, latency_sigma=0.35)
    delays = [ask(call).delay_seconds for _ in range(500)]
    assert statistics.median(delays) == pytest.approx(2.0, rel=0.08)
    assert statistics.stdev(map(math.log, delays)) == pytest.approx(0.35, rel=0.15)
    assert [again(call).delay_seconds for _ in range(3)] == delays[:3]
    plain = Asking(latency=1.0, token_latency=0.1)(openai(request()))
    assert plain.delay_seconds == pytest.approx(1.0 + 0.1 * body_of(plain)["usage"]["completion_tokens"])


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


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SMALL = json.loads(
    request(picture(8, 8), response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}})
)


def paths_of(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths_of(value[key], (*path, key))


@given(st.sampled_from([openai, azure]), st.sampled_from(list(paths_of(SMALL))), values)
@example(openai, ("messages", 0, "content"), "\ud800")
@example(openai, ("response_format", "json_schema", "schema"), {"type": [], "enum": [], "anyOf": []})
def test_no_request_is_beyond_it(provider, path, value):
    """Whatever stands in whatever place of a request, there is an answer or an error of the client's."""
    body = value
    for index in range(len(path), 0, -1):
        holder = SMALL
        for key in path[: index - 1]:
            holder = holder[key]
        holder = dict(holder) if isinstance(holder, dict) else list(holder)
        holder[path[index - 1]] = body
        body = holder
    outcome = Asking()(provider(json.dumps(body).encode()))
    assert outcome.status in (200, 400, 404)
    json.loads(outcome.body)


@pytest.mark.parametrize(
    "options",
    [{"rates": {"overlaoded": 0.1}}, {"rates": {"cut": 1.5}}, {"time_scale": 0}, {"rpm": 0}, {"tpm": -1}],
)
def test_wrong_options_are_named(options):
    with pytest.raises(UserError):
        EmulatorOptions(**options)


def test_each_endpoint_has_its_own_quota_and_its_own_outage():
    endpoints = {"east": EndpointOptions(rpm=2), "west": EndpointOptions(model="gpt-4o-mini")}
    ask = Asking(rpm=1, endpoints=endpoints, scenario=(Step("overloaded", endpoint="west", requests=(2, 2)),))
    at = {name: replace(openai(request()), endpoint=name) for name in ("", "east", "west", "north")}
    assert [ask(at[""]).status for _ in range(2)] == [200, 429]
    assert [ask(at["east"]).status for _ in range(3)] == [200, 200, 429]
    assert [ask(at["west"]).status for _ in range(3)] == [200, 503, 200]
    assert ask(at["north"]).status == 404
    assert body_of(ask(at["west"]))["usage"]["prompt_tokens"] == 2833 + 5667 * 2 + 9
    stats = ask.service.stats
    told = stats.as_json()
    assert (stats.requests, told["rate_limited"], told["faults"]) == (10, {"requests": 2}, {"overloaded": 1})
    assert told["endpoints"]["east"]["admitted"] == 2
    assert told["endpoints"]["west"]["faults"] == {"overloaded": 1}


def test_what_was_admitted_is_counted_as_the_provider_counts_it():
    ask = Asking(tpm=2000)
    for _ in range(2):
        ask(azure(request(max_tokens=1000)))
        ask.clock.now += 5
    counters = ask.service.stats.at("")
    assert (counters.admitted, counters.admitted_tokens) == (1, 1000 + 425 + 3)
    assert counters.first == counters.last == Mark(1000.0, 0, 0)
    assert counters.warm is None
    ask.clock.now = 1200.0
    ask(azure(request(max_tokens=1000)))
    assert counters.warm == counters.last == Mark(1200.0, 1, 1428)
