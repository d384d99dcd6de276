"""Error answers in the words of their provider, because clients classify by words and codes. Pure.

Texts and shapes as public reports show them; OpenAI's objects always have all four keys, Azure's gateway sends two.
"""

import json
import math
from dataclasses import dataclass, replace

from pipeline.emulator.limits import Denied, Provider

FILTER_CATEGORIES = ("hate", "self_harm", "sexual", "violence")

NEVER_SECONDS = 86400
"""What Azure asks a request to wait that is larger than the whole limit."""

GATEWAY_PAGE = b"<html><head><title>%d</title></head><body><center><h1>%d %s</h1></center><hr></body></html>\n"


@dataclass(frozen=True, slots=True)
class WireError:
    """An error answer."""

    status: int
    message: str
    type: str | None = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    """Seconds for the Retry-After headers."""
    azure_gateway: bool = False
    """Comes from Azure's front door: code and message, nothing else."""
    status_alone: bool = False
    """Comes from the gateway before that one, which knows no codes: `{"statusCode": 401, "message": ...}`."""
    html: bool = False
    """Comes from a proxy in between: a page instead of JSON."""
    inner: tuple[str, str] | None = None
    """Code and message of the error within, as Azure AI Vision has one."""

    def body(self) -> bytes:
        if self.html:
            return GATEWAY_PAGE % (self.status, self.status, self.message.encode())
        if self.status_alone:
            return json.dumps({"statusCode": self.status, "message": self.message}).encode()
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if not self.azure_gateway:
            error |= {"type": self.type, "param": self.param}
        if self.inner:
            error["innererror"] = dict(zip(("code", "message"), self.inner, strict=True))
        if self.code == "content_filter":
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": filter_results(blocked=True)}
            error |= {"status": self.status, "innererror": inner}
        return json.dumps({"error": error}, separators=(",", ":")).encode()


BAD_TOKEN = WireError(
    401,
    "Unauthorized. Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or "
    "have expired.",
    status_alone=True,
)
KEYS_DISABLED = WireError(
    403,
    "Key based authentication is disabled for this resource.",
    code="AuthenticationTypeDisabled",
    azure_gateway=True,
)


class Rejected(Exception):
    """Ends the handling of a request with an error answer."""

    def __init__(self, error: WireError) -> None:
        super().__init__(error.message)
        self.error = error


def filter_results(*, blocked: bool) -> dict[str, object]:
    """Azure's verdict in each category; when it blocks, it is for violence."""
    verdict: dict[str, object] = {name: {"filtered": False, "severity": "safe"} for name in FILTER_CATEGORIES}
    return verdict | {"violence": {"filtered": True, "severity": "medium"}} if blocked else verdict


UNSUPPORTED_IMAGE = WireError(
    400,
    "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
    "['png', 'jpeg', 'gif', 'webp'].",
    code="invalid_image_format",
)
SERVER_ERROR = WireError(
    500,
    "The server had an error while processing your request. Sorry about that! You can retry your request, or contact "
    "us through our help center if the error persists.",
    type="server_error",
)
BAD_JSON = WireError(
    400,
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)",
)
NO_SUCH_DEPLOYMENT = WireError(
    404,
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a moment and try again.",
    code="DeploymentNotFound",
)
NO_SUCH_RESOURCE = WireError(404, "Resource not found", code="404", azure_gateway=True)
NO_IMAGES = WireError(400, "Invalid content type. image_url is only supported by certain models.")
RESPONSES_ONLY = WireError(
    404, "This model is only supported in v1/responses and not in v1/chat/completions.", param="model"
)
NO_ENHANCEMENTS = WireError(400, "The model of this deployment has no enhancements.", param="enhancements")
ONE_IMAGE = WireError(400, "Enhancements take one image in a request.", param="enhancements")
BODY_TOO_LARGE = WireError(413, "Request Entity Too Large", html=True)

