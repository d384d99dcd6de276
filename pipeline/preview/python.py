"""A request as a program for the openai package. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pprint import pformat
from urllib.parse import parse_qs, urlsplit

from pipeline.api.endpoint import Endpoint
from pipeline.api.vision.resource import KEY_VARIABLE

READ = """

def data_url(form, file):
    return f"data:image/{form};base64," + base64.b64encode(Path(file).read_bytes()).decode()


"""


@dataclass(frozen=True, slots=True)
class DataUrl:
    """Where in the body one is to be, and of what."""

    hidden: str
    """Stands there instead."""
    format: str
    file: str


def render_python(endpoint: Endpoint, body: Mapping[str, object], images: Sequence[DataUrl]) -> str:
    access, imported = _access(endpoint)
    client, arguments = _client(endpoint, access)
    imports, lines = ["import os\n"] if access.startswith("os.") else [], "\n"
    besides = endpoint.extension.fields if endpoint.extension else {}
    asked: dict[str, object] = {"model": endpoint.deployment, **body}
    if besides:
        extra = {name: asked.pop(name) for name in besides}
        asked["extra_body"] = extra
    text = pformat(asked, sort_dicts=False, width=118).replace(repr(f"${KEY_VARIABLE}"), _variable(KEY_VARIABLE))
    if _variable(KEY_VARIABLE) in text:
        imports = ["import os\n"]
    if images:
        imports = ["import base64\n", *imports, "from pathlib import Path\n"]
        lines = READ
        for image in images:
            text = text.replace(repr(image.hidden), f"data_url({image.format!r}, {image.file!r})")
    if endpoint.cloud:
        lines += f"token = get_bearer_token_provider(DefaultAzureCredential(), {endpoint.cloud.scope!r})\n"
    standard = "".join([*imports, "\n"]) if imports else ""
    given = "".join(f"    {name}={value},\n" for name, value in arguments.items())
    return (
        f"{standard}{imported}from openai import {client}\n"
        f"{lines}client = {client}(\n{given})\n"
        f"completion = client.chat.completions.create(\n    **{_indented(text)}\n)\n"
        "print(completion.choices[0].message.content)\n"
    )


def _access(endpoint: Endpoint) -> tuple[str, str]:
    """The key as an expression, and what has to be imported for it."""
    if endpoint.cloud:
        return "token", "from azure.identity import DefaultAzureCredential, get_bearer_token_provider\n"
    [shown] = endpoint.headers.values() or ["none"]
    variable = shown.rpartition("$")[2]
    return (_variable(variable) if "$" in shown else "'none'"), ""


def _variable(name: str) -> str:
    return f"os.environ[{name!r}]"


def _client(endpoint: Endpoint, access: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(endpoint.url)
    if version := parse_qs(parts.query).get("api-version"):
        root = endpoint.url.partition("/openai/deployments/")[0]
        name = "azure_ad_token_provider" if endpoint.cloud else "api_key"
        if endpoint.extension:
            base = endpoint.url.partition("/chat/completions")[0]
            return "AzureOpenAI", {"base_url": repr(base), "api_version": repr(version[0]), name: access}
        return "AzureOpenAI", {"azure_endpoint": repr(root), "api_version": repr(version[0]), name: access}
    base = endpoint.url.removesuffix("/chat/completions")
    return "OpenAI", {"base_url": repr(base), "api_key": access}


def _indented(text: str) -> str:
    return text.replace("\n", "\n      ")
