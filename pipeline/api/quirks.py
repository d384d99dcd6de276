"""What known servers that speak OpenAI's language do otherwise, by their address. Data and pure functions.

Only what their own guides say: OpenRouter authentication, Gemini API OpenAI compatibility, Claude API OpenAI SDK
compatibility (fields table: temperature), Ollama OpenAI compatibility (cloud). What servers differ in without saying so
is found out by asking (`retry.decide`): parameters that they refuse, addresses that they do not fetch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.errors import UserError


@dataclass(frozen=True, slots=True)
class Server:
    """One known server."""

    name: str
    key_variable: str
    """Where its guide puts the key."""
    max_temperature: float = 2.0
    """Higher ones are lowered by the server without a word."""
    limits_of: str = ""
    """The provider whose limits on a request hold there; empty: none are known."""


SERVERS: Mapping[str, Server] = {
    "openrouter.ai": Server("OpenRouter", "OPENROUTER_API_KEY"),
    "generativelanguage.googleapis.com": Server("Gemini", "GEMINI_API_KEY", limits_of="google"),
    "api.anthropic.com": Server("Anthropic", "ANTHROPIC_API_KEY", max_temperature=1.0, limits_of="anthropic"),
    "ollama.com": Server("Ollama's cloud", "OLLAMA_API_KEY"),
}
"""By host. Servers on machines of one's own (Ollama, vLLM, llama.cpp) have no address to know them by."""


def server_at(address: str | None) -> Server | None:
    """The known server at this address, which may be none at all."""
    try:
        return SERVERS.get(urlsplit(address or "").hostname or "")
    except ValueError:
        return None


def check_temperature(server: Server | None, temperature: float | None) -> None:
    """UserError for a temperature that the server would change."""
    if server and temperature is not None and temperature > server.max_temperature:
        raise UserError(
            f"temperature is {temperature:g}, and {server.name} takes 0 to {server.max_temperature:g}; lower it."
        )
