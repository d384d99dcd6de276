"""What a provider takes in one request: bytes, images, pixels, each with its source. Data: limits.toml."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

from pipeline.models.catalogue import Model

Kind = Literal["image_bytes", "request_bytes", "images", "side_px"]

UNDATED = "v1"
"""Azure's api-version of `/openai/v1/`, newer than every date."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that is taken, and who says so."""

    most: int
    source: str

    def __str__(self) -> str:
        return f"{self.most:,} ({self.source})"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Of one request. None: no limit is known."""

    image_bytes: Limit | None = None
    """Of one image file, before base64."""
    request_bytes: Limit | None = None
    """Of the whole body, base64 included."""
    images: Limit | None = None
    side_px: Limit | None = None
    """The longer side of an image, in a request of as many images as was asked for."""

    def and_those_of(self, other: "RequestLimits") -> "RequestLimits":
        """What both take, where either may answer."""
        return RequestLimits(**{part.name: _stricter(part.name, self, other) for part in fields(self)})


def find_limits(model: Model, api_version: str | None = None, images: int = 1, provider: str = "") -> RequestLimits:
    """What `model` is sent at most. `api_version`: Azure's, None for the undated form. `images`: in the request.

    `provider`: whose server it is, where the model's own does not say it.
    """
    whose = provider or model.provider
    found: dict[str, Limit] = {}
    for entry in _entries():
        if entry.provider == whose and entry.kind not in found and entry.holds(model, api_version, images):
            found[entry.kind] = entry.limit
    return RequestLimits(**found)


@dataclass(frozen=True, slots=True)
class _Entry:
    provider: str
    kind: Kind
    limit: Limit
    models: tuple[str, ...]
    before: str | None
    from_images: int

    def holds(self, model: Model, api_version: str | None, images: int) -> bool:
        # Azure's versions are dates, perhaps with `-preview`: they compare as text, and v1 after all of them.
        return (
            (not self.models or model.name in self.models)
            and (self.before is None or (api_version or UNDATED) < self.before)
            and images >= self.from_images
        )


@cache
def _entries() -> tuple[_Entry, ...]:
    from importlib.resources import files  # 15 ms that an import of this room does without

    data = tomllib.loads(files(__package__).joinpath("limits.toml").read_text("utf-8"))
    return tuple(_read(data["limit"]))


def _read(lines: Iterable[dict[str, Any]]) -> Iterable[_Entry]:
    for line in lines:
        limit = Limit(line.pop("most"), line.pop("source"))
        models = tuple(line.pop("models", ()))
        yield _Entry(**{"before": None, "from_images": 1, **line}, limit=limit, models=models)


def _stricter(name: str, one: RequestLimits, other: RequestLimits) -> Limit | None:
    known = [limit for limits in (one, other) if (limit := getattr(limits, name)) is not None]
    return min(known, key=lambda limit: limit.most, default=None)
