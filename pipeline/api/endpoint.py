"""Where a request goes: URL and headers from options and environment. Pure; the only place that reads a credential.

Wire forms: OpenAI `POST {base}/chat/completions`; Azure, header `api-key`, either dated
`POST {endpoint}/openai/deployments/{D}/chat/completions?api-version=V` or undated
`POST {endpoint}/openai/v1/chat/completions` with the deployment's name as `model` (quickstart 2025-02, api-version life
cycle 2025-08). Without a key, Azure is shown a token of Entra ID.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from pipeline.api.attempt import Target
from pipeline.api.entra.clouds import Cloud, cloud_of
from pipeline.api.environment import checked_address, read_key, read_variable, usual_or_other
from pipeline.api.options import Auth, ModelOptions
from pipeline.api.quirks import check_temperature, server_at
from pipeline.api.vision.extensions import Extension, image_extension
from pipeline.api.vision.resource import find_vision
from pipeline.api.vision.video import check_video, video_extension
from pipeline.api.vision.ways import Way, choose_way
from pipeline.errors import UserError

PORTS = {"http": 80, "https": 443}
DEPLOYMENT_VARIABLE = "AZURE_OPENAI_DEPLOYMENT_NAME"
OPENAI_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that answers chat completions. Its headers hold the key and never show in a repr."""

    provider: str
    url: str
    models_url: str
    """Where it lists its models: the cheapest question that proves address and key."""
    headers: Mapping[str, str] = field(repr=False)
    body_model: str | None
    """`model` in the body; None where the URL names the deployment."""
    deployment: str | None = None
    cloud: Cloud | None = None
    """Azure without a key: whose tokens it is shown; they are in no header here, as they change."""
    extension: Extension | None = None
    """Azure's `/extensions/` path is asked, and this stands in front of the messages."""
    content_type: str = "application/json"
    """Of what is sent to it."""
    api_version: str | None = None
    """Azure's, with a date; None: the undated form, or another provider."""

    @property
    def target(self) -> Target:
        """The same without the key, for metrics and logs."""
        parts = urlsplit(self.url)
        model = self.deployment or self.body_model or ""
        name = f"{parts.netloc}/{model}"
        return Target(name, self.provider, model, parts.hostname, parts.port or PORTS[parts.scheme])


def split_name(name: str) -> tuple[str, str]:
    """`provider:model` into its halves; a bare name means `openai:`."""
    provider, colon, model = name.partition(":")
    if not colon:
        return "openai", name
    if not model:
        like = f"azure:DEPLOYMENT, or export {DEPLOYMENT_VARIABLE}" if provider == "azure" else "openai:gpt-4o"
        raise UserError(f"Model {name!r} names no model after the colon; write e.g. {like}.")
    return provider, model


def with_deployment(name: str, environ: Mapping[str, str]) -> str:
    """`azure:` alone means the deployment that the environment names, as the quickstart of 2025-02 has it."""
    deployment = environ.get(DEPLOYMENT_VARIABLE, "").strip() if name == "azure:" else ""
    return f"azure:{deployment}" if deployment else name


def catalogue_name(options: ModelOptions) -> str:
    """The name under which the catalogue knows the model: behind an Azure deployment, the one that the user told us."""
    return f"azure:{options.azure_model}" if options.azure_model else options.name


def key_variable(options: ModelOptions, environ: Mapping[str, str]) -> str:
    """The environment variable that holds the key unless the job names another; a known server has its own."""
    provider, _ = split_name(options.name)
    if provider == "azure":
        return usual_or_other("AZURE_OPENAI_API_KEY", environ)
    server = (
        server_at(options.base_url or read_variable("OPENAI_BASE_URL", environ)) if provider == "compatible" else None
    )
    return server.key_variable if server and environ.get(server.key_variable, "").strip() else "OPENAI_API_KEY"


def azure_version(options: ModelOptions, environ: Mapping[str, str]) -> str | None:
    """The dated api-version; None: the undated `/openai/v1/` form."""
    version = options.api_version or read_variable("OPENAI_API_VERSION", environ)
    return None if version == "v1" else version or None


