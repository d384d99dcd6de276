"""One image, asked until there is an answer or a decision: throttle, client, reply reading and retry rule together."""

import random
from collections.abc import Callable

from pipeline.api.client import Client
from pipeline.api.options import LimitOptions
from pipeline.api.payload import rename_max_tokens
from pipeline.api.reading.replies import read_response
from pipeline.api.retry import UNCOUNTED_REASONS, GiveUp, RenameMaxTokens, Stop, Wait, decide
from pipeline.api.throttle import Reservation, Throttle
from pipeline.clock import Clock, utc
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Reply, Request


class Asker:
    """Asks one endpoint. Shared by all asking tasks of a run."""

    def __init__(
        self,
        client: Client,
        throttle: Throttle,
        limits: LimitOptions,
        max_tokens: int,
        clock: Clock,
        rng: random.Random,
        on_retry: Callable[[Failure], None],
    ) -> None:
        self._client = client
        self._throttle = throttle
        self._limits = limits
        self._max_tokens = max_tokens
        self._clock = clock
        self._rng = rng
        self._on_retry = on_retry
        self._rename = False
        """Whether the model has told us to rename max_tokens: one image pays for finding out, not each."""

    async def ask(self, request: Request) -> Answer:
        """The answer, or the failure that is to be the image's row.

        Raises RunError when the failure concerns the whole run, ThrottleClosed when the run stopped before an answer.
        """
        clock = self._clock
        body = rename_max_tokens(request.body) if self._rename else request.body
        sent_at: float | None = None
        tries = counted = 0
        reason, since = "", 0.0
        while True:
            queued = clock.monotonic()
            async with self._throttle.reserve(self._cost(request), retry=tries > 0) as reservation:
                sent = clock.monotonic()
                sent_at = clock.time() if sent_at is None else sent_at
                outcome = await self._try(body, reservation)
                received = clock.monotonic()
                tries += 1
                if isinstance(outcome, Reply):
                    break
                if outcome.reason != reason:
                    reason, since = outcome.reason, received
                counted += reason not in UNCOUNTED_REASONS
                decision = decide(outcome, counted, received - since, self._limits, self._rng)
                if isinstance(decision, Wait) and reason == "rate_limited":
                    # Concerns everybody, and before this place is free: the next in line would run into it too.
                    self._throttle.pause(decision.seconds)
            match decision:
                case Stop(message):
                    raise RunError(message)
                case GiveUp():
                    break
                case RenameMaxTokens():
                    renamed = rename_max_tokens(body)
                    if renamed == body:
                        break  # it is not the name that is wrong
                    body, self._rename = renamed, True
            self._on_retry(outcome)
            if isinstance(decision, Wait) and reason != "rate_limited":
                await self._throttle.sleep(decision.seconds)
        return Answer(
            outcome=outcome,
            attempts=tries,
            latency_ms=round((received - sent) * 1000),
            queue_ms=round((sent - queued) * 1000),
            started_at=utc(sent_at),
            finished_at=utc(clock.time()),
        )

    async def _try(self, body: bytes, reservation: Reservation) -> Reply | Failure:
        response = await self._client.post(body)
        if isinstance(response, Failure):
            return response
        outcome = read_response(response.status, response.headers, response.body)
        reservation.used_tokens = outcome.usage.total_tokens
        return outcome

    def _cost(self, request: Request) -> int:
        """Tokens at admission: what both providers count, the prompt and the largest answer (rate limit guides)."""
        return (request.predicted_prompt_tokens or 0) + self._max_tokens
