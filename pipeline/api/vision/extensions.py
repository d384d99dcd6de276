"""Azure OpenAI's `/extensions/` path: a chat request with enhancements and data sources in front of its messages. Pure.

Wire: how-to of 2024-02 (GPT-4 Turbo with Vision); removed in api-version 2024-04-01-preview (api-version life cycle).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.api.vision.resource import VisionResource

FIRST_VERSION, LAST_VERSION = "2023-12-01-preview", "2024-03-01-preview"
MODEL = "gpt-4-vision-preview"
"""The only one that took them; turbo-2024-04-09 does not (how-to of 2024-05)."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What a request says in front of what every chat request says."""

    fields: Mapping[str, object] = field(repr=False)
    """`enhancements`, `dataSources`; with the resource's key."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What of it must not come back."""
    is_open: bool = False
    """The parameters of the last data source are not finished: each request's tail ends them."""


def has_extensions(api_version: str | None) -> bool:
    """Whether an api-version has the path. None: the undated form, or no Azure at all."""
    is_preview = api_version is not None and api_version.endswith("-preview")
    return is_preview and FIRST_VERSION <= str(api_version) <= LAST_VERSION


def image_extension(enhancements: Iterable[str], vision: VisionResource | None) -> Extension:
    """`ocr`, `grounding` of one image. Without a resource: for an AI Services resource, which needs none beside it."""
    wanted = {name: {"enabled": True} for name in enhancements}
    if vision is None:
        return Extension({"enhancements": wanted})
    source = {"type": "AzureComputerVision", "parameters": {"endpoint": vision.endpoint, "key": vision.key}}
    secrets = (vision.key,) if vision.key else ()
    return Extension({"enhancements": wanted, "dataSources": [source]}, secrets)
