"""What a provider takes in one request: bytes, images, pixels, each with its source. Data: limits.toml."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
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
    from_images: int = 1
    """It holds for requests of so many images and more."""

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
    sides_px: tuple[Limit, ...] = ()
    """Of the longer side of an image; there may be another where images are many."""

    def side_px(self, images: int = 1) -> Limit | None:
        """Of the longer side of an image, in a request of so many."""
        return _strictest(limit for limit in self.sides_px if limit.from_images <= images)

    def and_those_of(self, other: "RequestLimits") -> "RequestLimits":
        """What both take, where either may answer."""
        return RequestLimits(
            _strictest((self.image_bytes, other.image_bytes)),
            _strictest((self.request_bytes, other.request_bytes)),
            _strictest((self.images, other.images)),
            self.sides_px + other.sides_px,
        )


def find_limits(model: Model, api_version: str | None = None, provider: str = "") -> RequestLimits:
    """What `model` is sent at most. `api_version`: Azure's, None for the undated form.

    `provider`: whose server it is, where the model does not say it.
    """
    whose = provider or model.provider
    found = [entry for entry in _entries() if entry.provider == whose and entry.holds(model, api_version)]

    def first(kind: Kind) -> Limit | None:
        return next((entry.limit for entry in found if entry.kind == kind), None)

    sides = tuple(entry.limit for entry in found if entry.kind == "side_px")
    return RequestLimits(first("image_bytes"), first("request_bytes"), first("images"), sides)


def _strictest(limits: Iterable[Limit | None]) -> Limit | None:
    return min((limit for limit in limits if limit), key=lambda limit: limit.most, default=None)


@dataclass(frozen=True, slots=True)
class _Entry:
    provider: str
    kind: Kind
    limit: Limit
    models: tuple[str, ...]
    before: str | None

    def holds(self, model: Model, api_version: str | None) -> bool:
        # Azure's versions are dates, perhaps with `-preview`: they compare as text, and v1 after all of them.
        before = self.before is None or (api_version or UNDATED) < self.before
        return before and (not self.models or model.name in self.models)


@cache
def _entries() -> tuple[_Entry, ...]:
    from importlib.resources import files  # 15 ms that an import of this room does without

    data = tomllib.loads(files(__package__).joinpath("limits.toml").read_text("utf-8"))
    return tuple(_read(line) for line in data["limit"])


def _read(line: dict[str, Any]) -> _Entry:
    limit = Limit(line["most"], line["source"], line.get("from_images", 1))
    return _Entry(line["provider"], line["kind"], limit, tuple(line.get("models", ())), line.get("before"))
