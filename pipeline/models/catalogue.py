"""The catalogue of models that look at images: finding one by name, and what it makes of a size. Data: catalogue.toml.

Knows no prices and opens no connection. The file is read once, when the first model is asked for.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any, Literal

from pipeline.errors import UnknownModel, UserError
from pipeline.models import image_rules
from pipeline.models.image_rules import ImageRule, PatchLimits, PatchRule, UnknownRule

PROVIDERS = ("openai", "azure", "builtin", "compatible", "anthropic", "google")
MAX_SIDE_PX = 65_535
"""Longest side that is counted: what a JPEG can be. It keeps the rules' arithmetic exact."""

_SNAPSHOT = re.compile(r"-(?:\d{4}-\d\d-\d\d|\d{8}|latest|preview-\d\d-\d{2,4}|\d{3})$")


@dataclass(frozen=True, slots=True)
class Model:
    """What is known about one model at one provider. None: not known, or no such limit."""

    provider: str
    name: str
    """Canonical name in the catalogue, without a date."""
    requested: str
    """The name as asked for, without the provider: what is sent to the server, and what prices are looked up by."""
    rule: ImageRule
    details: tuple[str, ...]
    """Values of `detail` that it accepts."""
    auto: str = "high"
    """What `auto`, or no detail, is billed as."""
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    encoding: Literal["o200k_base", "cl100k_base"] | None = None
    reasoning: bool = False
    """Thinks before it answers: its reasoning counts as output, and its chat frame is one token shorter."""
    structured: bool | None = None
    """Whether it follows a JSON schema."""
    unstructured: tuple[str, ...] = ()
    """Names of its older snapshots that do not."""
    json_mode: bool | None = None
    """Whether it has JSON mode, with images too."""
    responses_only: bool = False
    """Served by the Responses API alone, not by chat completions."""
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    formats: tuple[str, ...] = ()
    released: date | None = None
    retired: date | None = None
    note: str | None = None
    unverified: str | None = None
    """What about this entry nobody confirmed."""
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.provider}:{self.requested}"

    @property
    def follows_schema(self) -> bool | None:
        """Whether the very snapshot that is asked for does; None: not known."""
        return False if self.requested in self.unstructured else self.structured

    def resolve_detail(self, detail: str) -> str:
        """`detail` as the rule knows it, `auto` replaced by what it is billed as.

        Gemini's own spelling (`media_resolution_low`) is understood too. UserError if the model knows no such detail.
        """
        if detail not in self.details and "medium" in self.details:
            detail = detail.removeprefix("media_resolution_")
            detail = "auto" if detail in ("default", "unspecified") else detail
        if detail not in self.details:
            known = f"{', '.join(self.details[:-1])} or {self.details[-1]}"
            raise UserError(f"{self} knows no detail {detail!r}: use {known}.")
        return self.auto if detail == "auto" else detail

    def image_tokens(self, width: int, height: int, detail: str = "high") -> int | None:
        """Tokens billed for one image of `width` x `height` px; None when the model's rule is unknown.

        Raises UserError for a size that cannot be and for a detail that the model does not know.
        """
        check_size(width, height)
        return self.rule.tokens(width, height, self.resolve_detail(detail))


def unknown_rule(model: Model) -> UserError:
    return UserError(f"How {model} counts image tokens is not known: `nightcap models` lists those whose rule is.")


def check_size(width: int, height: int) -> None:
    """Raise UserError unless both sides are 1 to 65,535 px."""
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise UserError(f"No image is {width}x{height} pixels: each side must be 1 to {MAX_SIDE_PX:,} pixels.")


def list_models() -> Sequence[Model]:
    """Every model of the catalogue, in its order."""
    return _catalogue().models


def find_model(name: str) -> Model:
    """The model called `name`: `provider:model`, or bare, which means `openai:` unless only another provider has it.

    Dated snapshots and aliases resolve. Under `compatible:` a name that nothing is known of gives a model with an
    unknown rule. Raises UnknownModel, with near names, and UserError for a model without image input.
    """
    return _find(name)


@lru_cache(maxsize=4096)
def _find(name: str) -> Model:
    provider, colon, requested = name.strip().partition(":")
    if not colon or provider not in PROVIDERS:
        provider, requested = "", name.strip()
    if not requested:
        raise UserError(f"{name!r} names no model: write provider:model, for example openai:gpt-4o.")
    found = _look_up(provider, requested)
    if found is not None:
        return replace(found, requested=requested)
    plain = requested.rpartition("/")[2].lower()
    if any(fnmatchcase(plain, pattern) for pattern in _catalogue().no_image_input):
        raise UserError(f"{name} takes no images: choose a model that does, `nightcap models` lists them.")
    if provider == "compatible":
        return replace(_catalogue().unknown, name=requested, requested=requested)
    raise UnknownModel(name, _near(provider, requested))


def _look_up(provider: str, requested: str) -> Model | None:
    if provider == "compatible":
        return _recognise(requested)
    # A fine-tuned model, ft:BASE:ORG::ID, sees as its base does.
    wanted = requested.split(":")[1] if requested.startswith("ft:") else requested
    for candidate in [provider] if provider else ["openai", "anthropic", "google"]:
        found = _catalogue().find(candidate, wanted)
        if found is not None:
            return found
    return None if provider else _catalogue().find("compatible", wanted) or _match(wanted)


