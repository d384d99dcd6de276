"""Where a request goes: URL and headers from options and environment. Pure; the only place that reads a credential.

Wire forms: OpenAI `POST {base}/chat/completions`; Azure, header `api-key`, either dated
`POST {endpoint}/openai/deployments/{D}/chat/completions?api-version=V` or undated
`POST {endpoint}/openai/v1/chat/completions` with the deployment's name as `model` (quickstart 2025-02, api-version life cycle 2025-08).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from pipeline.api.options import ModelOptions
from pipeline.errors import UserError

OPENAI_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that answers chat completions. Its headers hold the key and never show in a repr."""

    provider: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body_model: str | None
    """`model` in the body; None where the URL names the deployment."""
    deployment: str | None = None

    @property
    def models_url(self) -> str:
        """Where the endpoint lists its models: the cheapest question that proves address and key."""
        base, _, query = self.url.partition("?")
        root = base.removesuffix("/chat/completions")
        if self.deployment and self.body_model is None:
            root = root.removesuffix(f"/deployments/{quote(self.deployment, safe='')}")
        return f"{root}/models" + (f"?{query}" if query else "")


def split_name(name: str) -> tuple[str, str]:
    """`provider:model` into its halves; a bare name means `openai:`."""
    provider, colon, model = name.partition(":")
    if not colon:
        return "openai", name
    if not model:
        raise UserError(f"Model {name!r} names no model after the colon; write e.g. openai:gpt-4o.")
    return provider, model


def resolve_endpoint(options: ModelOptions, environ: Mapping[str, str]) -> Endpoint:
    """The endpoint for `options.name`, with its key from `environ`; UserError names a missing variable."""
    provider, model = split_name(options.name)
    match provider:
        case "openai":
            return _openai(model, options.base_url, environ)
        case "compatible":
            return _compatible(model, options.base_url, environ)
        case "azure":
            return _azure(model, options, environ)
    raise UserError(f"Unknown provider {provider!r} in {options.name!r}; use builtin, openai, azure or compatible.")


def _openai(model: str, base_url: str | None, environ: Mapping[str, str]) -> Endpoint:
    base = _address(base_url or environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL)
    key = environ.get("OPENAI_API_KEY")
    if not key and base == OPENAI_BASE_URL:
        raise UserError("OPENAI_API_KEY is not set; export the key of your OpenAI account.")
    return Endpoint("openai", f"{base}/chat/completions", _bearer(key), model)


def _compatible(model: str, base_url: str | None, environ: Mapping[str, str]) -> Endpoint:
    base = base_url or environ.get("OPENAI_BASE_URL")
    if not base:
        raise UserError(f"compatible:{model} needs --base-url (or OPENAI_BASE_URL), e.g. http://localhost:11434/v1.")
    return Endpoint("compatible", f"{_address(base)}/chat/completions", _bearer(environ.get("OPENAI_API_KEY")), model)


def _azure(deployment: str, options: ModelOptions, environ: Mapping[str, str]) -> Endpoint:
    address = options.base_url or environ.get("AZURE_OPENAI_ENDPOINT")
    if not address:
        raise UserError("AZURE_OPENAI_ENDPOINT is not set; it looks like https://RESOURCE.openai.azure.com.")
    key = environ.get("AZURE_OPENAI_API_KEY")
    if not key:
        raise UserError("AZURE_OPENAI_API_KEY is not set; copy a key of your Azure OpenAI resource.")
    root = _address(address).removesuffix("/v1").removesuffix("/openai")
    version = options.api_version or environ.get("OPENAI_API_VERSION")
    headers = {"api-key": key}
    if version is None or version == "v1":
        return Endpoint("azure", f"{root}/openai/v1/chat/completions", headers, deployment, deployment)
    path = f"openai/deployments/{quote(deployment, safe='')}/chat/completions?api-version={quote(version, safe='')}"
    return Endpoint("azure", f"{root}/{path}", headers, None, deployment)


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"The endpoint's address {parts.hostname or url!r} is not an http(s) URL.")
    if parts.username or parts.password:
        raise UserError("The endpoint's address holds a password; put the key into its environment variable.")
    return url.rstrip("/")
