"""Replies of gateways that are not ours, as they came over the wire: LiteLLM's proxy 1.106.2 (2026-11).

Its limits are counted by the minute of the wall clock, refused requests included; its 200s tell limit and rest but not
when that is reset; its 429s tell nothing, and hide the provider's `retry-after` behind a prefix.
"""

import json

import pytest
from multidict import CIMultiDict

from pipeline.api.limits.limiter import Limiter
from pipeline.api.limits.rules import COMPATIBLE
from pipeline.api.options import LimitOptions
from pipeline.api.reading.headers import Standing, read_rate_headers
from pipeline.api.reading.replies import read_response
from pipeline.items import Failure, Reply

ANSWERED = CIMultiDict(
    {
        "content-type": "application/json",
        "x-litellm-call-id": "c4138c1b-901f-4d5a-b13e-1dc119ae6d74",
        "x-litellm-model-api-base": "https://api.openai.com",
        "x-ratelimit-remaining-tokens": "99970",
        "x-ratelimit-limit-tokens": "100000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-limit-requests": "60",
    }
)
REFUSED = CIMultiDict({"content-type": "application/json", "llm_provider-retry-after": "60"})
ANSWER = {
    "id": "chatcmpl-e45f1546-0d25-4624-825e-db65428d1911",
    "created": 1795305921,
    "model": "gpt-4o",
    "object": "chat.completion",
    "choices": [
        {"finish_reason": "stop", "index": 0, "message": {"content": "A mocked caption.", "role": "assistant"}}
    ],
    "usage": {"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30},
}
NO_FALLBACK = "\n\nLiteLLM: model group 'gpt-4o' failed with the error above. No fallback was attempted."


def error(message: str, kind: str, code: int) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": str(code)}}).encode()


def test_its_answers_tell_the_limits_but_not_when_they_are_reset() -> None:
    reply = read_response(200, ANSWERED, json.dumps(ANSWER).encode())
    assert isinstance(reply, Reply)
    assert (reply.caption, reply.usage.total_tokens) == ("A mocked caption.", 30)
    rates = read_rate_headers(ANSWERED)
    assert rates is not None
    assert (rates.requests, rates.tokens) == (Standing(60, 59, None), Standing(100_000, 99_970, None))


def test_a_limit_is_learned_from_them_and_the_first_requests_do_not_fill_it() -> None:
    limiter = Limiter(LimitOptions(), COMPATIBLE, 0.0)
    first = [limiter.admit(313, 0.0) for _ in range(8)]
    first[0].rates, first[0].used_tokens, first[0].verdict = read_rate_headers(ANSWERED), 30, "answered"
    limiter.settle(first[0], 1.0)
    assert (limiter.use.rpm, limiter.use.tpm) == (60, 100_000)
    assert limiter.tokens is not None
    assert limiter.tokens.windows[0].held <= 30 + 7 * 30, "by what an answer was billed, not by what it might have been"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (429, error(f"litellm.RateLimitError: Model rate limit exceeded. RPM limit=60, current usage=76{NO_FALLBACK}",
                    "throttling_error", 429), "rate_limited"),
        (500, error(f"litellm.InternalServerError: this is a mock internal server error{NO_FALLBACK}",
                    "internal_server_error", 500), "server_error"),
        (400, error("litellm.ContextWindowExceededError: litellm.BadRequestError: this is a mock context window "
                    f"exceeded error\nmodel=gpt-4o. context_window_fallbacks=None. fallbacks=None.{NO_FALLBACK}",
                    "invalid_request_error", 400), "rejected:context_length_exceeded"),
        (400, error("/chat/completions: Invalid model name passed in model=nosuchmodel. Call `/v1/models` to view "
                    "available models for your key.", "invalid_request_error", 400), "not_found"),
        (400, error("No connected db.", "no_db_connection", 400), "credentials_refused"),
        (422, error("Budget has been exceeded! Current cost: 0.0012, Max budget: 0.001", "budget_exceeded", 422),
         "quota_exhausted"),
    ],
)  # fmt: skip
def test_its_errors(status: int, body: bytes, reason: str) -> None:
    failure = read_response(status, REFUSED, body)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.retry_after) == (reason, None)