def enhancing_way(options: ModelOptions, environ: Mapping[str, str]) -> Way | None:
    """Who looks for what `enhance` names; None: nothing is. UserError when nobody could."""
    provider, _ = split_name(options.name)
    version = azure_version(options, environ) if provider == "azure" else None
    return choose_way(options, provider, version, find_vision(environ)) if options.enhance else None


def resolve_endpoint(
    options: ModelOptions, environ: Mapping[str, str], key_env: str | None = None, auth: Auth | None = None
) -> Endpoint:
    """The endpoint for `options.name`, with its key from `environ`; UserError names what is missing or wrong.

    `key_env` names the variable that holds the key, if it is not the provider's usual one; then there must be one.
    `auth`: what Azure is shown; None: the key, or where there is none, a token.
    """
    provider, model = split_name(options.name)
    if auth == "entra" and provider != "azure":
        raise UserError(f"auth = 'entra' is for Azure; {options.name} takes a key.")
    variable = key_env or key_variable(options, environ)
    if options.video_index:
        check_video(options, provider, azure_version(options, environ))
    key = None if auth == "entra" else read_key(variable, environ)
    if not key and (key_env or auth == "key"):
        raise UserError(f"{variable} is not set; export the key of {options.name} under that name.")
    match provider:
        case "openai":
            return _openai(model, options.base_url, environ, key)
        case "compatible":
            return _compatible(model, options, environ, key)
        case "azure":
            return _azure(model, options, environ, key)
    raise UserError(f"Unknown provider {provider!r} in {options.name!r}; use builtin, openai, azure or compatible.")


def _openai(model: str, base_url: str | None, environ: Mapping[str, str], key: str | None) -> Endpoint:
    base = _address(base_url or read_variable("OPENAI_BASE_URL", environ) or OPENAI_BASE_URL)
    if not key and base == OPENAI_BASE_URL:
        raise UserError("OPENAI_API_KEY is not set; export the key of your OpenAI account.")
    return _plain("openai", base, key, model)


def _compatible(model: str, options: ModelOptions, environ: Mapping[str, str], key: str | None) -> Endpoint:
    base = options.base_url or read_variable("OPENAI_BASE_URL", environ)
    if not base:
        raise UserError(f"compatible:{model} needs --base-url (or OPENAI_BASE_URL), e.g. http://localhost:11434/v1.")
    check_temperature(server_at(base), options.temperature)
    return _plain("compatible", _address(base), key, model)


def _plain(provider: str, base: str, key: str | None, model: str) -> Endpoint:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Endpoint(provider, f"{base}/chat/completions", f"{base}/models", headers, model)


def _azure(deployment: str, options: ModelOptions, environ: Mapping[str, str], key: str | None) -> Endpoint:
    address = options.base_url or read_variable("AZURE_OPENAI_ENDPOINT", environ)
    if not address:
        raise UserError("AZURE_OPENAI_ENDPOINT is not set; it looks like https://RESOURCE.openai.azure.com.")
    # The portal shows longer forms too: .../openai/v1/ and .../openai/deployments/D/chat/completions.
    parts = urlsplit(_address(address))
    base = f"{parts.scheme}://{parts.netloc}{f'{parts.path}/'.partition('/openai/')[0].rstrip('/')}/openai"
    version = azure_version(options, environ)
    headers = {"api-key": key} if key else {}
    cloud = None if key else cloud_of(parts.hostname or "", environ)
    if version is None:
        url, models_url = f"{base}/v1/chat/completions", f"{base}/v1/models"
        return Endpoint("azure", url, models_url, headers, deployment, deployment, cloud)
    query = f"api-version={quote(version, safe='')}"
    extension = None
    if options.video_index:
        extension = video_extension(options, parts.hostname or "", find_vision(environ))
    elif enhancing_way(options, environ) == "azure-openai":
        extension = image_extension(options.enhance, find_vision(environ))
    path = "extensions/chat/completions" if extension else "chat/completions"
    url = f"{base}/deployments/{quote(deployment, safe='')}/{path}?{query}"
    return Endpoint(
        "azure", url, f"{base}/models?{query}", headers, None, deployment, cloud, extension, api_version=version
    )


def _address(url: str) -> str:
    """The address without what we append ourselves."""
    return checked_address(url).removesuffix("/chat/completions")