_ORDERED = {
    "content_filter": WireError(
        400,
        "Your input image may contain content that is not allowed by our safety system.",
        code="content_policy_violation",
    ),
    "invalid_image": UNSUPPORTED_IMAGE,
    "blind_rate_limit": WireError(429, "Rate limit reached.", type="requests", code="rate_limit_exceeded"),
    "high_demand": WireError(
        429,
        "The engine is currently overloaded, please try again later.",
        type="engine_overloaded_error",
        code="engine_overloaded",
    ),
    "insufficient_quota": WireError(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        type="insufficient_quota",
        code="insufficient_quota",
    ),
    "credit_balance_exhausted": WireError(
        429, "Your credit balance is exhausted.", type="insufficient_quota", code="credit_balance_exhausted"
    ),
    "organization_spend_limit_exceeded": WireError(
        429,
        "Your organization has reached its spend limit.",
        type="insufficient_quota",
        code="organization_spend_limit_exceeded",
    ),
    "project_spend_limit_exceeded": WireError(
        429,
        "Your project has reached its spend limit.",
        type="insufficient_quota",
        code="project_spend_limit_exceeded",
    ),
    "organization_usage_limit_exceeded": WireError(
        429,
        "Your organization has reached its usage limit.",
        type="insufficient_quota",
        code="organization_usage_limit_exceeded",
    ),
    "forbidden": WireError(
        403,
        "Country, region, or territory not supported",
        type="request_forbidden",
        code="unsupported_country_region_territory",
    ),
    "deployment_not_found": NO_SUCH_DEPLOYMENT,
    "string_too_long": WireError(
        400,
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576, "
        "but got a string with length 1048577 instead.",
        param="messages[0].content",
        code="string_above_max_length",
    ),
    "image_url_timeout": WireError(400, "Timeout while downloading the image.", code="invalid_image_url"),
    "request_timeout": WireError(408, "Request timed out.", type="timeout"),
    "too_large": BODY_TOO_LARGE,
    "server_error": SERVER_ERROR,
    "bad_gateway": WireError(502, "Bad Gateway", html=True),
    "overloaded": WireError(503, "The engine is currently overloaded, please try again later.", type="server_error"),
    "slow_down": WireError(
        503,
        "Slow Down: your request rate rose too quickly. Please go back to your former rate for at least 15 minutes.",
        type="service_unavailable_error",
        code="slow_down",
    ),
    "gateway_timeout": WireError(504, "Gateway Time-out", html=True),
    "site_overloaded": WireError(529, "Overloaded", type="overloaded_error"),
}
_ORDERED_AZURE = {
    "content_filter": WireError(
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry.",
        type=None,
        param="prompt",
        code="content_filter",
    ),
    "blind_rate_limit": WireError(429, "Rate limit is exceeded.", code="429", azure_gateway=True),
    "high_demand": WireError(
        429,
        "The system is currently experiencing high demand and cannot process your request. Please try again later.",
        code="429",
        azure_gateway=True,
    ),
}


FAULT_ERRORS = frozenset(_ORDERED) | {"rate_limit", "unauthorized", "model_not_found", "context_length"}
"""Faults that are errors; the others spoil an answer."""


def ordered(
    fault: str, provider: Provider, name: str, api_version: str, retry_after: float | None = None
) -> WireError | None:
    """The error that a fault stands for; None for a fault that spoils an answer instead."""
    match fault:
        case "rate_limit":
            full = Denied("requests", 60, 60, 1, 1.0 if retry_after is None else retry_after)
            return denied(provider, full, name, api_version)
        case "unauthorized":
            error: WireError | None = unauthorized(provider, "sk-ordered-fault")
        case "model_not_found":
            error = unknown_model(name)
        case "context_length":
            error = context_length(128_000, 131_072)
        case _:
            error = (_ORDERED_AZURE.get(fault) if provider == "azure" else None) or _ORDERED.get(fault)
    return error and replace(error, retry_after=retry_after)


def unauthorized(provider: Provider, key: str | None) -> WireError:
    """401 for a missing (None) or wrong key; shows no more of it than the providers do."""
    if provider == "azure":
        return WireError(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for "
            "an active subscription and use a correct regional API endpoint for your resource.",
            code="401",
            azure_gateway=True,
        )
    if key is None:
        return WireError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    shown = f"{key[:3]}***{key[-4:]}" if len(key) > 8 else "***"
    return WireError(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")


def unknown_model(model: str) -> WireError:
    return WireError(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )


def context_length(limit: int | None, tokens: int) -> WireError:
    return WireError(
        400,
        f"This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


def unknown_url(provider: Provider, method: str, path: str) -> WireError:
    return NO_SUCH_RESOURCE if provider == "azure" else WireError(404, f"Invalid URL ({method} {path})")


def denied(provider: Provider, reason: Denied, name: str, api_version: str) -> WireError:
    """429 of the provider; `name` is the model or the deployment."""
    if provider == "azure":
        seconds = NEVER_SECONDS if math.isinf(reason.wait_seconds) else math.ceil(reason.wait_seconds)
        kind = "token" if reason.kind == "tokens" else "call"
        message = (
            f"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version {api_version} have "
            f"exceeded {kind} rate limit of your current OpenAI S0 pricing tier. Please retry after {seconds} seconds."
        )
        return WireError(429, message, code="429", azure_gateway=True, retry_after=min(reason.wait_seconds, seconds))
    unit = "tokens per min (TPM)" if reason.kind == "tokens" else "requests per min (RPM)"
    error = WireError(429, "", type=reason.kind, code="rate_limit_exceeded")
    if math.isinf(reason.wait_seconds):
        message = (
            f"Request too large for {name} in organization org-emulator on {unit}: Limit {reason.limit}, Requested "
            f"{reason.requested}. The input or output tokens must be reduced in order to run successfully."
        )
        return replace(error, message=message)
    message = (
        f"Rate limit reached for {name} in organization org-emulator on {unit}: Limit {reason.limit}, "
        f"Used {reason.used}, Requested {reason.requested}. Please try again in {go_duration(reason.wait_seconds)}."
    )
    return replace(error, message=message, retry_after=reason.wait_seconds)


def go_duration(seconds: float) -> str:
    """Seconds as OpenAI writes them: `17ms`, `1.5s`, `6m0s`, `1h2m3.5s`; never shorter than the time meant."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