def _recognise(requested: str) -> Model | None:
    """The family behind a name on a compatible server, by the name alone: `Qwen/Qwen3-VL-8B-Instruct`, `openai/o3`."""
    plain = requested.rpartition("/")[2]
    open_model = _catalogue().find("compatible", plain) or _match(plain)
    if open_model is not None:
        return open_model
    for provider in ("openai", "anthropic", "google"):
        hosted = _catalogue().find(provider, plain)
        if hosted is not None:
            # The model's own way with images, behind somebody else's server and limits.
            unknown = _catalogue().unknown
            return replace(
                hosted,
                provider="compatible",
                responses_only=False,
                formats=unknown.formats,
            )
    return None


def _match(name: str) -> Model | None:
    plain = name.rpartition("/")[2].lower()
    if plain.endswith("gguf"):
        return None
    return next((model for pattern, model in _catalogue().patterns if pattern.fullmatch(plain)), None)


def _near(provider: str, requested: str) -> list[str]:
    full = [f"{model.provider}:{model.name}" for model in list_models()]
    return get_close_matches(f"{provider or 'openai'}:{requested.lower()}", full, n=3, cutoff=0.7)


def _key(name: str) -> str:
    """Names are compared without case, and `4.5` is `4-5`: Anthropic writes the one, everybody else the other."""
    return name.lower().replace("_", "-").replace(".", "-")


@dataclass(frozen=True, slots=True)
class _Catalogue:
    models: tuple[Model, ...]
    by_name: dict[tuple[str, str], Model]
    patterns: tuple[tuple[re.Pattern[str], Model], ...]
    no_image_input: tuple[str, ...]
    unknown: Model

    def find(self, provider: str, name: str) -> Model | None:
        key = _key(name)
        return self.by_name.get((provider, key)) or self.by_name.get((provider, _SNAPSHOT.sub("", key)))


@cache
def _catalogue() -> _Catalogue:
    from importlib.resources import files  # 15 ms that an import of this room does without

    data = tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text("utf-8"))
    families = _families()
    rules = {name: _rule(families, entry) for name, entry in data["rule"].items()}
    providers = {provider: _tuples(entry) for provider, entry in data["provider"].items()}
    models: list[Model] = []
    by_name: dict[tuple[str, str], Model] = {}
    patterns: list[tuple[re.Pattern[str], Model]] = []
    for entry in data["model"]:
        names, rule, pattern = entry.pop("names"), rules[entry.pop("rule")], entry.pop("match", None)
        sources = tuple(data["source"][source] for source in entry.pop("sources"))
        if entry.get("reasoning"):
            entry.setdefault("max_tokens_parameter", "max_completion_tokens")
        azure_json_mode = entry.pop("azure_json_mode", entry.get("json_mode"))
        entry["unstructured"] = tuple(entry.get("unstructured", ()))
        for provider in [entry.pop("provider")] + ["azure"] * entry.pop("azure", False):
            if provider == "azure":
                entry["json_mode"] = azure_json_mode
            model = Model(
                name=names[0],
                provider=provider,
                requested=names[0],
                rule=rule,
                details=_details(rule),
                sources=sources,
                **providers[provider],
                # The dates are OpenAI's: on Azure a model lives longer.
                **{key: value for key, value in entry.items() if not (provider == "azure" and key == "retired")},
            )
            models.append(model)
            by_name.update({(provider, _key(name)): model for name in names})
            if pattern:
                patterns.append((re.compile(pattern), model))
    unknown = Model("compatible", "", "", UnknownRule(), _details(UnknownRule()), **providers["compatible"])
    blind = tuple(data["no_image_input"]["names"])
    return _Catalogue(tuple(models), by_name, tuple(patterns), blind, unknown)


def _families() -> dict[str, type[Any]]:
    from pipeline.models import open_model_rules  # 8 ms that those who are given a model do without

    return {
        "tile": image_rules.TileRule,
        "patch": image_rules.PatchRule,
        "claude": image_rules.ClaudeRule,
        "crop": image_rules.CropRule,
        "resolution": image_rules.ResolutionRule,
        "unknown": image_rules.UnknownRule,
        "qwen": open_model_rules.QwenRule,
        "pixtral": open_model_rules.PixtralRule,
        "fixed": open_model_rules.FixedRule,
        "llava-next": open_model_rules.LlavaNextRule,
        "capped-tile": open_model_rules.CappedTileRule,
        "smolvlm": open_model_rules.SmolVlmRule,
    }


def _rule(families: dict[str, type[Any]], entry: dict[str, Any]) -> ImageRule:
    fields = _tuples(entry)
    for key in ("high", "low", "original", "documented_high"):
        if isinstance(fields.get(key), dict):
            fields[key] = PatchLimits(**fields[key])
    rule: ImageRule = families[fields.pop("family")](**fields)
    return rule


def _tuples(value: Any) -> Any:
    """TOML's arrays as tuples, so that what is built from them can be hashed."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _details(rule: ImageRule) -> tuple[str, ...]:
    if isinstance(rule, image_rules.ResolutionRule):
        return ("low", "medium", "high", "ultra_high", "auto")
    if isinstance(rule, image_rules.CropRule):
        return ("low", "medium", "high", "auto")
    if isinstance(rule, PatchRule) and rule.original is not None:
        return ("low", "high", "original", "auto")
    return ("low", "high", "auto")
