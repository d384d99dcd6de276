"""`enhancements` and `dataSources` of a request to Azure's extensions path, for one image. Pure.

As the how-to of 2024-02 writes them; where it is silent about what is refused, the words are the emulator's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from pipeline.emulator.wire.errors import Rejected, WireError

FIRST_VERSION, LAST_VERSION = "2023-12-01-preview", "2024-03-01-preview"
"""Azure removed the enhancements with 2024-04-01-preview (api-version life cycle)."""
NAMES = ("dataSources", "data_sources", "enhancements")
"""The guides write the sources both ways."""
KINDS = ("ocr", "grounding", "video")
SOURCE = "AzureComputerVision"


@dataclass(frozen=True, slots=True)
class Enhanced:
    """What a request wants beside an answer."""

    ocr: bool = False
    grounding: bool = False
    key: str | None = None
    """Of the vision resource; None: the request names none."""


def has_extensions(api_version: str | None) -> bool:
    """Whether this api-version has the path."""
    return bool(api_version and api_version.endswith("-preview")) and FIRST_VERSION <= str(api_version) <= LAST_VERSION


def read_enhancements(body: Mapping[str, object]) -> tuple[Enhanced, dict[str, object]]:
    """What is wanted, and the rest of the body. Rejected for a shape that the guides do not have."""
    rest = {name: value for name, value in body.items() if name not in NAMES}
    wanted = dict.fromkeys(KINDS, False)
    for name, value in _object(body.get("enhancements", {}), "enhancements").items():
        if name not in KINDS:
            _reject(f"Unknown enhancement '{name}'. Supported are: {', '.join(KINDS)}.", "enhancements")
        enabled = _object(value, f"enhancements.{name}").get("enabled")
        if not isinstance(enabled, bool):
            _reject(f"'enhancements.{name}.enabled' must be a boolean.", f"enhancements.{name}.enabled")
        wanted[name] = enabled
    return Enhanced(wanted["ocr"], wanted["grounding"], _key(body)), rest


def _key(body: Mapping[str, object]) -> str | None:
    name = "dataSources" if "dataSources" in body else "data_sources"
    sources = body.get(name, [])
    if not isinstance(sources, list) or len(sources) > 1:
        _reject(f"'{name}' must be a list of one data source.", name)
    for source in sources:
        source = _object(source, f"{name}[0]")
        if source.get("type") != SOURCE:
            _reject(f"Data source type '{source.get('type')}' does not go with an image; expected '{SOURCE}'.", name)
        parameters = _object(source.get("parameters"), f"{name}[0].parameters")
        for part in ("endpoint", "key"):
            if not isinstance(parameters.get(part), str) or not parameters[part]:
                _reject(f"Missing required parameter: '{name}[0].parameters.{part}'.", f"{name}[0].parameters.{part}")
        if not str(parameters["endpoint"]).startswith(("https://", "http://")):
            _reject(f"'{name}[0].parameters.endpoint' is not a valid URL.", f"{name}[0].parameters.endpoint")
        if more := parameters.keys() - {"endpoint", "key"}:
            _reject(f"Unknown parameter: '{name}[0].parameters.{min(more)}'.", name)
        return str(parameters["key"])
    return None


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        _reject(f"Invalid type for '{where}': expected an object.", where)
    return value


def _reject(message: str, param: str) -> NoReturn:
    raise Rejected(WireError(400, message, param=param))
