"""The table of servers, and what of it a request is made by."""

import json
import random

import pytest

from pipeline.api.endpoint import resolve_endpoint
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.quirks import SERVERS, server_at
from pipeline.api.reading.replies import read_response
from pipeline.api.retry import SendBytes, Situation, decide
from pipeline.errors import UserError
from pipeline.items import Failure

ADDRESSES = {
    "https://openrouter.ai/api/v1": "OPENROUTER_API_KEY",
    "https://generativelanguage.googleapis.com/v1beta/openai/": "GEMINI_API_KEY",
    "https://api.anthropic.com/v1/": "ANTHROPIC_API_KEY",
    "https://ollama.com/v1": "OLLAMA_API_KEY",
}
OPENAI = {"OPENAI_API_KEY": "sk-of-openai"}


def test_every_server_has_its_address_here() -> None:
    assert [server.key_variable for server in SERVERS.values()] == list(ADDRESSES.values())


@pytest.mark.parametrize(("address", "variable"), ADDRESSES.items())
def test_its_own_key_goes_before_openais(address: str, variable: str) -> None:
    options = ModelOptions(name="compatible:m", base_url=address)
    own = {variable: "own-key"}
    assert resolve_endpoint(options, OPENAI | own).headers == {"Authorization": "Bearer own-key"}
    assert resolve_endpoint(options, OPENAI | {variable: " "}).headers == {"Authorization": "Bearer sk-of-openai"}
    by_variable = ModelOptions(name="compatible:m")
    assert resolve_endpoint(by_variable, OPENAI | own | {"OPENAI_BASE_URL": address}).headers["Authorization"][7:] == (
        "own-key"
    )
    named = resolve_endpoint(options, OPENAI | own | {"TEAM_KEY": "team-key"}, "TEAM_KEY")
    assert named.headers == {"Authorization": "Bearer team-key"}


@pytest.mark.parametrize("address", ["http://localhost:11434/v1", "https://openrouter.ai.example/v1"])
def test_nobody_else_gets_their_keys(address: str) -> None:
    environ = dict.fromkeys(ADDRESSES.values(), "own-key")
    assert resolve_endpoint(ModelOptions(name="compatible:m", base_url=address), environ).headers == {}
    assert server_at(address) is None


def test_no_address_is_no_server() -> None:
    for address in (None, "", "http://[::1/v1", "openrouter.ai"):
        assert server_at(address) is None


def test_a_temperature_that_anthropic_would_lower_is_refused() -> None:
    def ask(temperature: float | None, address: str = "https://api.anthropic.com/v1") -> None:
        options = ModelOptions(name="compatible:claude-sonnet-4-5", base_url=address, temperature=temperature)
        resolve_endpoint(options, OPENAI)

    for fine in (None, 0, 1):
        ask(fine)
    ask(1.5, "https://openrouter.ai/api/v1")
    with pytest.raises(UserError, match="Anthropic takes 0 to 1"):
        ask(1.5)


def test_an_ollama_that_fetches_no_addresses_is_sent_the_bytes() -> None:
    """Its own words (ollama/ollama#6753)."""
    error = {"message": "invalid image input", "type": "invalid_request_error", "param": None, "code": None}
    failure = read_response(400, {}, json.dumps({"error": error}).encode())
    assert isinstance(failure, Failure)
    assert decide(failure, Situation(by_url=True), LimitOptions(), random.Random(1)) == SendBytes()
