"""One image, asked until there is an answer or a decision: throttle, client, reply reading and retry rule together."""

import random

from pipeline.api.attempt import Attempt, OnAttempt
from pipeline.api.client import Client
from pipeline.api.health import Health
from pipeline.api.limits.limiter import Admission, Verdict
from pipeline.api.limits.rules import AdmissionCost
from pipeline.api.options import LimitOptions
from pipeline.api.payload import rename_max_tokens
from pipeline.api.reading.headers import read_rate_headers
from pipeline.api.reading.replies import read_response
from pipeline.api.retry import (
    FAULT_REASONS,
    TRANSIENT_REASONS,
    UNCOUNTED_REASONS,
    Decision,
    GiveUp,
    RenameMaxTokens,
    Stop,
    Wait,
    decide,
)
from pipeline.api.throttle import Throttle
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
        cost: AdmissionCost,
        clock: Clock,
        rng: random.Random,
        on_attempt: OnAttempt,
    ) -> None:
        self._client = client
        self._throttle = throttle
        self._limits = limits
        self._cost = cost
        self._clock = clock
        self._rng = rng
        self._on_attempt = on_attempt
        self._health = Health()
        self._rename = False
        """Whether the model has told us to rename max_tokens: one image pays for finding out, not each."""

    async def ask(self, request: Request) -> Answer:
        """The answer, or the failure that is to be the image's row.

        Raises RunError when the failure concerns the whole run, ThrottleClosed when the run stopped before an answer.
        """
        clock = self._clock
        body = rename_max_tokens(request.body) if self._rename else request.body
        patient = _Patience(request.image.key)
        tokens = self._cost.of(request)
        sent_at: float | None = None
        tries = 0
        while True:
            queued = clock.monotonic()
            async with self._throttle.reserve(tokens, retry=tries > 0) as admission:
                sent = clock.monotonic()
                sent_at = clock.time() if sent_at is None else sent_at
                outcome = await self._try(body, admission)
                received = clock.monotonic()
                tries += 1
                decision = self._decide(outcome, patient, received)
                if isinstance(decision, Wait) and decision.everybody:
                    # Before this place is free: the next in line would run into it too.
                    self._throttle.pause(decision.seconds)
            if isinstance(decision, RenameMaxTokens):
                renamed = rename_max_tokens(body)
                if body != request.body or renamed == body:
                    decision = GiveUp()  # it is not the name that is wrong
                else:
                    body, self._rename = renamed, True
            again = isinstance(decision, Wait | RenameMaxTokens)
            self._on_attempt(Attempt(outcome, received - sent, sent - queued, len(body), again))
            if isinstance(decision, Stop):
                raise RunError(decision.message)
            if not again:
                break
            if isinstance(decision, Wait) and not decision.everybody:
                await self._throttle.sleep(decision.seconds)
        return Answer(
            outcome=outcome,
            attempts=tries,
            latency_ms=round((received - sent) * 1000),
            queue_ms=round((sent - queued) * 1000),
            started_at=utc(sent_at),
            finished_at=utc(clock.time()),
        )

    async def _try(self, body: bytes, admission: Admission) -> Reply | Failure:
        response = await self._client.post(body)
        if isinstance(response, Failure):
            outcome: Reply | Failure = response
        else:
            outcome = read_response(response.status, response.headers, response.body)
            admission.rates = read_rate_headers(response.headers)
        admission.used_tokens = outcome.usage.total_tokens
        admission.verdict = _verdict(outcome)
        return outcome

    def _decide(self, outcome: Reply | Failure, patient: "_Patience", now: float) -> Decision | None:
        """None: there is nothing to decide, it is an answer."""
        if isinstance(outcome, Reply):
            self._health.worked()
            return None
        if outcome.reason in FAULT_REASONS:
            self._health.failed(patient.key, now)
        elif outcome.reason not in TRANSIENT_REASONS:
            self._health.worked()
        outage = self._health.outage(now)
        lasting = patient.fails(outcome.reason, now, counts=outage is None)
        return decide(outcome, patient.counted, lasting, outage, self._limits, self._rng)


class _Patience:
    """How long and how often one image has failed."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.counted = 0
        self._reason = ""
        self._since = 0.0

    def fails(self, reason: str, now: float, *, counts: bool) -> float:
        """For how many seconds it has failed for this reason, up to now."""
        if reason != self._reason:
            self._reason, self._since = reason, now
        self.counted += counts and reason not in UNCOUNTED_REASONS
        return now - self._since


def _verdict(outcome: Reply | Failure) -> Verdict | None:
    """What an outcome says about the endpoint's state."""
    if isinstance(outcome, Reply):
        return "answered"
    if outcome.reason == "rate_limited":
        return "rate_limited"
    if outcome.code == "slow_down":
        return "slow_down"
    return "troubled" if outcome.reason in TRANSIENT_REASONS else None
