"""One endpoint of a pool while a run goes on: its limits, its health, its manner of being asked. Told the time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from pipeline.api.client import Client, Response
from pipeline.api.limits.limiter import Admission, Limiter
from pipeline.api.limits.rules import AdmissionCost
from pipeline.api.payload import Form, Parameter, render_head, without_detail
from pipeline.api.pool.health import Health
from pipeline.api.pool.members import MemberOptions
from pipeline.api.reading.replies import read_response
from pipeline.clock import Clock, utc
from pipeline.items import Failure, Reply, Request, Respondent
from pipeline.models import Price

log = logging.getLogger(__name__)

DAY_SECONDS = 24 * 3600


class Tariff:
    """The price of the day."""

    def __init__(self, clock: Clock, price_on: Callable[[date], Price | None]) -> None:
        self._clock = clock
        self._price_on = price_on
        self._day: int | None = None
        """In days since the Unix epoch: a day in UTC, as is the date."""
        self._price: Price | None = None

    def today(self) -> Price | None:
        """None: unknown."""
        now = self._clock.time()
        day = int(now // DAY_SECONDS)
        if day != self._day:
            self._day, self._price = day, self._price_on(utc(now).date())
        return self._price


@dataclass(slots=True, eq=False)
class Permit:
    """A request that may leave, and where to."""

    member: "Member"
    admission: Admission
    price: Price | None
    probe: bool
    reserved_usd: Decimal = Decimal(0)
    """Set aside for it."""
    margin: Decimal = Decimal(1)
    """What its prediction was multiplied by for that."""
    billed_usd: Decimal | None = None
    """Said by its owner before it is settled; None: unknown."""


class Member:
    """What the pool knows of one endpoint."""

    def __init__(
        self,
        options: MemberOptions,
        respondent: Respondent,
        form: Form,
        client: Client,
        limiter: Limiter,
        cost: AdmissionCost,
        tariff: Tariff,
    ) -> None:
        self.options = options
        self.respondent = respondent
        self.client = client
        target = client.endpoint.target
        self.target = replace(target, name=options.name or target.name)
        self.limiter = limiter
        self.tariff = tariff
        self.health = Health()
        self.form = form
        self._cost = cost
        self._heads: dict[tuple[int, int], bytes] = {}
        """By the upper bound of the answer, and the images that it is about."""

    def __repr__(self) -> str:
        state = "hopeless" if self.health.hopeless else "resting" if self.health.resting else "well"
        return f"Member({self.name}: {state}, in_flight={self.limiter.in_flight})"

    @property
    def name(self) -> str:
        return self.options.name or "The endpoint"

    @property
    def load(self) -> float:
        """The share of its places that is taken."""
        return self.limiter.in_flight / self.limiter.concurrency.limit

    def is_enough_for(self, request: Request) -> bool:
        """Whether a whole minute's tokens suffice for the request; else it is refused however long it waits."""
        tokens = self.limiter.tokens
        return tokens is None or self._cost.of(request) <= tokens.per_minute

    def wait_seconds(self, request: Request, now: float) -> float | None:
        """Seconds until it may be asked this; 0 means now, None means when another request to it has ended."""
        tokens = self._cost.of(request) if self.limiter.tokens else 0
        wait = self.limiter.wait_seconds(tokens, now)
        if wait is None or not self.health.resting:
            return wait
        rest = self.health.wait_seconds(now)
        return None if rest is None else max(rest, wait)

    def admit(self, request: Request, now: float) -> Permit:
        """The request leaves."""
        probe = self.health.asked()
        return Permit(self, self.limiter.admit(self._cost.of(request), now), self.tariff.today(), probe)

    def body(self, request: Request) -> tuple[bytes, bytes]:
        """The parts of the body, in the form that this endpoint takes."""
        head = self._head(request.max_tokens or self.options.model.max_tokens, request.pack)
        return head, without_detail(request.body) if "detail" in self.form.corrected else request.body

    def _head(self, max_tokens: int, pack: int) -> bytes:
        head = self._heads.get((max_tokens, pack))
        if head is None:
            head = render_head(replace(self.options.model, max_tokens=max_tokens), self.form, pack)
            self._heads[max_tokens, pack] = head
        return head

    def read(self, response: Response) -> Reply | Failure:
        """What it has answered."""
        return read_response(response.status, response.headers, response.body)

    def correct(self, parameter: Parameter, asked_in: Form) -> bool:
        """Remember that it refused `parameter`, asked in this form; False: it was corrected before, in vain.

        One image pays for finding out, not each: those that were on their way are asked again in the new form.
        """
        if self.form != asked_in:
            return True
        corrected = self.form.correct(parameter)
        if corrected is None:
            return False
        log.info("%s does not take %s as it was sent; asking differently.", self.name, parameter)
        self.form, self._heads = corrected, {}
        return True

    def worked(self, permit: Permit) -> None:
        """It answered, and be it that it does not want the image."""
        if self.health.worked(permit.admission.at):
            log.warning("%s is back.", self.name)
