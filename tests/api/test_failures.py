"""The table of errors: what servers are known to answer, and what we make of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipeline.api.reading.failures import read_failure
from pipeline.items import Failure, FilterResult

KEY_401 = "Incorrect API key provided: sk-ab***yz12. You can find your API key at https://platform.openai.com."
AZURE_401 = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
UNSUPPORTED_IMAGE = (
    "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
    "['png', 'jpeg', 'gif', 'webp']."
)
AZURE_RATE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token "
    "rate limit of your current OpenAI S0 pricing tier. Please retry after 45 seconds."
)
TPM = "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 90000, Used 89919."
TOO_LARGE_FOR_TPM = (
    "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 30601. The "
    "input or output tokens must be reduced in order to run successfully."
)


def read(status: int, body: object, headers: dict[str, str] | None = None) -> Failure:
    """`body` is a document, or text for what is not JSON."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    document = None if isinstance(body, str) else body
    return read_failure(status, CIMultiDict(headers or {}), document, content, "req-1")


def openai(
    message: str, type: str | None = "invalid_request_error", code: object = None, param: object = None
) -> object:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def azure(message: str, code: object) -> object:
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, openai(KEY_401, code="invalid_api_key"), "credentials_refused"),
        (401, azure(AZURE_401, "401"), "credentials_refused"),
        (401, {"statusCode": 401, "message": AZURE_401}, "credentials_refused"),
        (401, "", "credentials_refused"),
        (400, [{"error": {"code": 400, "message": "API key not valid."}}], "credentials_refused"),  # Gemini
        (403, openai("Country, region, or territory not supported", "request_forbidden"), "credentials_refused"),
        (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), "quota_exhausted"),
        (404, openai("The model `gpt-9` does not exist.", code="model_not_found"), "not_found"),
        (404, azure("The API deployment for this resource does not exist.", "DeploymentNotFound"), "not_found"),
        (404, azure("Resource not found", "404"), "not_found"),
        (400, azure("The API deployment for this resource does not exist.", "DeploymentNotFound"), "not_found"),
        (404, "<html><head><title>404 Not Found</title></head></html>", "not_found"),
        (405, {"detail": "Method Not Allowed"}, "wrong_address"),
        (301, "", "wrong_address"),
        (307, "", "wrong_address"),
        (400, openai("too long", code="context_length_exceeded"), "rejected:context_length_exceeded"),
        (400, openai("string too long", code="string_above_max_length"), "rejected:string_above_max_length"),
        (400, openai("Unsupported value: 'temperature'", code="unsupported_value"), "rejected:unsupported_value"),
        (400, openai(UNSUPPORTED_IMAGE, code="invalid_image_format"), "rejected:invalid_image_format"),
        (400, openai(UNSUPPORTED_IMAGE), "rejected:400"),
        (400, {"object": "error", "message": "bad image", "type": "BadRequestError", "code": 400}, "rejected:400"),
        (400, openai("Timeout while downloading the image.", code="invalid_image_url"), "server_error"),
        (400, openai("Error while downloading file.", code="failed_to_download_image"), "server_error"),
        (400, openai("Invalid base64 image_url.", code="invalid_image_url"), "rejected:invalid_image_url"),
        (413, "<html><title>413 Request Entity Too Large</title></html>", "rejected:too_large"),
        (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]}, "rejected:422"),
        (408, openai("Request timed out.", "timeout"), "timeout"),
        (409, openai("Conflict"), "server_error"),
        (429, openai(TPM, "tokens", "rate_limit_exceeded"), "rate_limited"),
        (429, openai("Rate limit reached for requests", "requests", "rate_limit_exceeded"), "rate_limited"),
        (429, azure("Rate limit is exceeded. Try again in 2 seconds.", "429"), "rate_limited"),
        (429, azure("Rate limit is exceeded. Try again in 2 seconds.", 429), "rate_limited"),
        (429, azure(AZURE_RATE, "429"), "rate_limited"),
        (429, azure("You exceeded the token rate limit. The system is overloaded.", "429"), "rate_limited"),
        (429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 2 seconds."}, "rate_limited"),
        (429, "<html>Too many</html>", "rate_limited"),
        (400, azure("Rate limit is exceeded. Try again in 2 seconds.", "429"), "rate_limited"),
        (429, openai(TOO_LARGE_FOR_TPM, "tokens", "rate_limit_exceeded"), "rejected:exceeds_tpm"),
        (429, openai("The engine is currently overloaded", "engine_overloaded_error"), "server_error"),
        (429, azure("The system is currently experiencing high demand.", "429"), "server_error"),
        (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "quota_exhausted"),
        (429, openai("You exceeded your current quota", "insufficient_quota"), "quota_exhausted"),
        (429, openai("x", "insufficient_quota", "credit_balance_exhausted"), "quota_exhausted"),
        (429, openai("x", "insufficient_quota", "organization_spend_limit_exceeded"), "quota_exhausted"),
        (429, openai("x", None, "project_spend_limit_exceeded"), "quota_exhausted"),
        (429, openai("x", None, "organization_usage_limit_exceeded"), "quota_exhausted"),
        (400, openai("x", None, "billing_hard_limit_reached"), "quota_exhausted"),
        (429, [{"error": {"code": 429, "message": "You exceeded your current quota."}}], "rate_limited"),  # Gemini
        (500, openai("The server had an error while processing your request.", "server_error"), "server_error"),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", "server_error"),
        (503, openai("The engine is currently overloaded, please try again later", "server_error"), "server_error"),
        (503, openai("Slow Down", "service_unavailable_error", "slow_down"), "server_error"),
        (503, openai("Loading model", "unavailable_error", 503), "unreachable"),
        (504, "", "server_error"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "server_error"),
        (200, openai("Provider returned error", None, 502), "server_error"),
        (200, openai("Rate limited upstream", None, 429), "rate_limited"),
        (200, {"error": "something went wrong"}, "server_error"),
        (204, "", "server_error"),
    ],
)  # fmt: skip
def test_reasons(status: int, body: object, reason: str) -> None:
    failure = read(status, body)
    assert failure.reason == reason
    assert (failure.status, failure.http_status, failure.request_id) == ("failed", status, "req-1")
    assert failure.message


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, openai("It  broke.\n"), "It broke."),
        (500, {"error": "model 'x' is busy"}, "model 'x' is busy"),
        (500, {"error": None, "message": "upstream gone"}, "upstream gone"),
        (400, {"detail": "Not so."}, "Not so."),
        (
            422,
            {
                "detail": [
                    {"loc": ["body", "messages", 0], "msg": "Field required", "input": "image"},
                    {"loc": 3},
                    "odd",
                    7,
                ]
            },
            "body.messages.0: Field required; ; odd;",
        ),
        (502, "<!DOCTYPE html><html><head><title>\n502 Bad Gateway\n</title></head>", "HTTP 502: 502 Bad Gateway"),
        (502, "<html><body>nothing</body></html>", "HTTP 502: a web page"),
        (503, "upstream connect error", "upstream connect error"),
        (503, "", "HTTP 503"),
        (500, {"unknown": 1}, '{"unknown": 1}'),
        (500, {"error": {"message": {"nested": 1}}}, '{"error": {"message": {"nested": 1}}}'),
        (500, ["odd"], '["odd"]'),
    ],
)
def test_messages(status: int, body: object, message: str) -> None:
    assert read(status, body).message == message


