"""What an account's limits say, admit and count."""

from dataclasses import replace

from pipeline.emulator.faults import Step
from pipeline.emulator.options import EndpointOptions
from pipeline.emulator.stats import Mark
from tests.emulator.service.asking import Asking, azure, body_of, error_of, openai, request


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
