"""Who looks for text and objects: the model's service itself, Image Analysis, or this machine. Pure."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pipeline.api.options import ModelOptions
from pipeline.api.vision.extensions import FIRST_VERSION, LAST_VERSION, MODEL, has_extensions
from pipeline.api.vision.resource import NEEDED, VisionResource
from pipeline.errors import UserError
from pipeline.models import FeeName

Way = Literal["azure-openai", "image-analysis", "rapidocr"]

_FEES: Mapping[Way, Mapping[str, FeeName]] = {
    "azure-openai": {"ocr": "ocr", "grounding": "grounding"},
    "image-analysis": {"ocr": "analysis_read", "grounding": "analysis_objects"},
    "rapidocr": {},
}

REMOVED = (
    "Azure OpenAI's enhancements were removed in api-version 2024-04-01-preview; {told}. "
    f"Leave out --enhance-with: Azure AI Vision ({NEEDED}) or, for ocr, rapidocr finds the same today."
)


def choose_way(
    options: ModelOptions, provider: str, api_version: str | None, vision: VisionResource | None
) -> Way | None:
    """None: nothing is to be found. UserError when nobody could do it.

    `api_version`: Azure's, None for the undated form. Left to us, the model's own service comes first where it can,
    then the vision resource, then this machine.
    """
    if not options.enhance:
        return None
    if provider == "builtin":
        raise UserError(f"{options.name} reads text itself, with the extra ocr; leave out enhance.")
    own = provider == "azure" and has_extensions(api_version) and options.azure_model in (None, MODEL)
    way = options.enhance_with
    if way == "auto":
        way = "azure-openai" if own else "image-analysis" if vision else "rapidocr"
    if way == "azure-openai":
        _check_own(options, provider, api_version, vision)
    else:
        _check_other(options, way, vision)
    return way


def fees_of(way: Way | None, enhance: Iterable[str]) -> tuple[FeeName, ...]:
    """What each image is billed for beside the model's tokens."""
    return tuple(_FEES[way][name] for name in enhance if name in _FEES[way]) if way else ()


def _check_own(options: ModelOptions, provider: str, api_version: str | None, vision: VisionResource | None) -> None:
    if provider != "azure":
        raise UserError(REMOVED.format(told=f"{options.name} never had them"))
    if not has_extensions(api_version):
        asked = f"{api_version} is asked for, {FIRST_VERSION} to {LAST_VERSION} have them"
        raise UserError(REMOVED.format(told=asked if api_version else "the undated /openai/v1/ form has none"))
    if options.azure_model not in (None, MODEL):
        raise UserError(REMOVED.format(told=f"{options.azure_model} never had them, {MODEL} alone"))
    if vision and not vision.key:
        raise UserError("VISION_ENDPOINT is set without VISION_KEY; enhancements take the resource's key, or neither.")


def _check_other(options: ModelOptions, way: str, vision: VisionResource | None) -> None:
    if options.send == "url":
        raise UserError(f"enhance by {way} looks at the image itself; leave out send = 'url'.")
    if way == "image-analysis" and vision is None:
        raise UserError(f"enhance_with = 'image-analysis' needs an Azure AI Vision resource: {NEEDED}.")
    if way == "rapidocr" and "grounding" in options.enhance:
        raise UserError(f"rapidocr finds text alone; for grounding {NEEDED}, or leave it out.")
