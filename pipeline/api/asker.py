"""One image, asked until there is an answer or a decision: throttle, client, reply reading and retry rule together."""

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from pipeline.api.attempt import Attempt, OnAttempt, Target
from pipeline.api.client import Response
from pipeline.api.limits.budget import may_be_billed
from pipeline.api.limits.limiter import Verdict
from pipeline.api.options import LimitOptions
from pipeline.api.payload import Form
from pipeline.api.pool.member import Member, Permit
from pipeline.api.reading.headers import read_rate_headers
from pipeline.api.retry import (
    FAULT_REASONS,
    SETUP_REASONS,
    TRANSIENT_REASONS,
    UNCOUNTED_REASONS,
    Correct,
    Decision,
    GiveUp,
    Pause,
    Rest,
    SendBytes,
    Shrink,
    Situation,
    Wait,
    decide,
)
from pipeline.api.throttle import Throttle, ThrottleClosed
from pipeline.clock import Clock, utc
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Reply, Request, Usage

Remake = Callable[[Request], Awaitable[Request | Failure | None]]
"""The same question with a smaller image, or with the image where its address was; None: there is none, or why not."""


OnReply = Callable[[str, Target, Response], None]
"""Called with the image's key and what an endpoint answered, whatever it was."""


_NO_USAGE = Usage()


class Asker:
    """Asks a pool of endpoints. Shared by all asking tasks of a run."""

    def __init__(
        self,
        throttle: Throttle,
        limits: LimitOptions,
        clock: Clock,
        rng: random.Random,
        on_attempt: OnAttempt,
        on_reply: OnReply | None = None,
    ) -> None:
        self._throttle = throttle
        self._limits = limits
        self._clock = clock
        self._rng = rng
        self._on_attempt = on_attempt
        self._on_reply = on_reply

    async def ask(self, request: Request, remake: Remake, leaves: Callable[[], None] | None = None) -> Answer:
        """The answer, or the failure that is to be the image's row. `leaves` is called when a request goes out.

        Raises RunError when the failure concerns the whole run, ThrottleClosed when the run stopped before an answer;
        but when an earlier attempt is on the bill, that is the image's row, and its `trouble` says the rest.
        """
        clock, course, again = self._clock, _Course(request), False
        try:
            while True:
                queued = clock.monotonic()
                async with self._throttle.reserve(course.request, retry=again, avoid=course.member) as permit:
                    if leaves:
                        leaves()
                    member = permit.member
                    sent, form = clock.monotonic(), member.form
                    course.sends(member, clock.time())
                    response = await member.client.post(*member.body(course.request))
                    received = clock.monotonic()
                    outcome = self._read(response, course.request, permit)
                    course.receives(outcome, permit, received - sent, sent - queued)
                    if isinstance(outcome, Reply):
                        member.worked(permit)
                    else:
                        decision = self._judge(outcome, course, permit, received)
                body_bytes = len(course.request.body)
                ends = isinstance(outcome, Reply) or await self._ends(decision, course, member, form, remake)
                trouble = None if ends else self._throttle.pool.lost()
                again = not ends and trouble is None
                self._on_attempt(Attempt(member.target, outcome, received - sent, sent - queued, body_bytes, again))
                if trouble:
                    raise RunError(trouble)
                if ends:
                    return course.answer(course.verdict or outcome, clock)
                if isinstance(decision, Wait | Rest) and (seconds := _image_seconds(decision)):
                    await self._throttle.sleep(seconds)
        except (ThrottleClosed, RunError) as error:
            if course.paid_for is None:
                raise
            answer = course.answer(course.paid_for, clock)
            return replace(answer, trouble=str(error)) if isinstance(error, RunError) else answer

    def _read(self, response: Response | Failure, request: Request, permit: Permit) -> Reply | Failure:
        """What came of it, and what it says about the endpoint's limits."""
        member, admission = permit.member, permit.admission
        if isinstance(response, Failure):
            outcome: Reply | Failure = response
        else:
            if self._on_reply:
                self._on_reply(request.image.key, member.target, response)
            outcome = member.read(response)
            admission.rates = read_rate_headers(response.headers)
        admission.used_tokens = outcome.usage.total_tokens
        admission.verdict = "answered" if isinstance(outcome, Reply) else _verdict(outcome)
        return outcome

    def _judge(self, failure: Failure, course: "_Course", permit: Permit, now: float) -> Decision:
        """What follows, and what it means for the endpoint: before this place is free, as the next in line would run
        into the same trouble.
        """
        member, reason = permit.member, failure.reason
        if reason in FAULT_REASONS or reason == "unreachable":
            member.health.failed(course.request.image.key, permit.admission.at, now)
        elif reason not in TRANSIENT_REASONS | SETUP_REASONS:
            member.worked(permit)
        outage = member.health.outage(now)
        situation = Situation(
            tries=course.tries,
            counted=course.counts(reason, outage is None),
            seconds=course.lasting(reason, now),
            endpoint_seconds=member.health.lasting(reason, now),
            outage=outage,
            others=self._throttle.pool.others_well(member),
            by_url=course.request.by_url,
        )
        decision = decide(failure, situation, self._limits, self._rng)
        match decision:
            case Pause(seconds):
                member.limiter.pause(seconds, now)
            case Rest(seconds, hopeless):
                self._throttle.pool.rest(member, seconds, failure.message, hopeless, now)
        return decision

    async def _ends(self, decision: Decision, course: "_Course", member: Member, form: Form, remake: Remake) -> bool:
        """Whether the failure is the image's row; if not, the request is ready to be asked again."""
        match decision:
            case GiveUp():
                return True
            case Correct(parameter):
                return not member.correct(parameter, form)
            case Shrink():
                smaller = None if course.remade else await remake(course.request)
                if not isinstance(smaller, Request):
                    return True
                course.request, course.remade = smaller, True
            case SendBytes():
                whole = await remake(course.request)
                if not isinstance(whole, Request):
                    course.verdict = whole
                    return True
                course.request = whole
        return False


