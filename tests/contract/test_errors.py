"""Errors: what the `openai` package raises, and the reason that stands in a row, of the same reply."""

from dataclasses import replace
from typing import Any

import openai
import pytest

from pipeline.emulator.faults import Step
from pipeline.items import Failure
from tests.contract.both import WAYS, Both, Case, ask_both

pytestmark = pytest.mark.integration

ALL, AZURE, OPENAI = ("openai", "azure dated", "azure v1"), ("azure dated", "azure v1"), ("openai",)
CREDENTIALS, NOT_FOUND, QUOTA = "credentials_refused", "not_found", "quota_exhausted"
BadRequest, RateLimit, Internal = openai.BadRequestError, openai.RateLimitError, openai.InternalServerError

FAULTS: dict[str, tuple[tuple[str, ...], type[Exception], str | None, str]] = {
    "rate_limit": (ALL, RateLimit, None, "rate_limited"),
    "blind_rate_limit": (ALL, RateLimit, None, "rate_limited"),
    "high_demand": (ALL, RateLimit, None, "server_error"),
    "insufficient_quota": (ALL, RateLimit, "insufficient_quota", QUOTA),
    "credit_balance_exhausted": (OPENAI, RateLimit, "credit_balance_exhausted", QUOTA),
    "unauthorized": (ALL, openai.AuthenticationError, None, CREDENTIALS),
    "forbidden": (ALL, openai.PermissionDeniedError, None, CREDENTIALS),
    "model_not_found": (OPENAI, openai.NotFoundError, "model_not_found", NOT_FOUND),
    "deployment_not_found": (AZURE, openai.NotFoundError, "DeploymentNotFound", NOT_FOUND),
    "content_filter": (AZURE, BadRequest, "content_filter", "filtered:violence"),
    "context_length": (ALL, BadRequest, "context_length_exceeded", "rejected:context_length_exceeded"),
    "string_too_long": (ALL, BadRequest, "string_above_max_length", "rejected:string_above_max_length"),
    "invalid_image": (ALL, BadRequest, "invalid_image_format", "rejected:invalid_image_format"),
    "image_url_timeout": (ALL, BadRequest, "invalid_image_url", "server_error"),
    "request_timeout": (ALL, openai.APIStatusError, None, "timeout"),
    "too_large": (ALL, openai.APIStatusError, None, "rejected:too_large"),
    "server_error": (ALL, Internal, None, "server_error"),
    "bad_gateway": (ALL, Internal, None, "server_error"),
    "overloaded": (ALL, Internal, None, "server_error"),
    "slow_down": (ALL, Internal, None, "server_error"),
    "gateway_timeout": (ALL, Internal, None, "server_error"),
    "site_overloaded": (ALL, Internal, None, "server_error"),
    "cut": (ALL, openai.APIConnectionError, None, "server_error"),
    "hang": (OPENAI, openai.APITimeoutError, None, "timeout"),
}
"""Ways, the package's class and code, and our reason."""
TIMEOUTS = {"hang": 0.5}
MADE = [(name, way) for name, (ways, *_) in FAULTS.items() for way in ways]


def failure(both: Both) -> Failure:
    assert isinstance(both.ours, Failure), both.ours
    return both.ours


def code_of(both: Both) -> Any:
    return getattr(both.theirs, "code", None)


@pytest.mark.parametrize(("name", "way"), MADE)
async def test_a_fault_by_both_names(name: str, way: str) -> None:
    _, error, code, reason = FAULTS[name]
    both = await ask_both(
        WAYS[way], Case(emulator={"scenario": (Step(name, retry_after=7.0),)}, timeout=TIMEOUTS.get(name, 30))
    )
    assert isinstance(both.theirs, error), both.theirs
    assert failure(both).reason == reason
    if code is not None:
        assert code_of(both) == code
        assert failure(both).code == code.lower()
    if isinstance(both.theirs, openai.APIStatusError):
        assert failure(both).http_status == both.theirs.status_code
    if name == "rate_limit":
        assert both.headers["retry-after"] == "7"
        assert failure(both).retry_after == 7.0


