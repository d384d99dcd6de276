"""How each provider counts a request and over which windows it enforces its limits. Pure.

Sources: Azure how-to/quota (tokens: prompt estimate plus max_tokens, in a counter that is reset each minute and gives
nothing back; requests also over 1 s or 10 s), OpenAI rate limit guide (tokens: the larger of max_tokens and an estimate
by characters; refilled continuously, as its reset headers show).
"""

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.api.options import LimitOptions
from pipeline.items import Request

Counting = Literal["sum", "larger", "usage"]
"""sum: prompt plus max_tokens; larger: the larger of both; usage: the sum, until the reply says what it really was."""

MINUTE_SECONDS = 60.0
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class LimitRules:
    """One provider's manner of limiting."""

    request_windows: tuple[float, ...]
    """Seconds; the minute is always among them."""
    token_windows: tuple[float, ...]
    counting: Counting
    refills: bool
    """A bucket that refills all the time; False: a counter that starts again with each window."""


MINUTE = (MINUTE_SECONDS,)
OPENAI = LimitRules(MINUTE, MINUTE, "larger", refills=True)
AZURE = LimitRules((MINUTE_SECONDS, 10.0, 1.0), MINUTE, "sum", refills=False)
COMPATIBLE = LimitRules(MINUTE, MINUTE, "usage", refills=True)


def limit_rules(provider: str, options: LimitOptions) -> LimitRules:
    """The provider's rules, where the user did not say otherwise."""
    rules = {"openai": OPENAI, "azure": AZURE}.get(provider, COMPATIBLE)
    return replace(
        rules,
        request_windows=_with_minute(options.request_windows, rules.request_windows),
        token_windows=_with_minute(options.token_windows, rules.token_windows),
        counting=rules.counting if options.token_counting == "provider" else options.token_counting,
    )


def _with_minute(chosen: tuple[float, ...] | None, usual: tuple[float, ...]) -> tuple[float, ...]:
    return usual if chosen is None else tuple(sorted({MINUTE_SECONDS, *chosen}, reverse=True))


@dataclass(frozen=True, slots=True)
class AdmissionCost:
    """What a request of this job counts for when it is admitted, in tokens."""

    counting: Counting
    max_tokens: int
    prompt_characters: int
    """Of prompt and system text, which the providers estimate from their length."""

    def of(self, request: Request) -> int:
        """Never below what the provider may take it for: its own estimate of the text, or our exact count."""
        characters = self.prompt_characters + len(request.image.prompt or "")
        text = (characters + CHARACTERS_PER_TOKEN - 1) // CHARACTERS_PER_TOKEN  # rounded up
        estimate = text + (request.predicted_image_tokens or 0)
        prompt = max(estimate, request.predicted_prompt_tokens or 0)
        answer = request.max_tokens or self.max_tokens
        return max(prompt, answer) if self.counting == "larger" else prompt + answer