class _Course:
    """How far one image is."""

    def __init__(self, request: Request) -> None:
        self.request = self._first = request
        self.verdict: Failure | None = None
        """What turned out to be wrong with the image itself, which the endpoint could not know."""
        self.remade = False
        self.member: Member | None = None
        self.tries = 0
        self._counted = 0
        self._reason = ""
        self._since = 0.0
        self._began = 0.0
        self.paid_for: Failure | None = None
        """The last failure that is on the bill."""
        self.usage = _NO_USAGE
        self._billed: list[tuple[int | None, int | None]] = []
        """Image and prompt tokens predicted of each request that is on the bill."""
        self._latency_ms = self._queue_ms = 0
        self._cost: Decimal | None = None
        self._price_date: date | None = None

    def sends(self, member: Member, now: float) -> None:
        """A request leaves."""
        self.member = member
        self.tries += 1
        if self.tries == 1:
            self._began = now

    def receives(self, outcome: Reply | Failure, permit: Permit, latency_seconds: float, queue_seconds: float) -> None:
        """Take in what one attempt came to and cost, whether its answer is of use or not."""
        usage, price = outcome.usage, permit.price
        self._latency_ms, self._queue_ms = round(latency_seconds * 1000), round(queue_seconds * 1000)
        self.usage = self.usage.plus(usage) if self.tries > 1 else usage
        if usage.prompt_tokens is not None:
            self._billed.append((self.request.predicted_image_tokens, self.request.predicted_prompt_tokens))
        cost = price.cost(usage) if price else None
        if price and cost is not None:
            self._cost = cost if self._cost is None else self._cost + cost
            self._price_date = price.price_date
        if isinstance(outcome, Failure):
            if usage != _NO_USAGE:
                self.paid_for = outcome
            if cost is None and not may_be_billed(outcome):
                cost = Decimal(0)
        permit.billed_usd = cost

    def counts(self, reason: str, image_to_blame: bool) -> int:
        """Attempts used up, one more included if this failure may be the image's fault."""
        self._counted += image_to_blame and reason not in UNCOUNTED_REASONS | SETUP_REASONS
        return self._counted

    def lasting(self, reason: str, now: float) -> float:
        """For how many seconds it has failed for this reason, up to now."""
        if reason != self._reason:
            self._reason, self._since = reason, now
        return now - self._since

    def _in_the_end(self) -> Request:
        """What was sent, with the prediction of all that is on the bill: it stands beside the usage of all.

        Without its body: a row needs none, and rows wait for each other longer than requests do.
        """
        request = self.request
        billed = self._billed or [(request.predicted_image_tokens, request.predicted_prompt_tokens)]
        image_tokens, prompt_tokens = (_sum(column) for column in zip(*billed, strict=True))
        return replace(request, body=b"", predicted_image_tokens=image_tokens, predicted_prompt_tokens=prompt_tokens)

    def answer(self, outcome: Reply | Failure, clock: Clock) -> Answer:
        assert self.member is not None
        return Answer(
            outcome=outcome,
            respondent=self.member.respondent,
            attempts=self.tries,
            latency_ms=self._latency_ms,
            queue_ms=self._queue_ms,
            started_at=utc(self._began),
            finished_at=utc(clock.time()),
            usage=self.usage,
            cost_usd=self._cost,
            price_date=self._price_date,
            remade=self._in_the_end() if self.request is not self._first or len(self._billed) > 1 else None,
        )


def _sum(predictions: Iterable[int | None]) -> int | None:
    total = 0
    for tokens in predictions:
        if tokens is None:
            return None
        total += tokens
    return total


def _image_seconds(decision: Wait | Rest) -> float:
    return decision.seconds if isinstance(decision, Wait) else decision.image_seconds


def _verdict(failure: Failure) -> Verdict | None:
    """What a failure says about the endpoint's state."""
    if failure.reason == "rate_limited":
        return "rate_limited"
    if failure.code == "slow_down":
        return "slow_down"
    return "troubled" if failure.reason in TRANSIENT_REASONS else None