async def test_the_content_filters_verdict_within_an_error() -> None:
    both = await ask_both(WAYS["azure dated"], Case(emulator={"rates": {"content_filter": 1.0}}))
    assert isinstance(both.theirs, openai.BadRequestError)
    body: Any = both.theirs.body
    assert (body["code"], body["param"], body["innererror"]["code"]) == (
        "content_filter", "prompt", "ResponsibleAIPolicyViolation"
    )  # fmt: skip
    theirs = {(name, verdict["filtered"]) for name, verdict in body["innererror"]["content_filter_result"].items()}
    assert theirs == {(result.category, result.filtered) for result in failure(both).content_filter}
    assert failure(both).status == "filtered"


async def test_an_answer_that_the_filter_withheld_is_an_error_for_us_alone() -> None:
    both = await ask_both(WAYS["azure v1"], Case(emulator={"rates": {"answer_filtered": 1.0}}))
    [choice] = both.completion.choices
    assert choice.finish_reason == "content_filter"
    assert (failure(both).status, failure(both).finish_reason) == ("filtered", "content_filter")
    assert both.completion.usage
    assert failure(both).usage.total_tokens == both.completion.usage.total_tokens  # it is paid for


OTHER_KEY = Case(emulator={"api_key": "another"})
NO_SUCH_MODEL = Case(form=lambda form: replace(form, model="gpt-nothing"))
NO_SUCH_DEPLOYMENT = Case(emulator={"deployments": {"other": "gpt-4o"}})
NOT_TO_BE_FETCHED = Case(url="https://127.0.0.1:1/cat.jpg")
NO_SUCH_DETAIL = Case(options={"detail": "original"})
OLD_NAME = Case("o4-mini", form=lambda form: form.correct("max_tokens"))
TEMPERATURE = Case("o4-mini", options={"temperature": 0.2})
TOO_MANY = Case("gpt-4-turbo", sizes=((64, 48),) * 11)
LARGE = Case("gpt-4-turbo", sizes=((64, 48),), padding=20_000_000)

REFUSED: dict[str, tuple[str, Case, type[Exception], str | None, str]] = {
    "a wrong key": ("openai", OTHER_KEY, openai.AuthenticationError, "invalid_api_key", CREDENTIALS),
    "a wrong key on Azure": ("azure dated", OTHER_KEY, openai.AuthenticationError, "401", CREDENTIALS),
    "no such model": ("openai", NO_SUCH_MODEL, openai.NotFoundError, "model_not_found", NOT_FOUND),
    "no such deployment": (
        "azure dated", NO_SUCH_DEPLOYMENT, openai.NotFoundError, "DeploymentNotFound", NOT_FOUND
    ),
    "an address": ("azure v1", NOT_TO_BE_FETCHED, BadRequest, "invalid_image_url", "server_error"),
    "a detail": ("openai", NO_SUCH_DETAIL, BadRequest, None, "rejected:invalid_value"),
    "max_tokens": ("openai", OLD_NAME, BadRequest, "unsupported_parameter", "rejected:unsupported_parameter"),
    "a temperature": ("azure v1", TEMPERATURE, BadRequest, "unsupported_value", "rejected:unsupported_value"),
    "many images": ("azure dated", TOO_MANY, BadRequest, "too_many_images", "rejected:too_many_images"),
    "a large image": ("azure dated", LARGE, BadRequest, "invalid_image_format", "rejected:invalid_image_format"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_by_both_names(name: str) -> None:
    way, case, error, code, reason = REFUSED[name]
    both = await ask_both(WAYS[way], case)
    assert isinstance(both.theirs, error), both.theirs
    assert failure(both).reason == reason
    if code is not None:
        assert code_of(both) == code