def test_a_redirect_says_where_to_without_the_query() -> None:
    failure = read(308, "", {"Location": "https://elsewhere.example/v1/chat/completions?sig=secret123"})
    expected = "HTTP 308, a redirect to https://elsewhere.example/v1/chat/completions, which is not followed"
    assert (failure.reason, failure.message) == ("wrong_address", expected)


def test_code_and_param_are_kept() -> None:
    failure = read(400, openai("No.", code="Unsupported_Parameter", param="max_tokens"))
    assert (failure.code, failure.param) == ("unsupported_parameter", "max_tokens")
    failure = read(400, openai("No.", code=["x"], param=3))
    assert (failure.code, failure.param, failure.reason) == (None, None, "rejected:400")


def test_the_wait_comes_from_header_or_text() -> None:
    assert read(429, azure(AZURE_RATE, "429")).retry_after == 45
    assert read(429, azure(AZURE_RATE, "429"), {"retry-after-ms": "250"}).retry_after == 0.25
    assert read(503, "", {"Retry-After": "30"}).retry_after == 30
    assert read(500, "").retry_after is None
    page = "Quota exceeded for metric: requests per minute. " * 20 + "Please retry in 36.5s."
    assert read(429, [{"error": {"code": 429, "message": page}}]).retry_after == 36.5


@pytest.mark.parametrize("inner", ["innererror", "inner_error"])
@pytest.mark.parametrize("result", ["content_filter_result", "content_filter_results"])
@pytest.mark.parametrize("harm", ["self_harm", "self-harm", "self-hyphen-harm"])
def test_a_filtered_prompt_of_azure(inner: str, result: str, harm: str) -> None:
    verdict = {
        "violence": {"filtered": False, "severity": "safe"},
        harm: {"filtered": True, "severity": "medium"},
        "jailbreak": {"filtered": False, "detected": False},
    }
    error = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        inner: {"code": "ResponsibleAIPolicyViolation", result: verdict},
    }
    failure = read(400, {"error": error})
    assert (failure.status, failure.reason, failure.code) == ("filtered", "filtered:self_harm", "content_filter")
    assert set(failure.content_filter) == {
        FilterResult("violence", "safe", False, "prompt"),
        FilterResult("self_harm", "medium", True, "prompt"),
        FilterResult("jailbreak", None, False, "prompt"),
    }


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Not allowed by our safety system.", "code": "content_policy_violation"},
        {"message": "Not allowed.", "code": "image_content_policy_violation"},
        {"message": "No.", "code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
        {"message": "AzureException - ... triggering Azure OpenAI's content management policy.", "code": "400"},
    ],
)
def test_a_filtered_prompt_without_categories(error: object) -> None:
    failure = read(400, {"error": error})
    assert (failure.status, failure.reason, failure.content_filter) == ("filtered", "filtered:prompt", ())


def test_no_secret_of_the_body_is_in_the_failure() -> None:
    for body in (openai("Bad key sk-proj-abcdef123456", param="Bearer abcdef123456"), "sig=abcdef123456&x=1"):
        assert "abcdef123456" not in repr(read(401, body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ERROR = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.sampled_from(["429", "content_filter", "insufficient_quota", 502, {"code": "x"}])
        for name in ("message", "detail", "code", "type", "param", "innererror")
    },
)


@given(st.integers(200, 599), st.dictionaries(st.just("error"), ERROR) | ERROR | JSON | st.lists(ERROR, max_size=2))
def test_no_document_raises_and_every_text_can_be_written(status: int, document: object) -> None:
    failure = read_failure(status, {}, document, json.dumps(document).encode(), None)
    repr(failure).encode()
    assert failure.reason
    assert failure.message


@given(st.integers(300, 599), st.binary())
def test_no_bytes_raise(status: int, body: bytes) -> None:
    assert read_failure(status, {}, None, body, None).message
