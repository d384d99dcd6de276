"""Every fault that the emulator knows, and what becomes of an image that meets it: once, and as long as it is asked.

An outcome is `answered N` (in the Nth attempt, perhaps with a smaller image), `filtered`, the reason of a row, or
`stop: ` and words of the sentence that ends the run. None: it would go on for ever.
"""

import random

import pytest

from pipeline.api.asker import Asker
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.pool.members import members_of
from pipeline.api.pool.opening import open_pool
from pipeline.api.throttle import Throttle
from pipeline.emulator.faults import FAULTS, Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.errors import RunError
from pipeline.items import Answer, Probe, Reply, Request, Sent, SourceImage
from tests.helpers.clock import FakeClock
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

# Real seconds without any event after which virtual time goes on.
IDLE_SECONDS = 0.02
ENVIRON = {"AZURE_OPENAI_API_KEY": "emulator-key", "OPENAI_API_KEY": "emulator-key"}
NO_ADDRESS = "stop: does not know the model or address"
NO_CREDENTIALS = "stop: refused the credentials"
NO_QUOTA = "stop: quota is used up"

TABLE: dict[str, tuple[str, str | None]] = {
    "content_filter": ("filtered", "filtered"),
    "answer_filtered": ("filtered", "filtered"),
    "refusal": ("answered 1", "answered 1"),  # the row says so: a refusal is a reply
    "apology": ("answered 1", "answered 1"),
    "invalid_image": ("rejected:invalid_image_format", "rejected:invalid_image_format"),
    "rate_limit": ("answered 2", None),
    "blind_rate_limit": ("answered 2", None),
    "high_demand": ("answered 2", "server_error"),
    "insufficient_quota": (NO_QUOTA, NO_QUOTA),
    "credit_balance_exhausted": (NO_QUOTA, NO_QUOTA),
    "organization_spend_limit_exceeded": (NO_QUOTA, NO_QUOTA),
    "project_spend_limit_exceeded": (NO_QUOTA, NO_QUOTA),
    "organization_usage_limit_exceeded": (NO_QUOTA, NO_QUOTA),
    "unauthorized": (NO_CREDENTIALS, NO_CREDENTIALS),
    "forbidden": (NO_CREDENTIALS, NO_CREDENTIALS),
    "model_not_found": (NO_ADDRESS, NO_ADDRESS),
    "deployment_not_found": ("answered 2", NO_ADDRESS),
    "context_length": ("answered 2, smaller", "rejected:context_length_exceeded"),
    "string_too_long": ("answered 2, smaller", "rejected:string_above_max_length"),
    "image_url_timeout": ("answered 2", "server_error"),
    "request_timeout": ("answered 2", "timeout"),
    "too_large": ("answered 2, smaller", "rejected:too_large"),
    "server_error": ("answered 2", "server_error"),
    "bad_gateway": ("answered 2", "server_error"),
    "overloaded": ("answered 2", "server_error"),
    "slow_down": ("answered 2", "server_error"),
    "gateway_timeout": ("answered 2", "server_error"),
    "site_overloaded": ("answered 2", "server_error"),
    "cut": ("answered 2", "server_error"),
    "cut_body": ("answered 2", "server_error"),
    "hang": ("answered 2", "server_error"),  # cut after an hour of virtual time; a real one is a timeout
    "slow_body": ("answered 1", "answered 1"),
    "invalid_json": ("answered 2", "server_error"),
    "html": ("answered 2", "server_error"),
    "empty_choices": ("answered 2", "server_error"),
    "empty_answer": ("answered 1", "answered 1"),
    "wrong_content_type": ("answered 1", "answered 1"),
    "missing_usage": ("answered 1", "answered 1"),
    "answer_not_json": ("answered 1", "answered 1"),  # of an answer in plain text
    "schema_mismatch": ("answered 1", "answered 1"),
    "entry_missing": ("answered 1", "answered 1"),  # of a pack; one image has no entries
    "entry_twice": ("answered 1", "answered 1"),
    "entries_shuffled": ("answered 1", "answered 1"),
    "entry_too_many": ("answered 1", "answered 1"),
}


def test_the_table_is_complete() -> None:
    assert TABLE.keys() == FAULTS.keys()


@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize(("fault", "expected"), [(fault, once) for fault, (once, _) in TABLE.items()])
async def test_a_fault_that_passes(provider: str, fault: str, expected: str) -> None:
    assert await outcome_of(provider, EmulatorOptions(scenario=(Step(fault, requests=(1, 1)),))) == expected


@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize(("fault", "expected"), [(fault, always) for fault, (_, always) in TABLE.items() if always])
async def test_a_fault_that_lasts(provider: str, fault: str, expected: str) -> None:
    assert await outcome_of(provider, EmulatorOptions(scenario=(Step(fault),))) == expected


@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize(("temperature", "expected"), [(None, "answered 2"), (0.2, "answered 3"), (1.0, "answered 2")])
async def test_a_model_that_refuses_parameters(provider: str, temperature: float | None, expected: str) -> None:
    """It reasons, and nobody has told us: neither the name of the limit nor a temperature is to its liking."""
    assert await outcome_of(provider, EmulatorOptions(model="o4-mini"), temperature) == expected


async def outcome_of(provider: str, options: EmulatorOptions, temperature: float | None = None) -> str:
    clock, limits = FakeClock(), LimitOptions(max_attempts=3)
    async with emulate(options, clock) as running:
        base = running.endpoint if provider == "azure" else running.base_url
        model = ModelOptions(name=f"{provider}:gpt-4o", base_url=base, temperature=temperature)
        members = members_of(model, limits, ())
        async with open_pool(members, ENVIRON, clock) as pool:
            asker = Asker(Throttle(pool, clock), limits, clock, random.Random(1), lambda attempt: None)
            with clock.autojump(IDLE_SECONDS):
                try:
                    answer = await asker.ask(request(64, 48), smaller)
                except RunError as error:
                    found = [words for words in (NO_ADDRESS, NO_CREDENTIALS, NO_QUOTA) if words[6:] in str(error)]
                    return found[0] if found else str(error)
    assert pool.in_flight == 0
    outcome = answer.outcome
    if isinstance(outcome, Reply):
        return f"answered {answer.attempts}{', smaller' if smaller_than_asked(answer) else ''}"
    return "filtered" if outcome.status == "filtered" else outcome.reason


def smaller_than_asked(answer: Answer) -> bool:
    return answer.remade is not None and answer.remade.sent.width < 64


async def smaller(asked: Request) -> Request:
    return request(45, 34)


def request(width: int, height: int) -> Request:
    data = encoded(photo(width, height))
    body = tail_template(ModelOptions()).render("jpeg", data)
    sent = Sent("jpeg", width, height, len(data))
    return Request(
        SourceImage("a.jpg", "file:///a.jpg", "1"), Probe("jpeg", 64, 48), "blake3:00", len(data), sent, body, 255, 270
    )
