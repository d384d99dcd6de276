"""One image, asked until there is an answer or a decision: throttle, client, reply reading and retry rule together."""

import random
from collections.abc import Callable

from pipeline.api.client import Client
from pipeline.api.options import LimitOptions
from pipeline.api.payload import rename_max_tokens
from pipeline.api.replies import read_response
from pipeline.api.retry import RenameMaxTokens, Stop, Wait, decide
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

    async def ask(self, request: Request) -> Answer:
        """The answer, or the failure that is to be the image's row.

        Raises RunError when the failure concerns the whole run, ThrottleClosed when the run stopped before an answer.
        """
        body = request.body
        first = self._clock.monotonic()
        sent_at = self._clock.time()
        tries = counted = 0
        while True:
            queued = self._clock.monotonic()
            async with self._throttle.reserve(self._cost(request), retry=tries > 0) as reservation:
                sent = self._clock.monotonic()
                if tries == 0:
                    sent_at = self._clock.time()
                tries += 1
                outcome = await self._try(body, reservation)
            received = self._clock.monotonic()
            if isinstance(outcome, Reply):
                break
            counted += outcome.reason not in ("rate_limited", "unreachable")
            decision = decide(outcome, counted, received - first, self._limits, self._rng)
            if isinstance(decision, Stop):
                raise RunError(decision.message)
            if isinstance(decision, RenameMaxTokens):
                body = rename_max_tokens(body)
            elif isinstance(decision, Wait):
                if outcome.reason == "rate_limited":
                    self._throttle.pause(decision.seconds)
                else:
                    await self._throttle.sleep(decision.seconds)
            else:
                break
            self._on_retry(outcome)
        return Answer(
            outcome=outcome,
            attempts=tries,
            latency_ms=round((received - sent) * 1000),
            queue_ms=round((sent - queued) * 1000),
            started_at=utc(sent_at),
            finished_at=utc(self._clock.time()),
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
