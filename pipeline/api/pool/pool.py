"""Several endpoints as one: which of them takes the next request, and when. A state machine: no method waits."""

import logging
from collections.abc import Sequence
from decimal import Decimal

from pipeline.api.limits.budget import Budget
from pipeline.api.pool.member import Member, Permit
from pipeline.items import Request

log = logging.getLogger(__name__)


class Pool:
    """The endpoints of a run. An endpoint that is alone is a pool of one."""

    def __init__(self, members: Sequence[Member], budget: Budget | None = None) -> None:
        self.members = tuple(members)
        self.budget = budget

    def __repr__(self) -> str:
        return f"Pool({', '.join(map(repr, self.members))})"

    @property
    def in_flight(self) -> int:
        return sum(member.limiter.in_flight for member in self.members)

    def choose(self, request: Request, avoid: Member | None, now: float) -> Member | float | None:
        """Who takes the request now; or in how many seconds somebody may; None: when another request has ended.

        Of those that are large enough and can take it at once: not the one that has just failed with it, then by
        priority, then the one with the largest share of its places free.
        """
        best: tuple[bool, int, float] | None = None
        chosen: Member | None = None
        soonest: float | None = None
        members = self.members
        if len(members) > 1:
            members = tuple(member for member in members if member.is_enough_for(request)) or members
        for member in members:
            wait = member.wait_seconds(request, now)
            if wait is None:
                continue
            if self.budget and not self.budget.fits(self._worst_usd(member, request)):
                continue
            if wait > 0:
                soonest = wait if soonest is None else min(soonest, wait)
                continue
            rank = (member is avoid, member.options.priority, member.load)
            if best is None or rank < best:
                best, chosen = rank, member
        return chosen or soonest

    def admit(self, member: Member, request: Request, now: float) -> Permit:
        """The request leaves for this endpoint."""
        permit = member.admit(request, now)
        if self.budget:
            permit.reserved_usd, permit.margin = self._worst_usd(member, request), self.budget.margin
            self.budget.reserve(permit.reserved_usd)
        return permit

    def is_spent(self, request: Request) -> bool:
        """Whether the budget has no room for this request, and will have none."""
        return self.budget is not None and all(
            self.budget.is_spent(self._worst_usd(member, request)) for member in self.members
        )

    def settle(self, permit: Permit, now: float) -> None:
        """A request ended."""
        if permit.probe:
            permit.member.health.probed()
        if self.budget:
            self.budget.settle(permit.reserved_usd, permit.billed_usd, permit.margin)
        permit.member.limiter.settle(permit.admission, now)

    def withdraw(self, permit: Permit) -> None:
        """A request that had its permit was never sent."""
        if permit.probe:
            permit.member.health.probed()
        if self.budget:
            self.budget.give_back(permit.reserved_usd)
        permit.member.limiter.withdraw(permit.admission)

    def rest(self, member: Member, seconds: float, why: str, hopeless: str | None, now: float) -> None:
        """Leave an endpoint alone for so long, then ask it for one answer."""
        member.health.rest(seconds, hopeless, now)
        if member.health.is_worth_telling(now) and not self.lost():
            log.warning("%s rests, and is tried again now and then: %s", member.name, hopeless or why)

    def others_well(self, member: Member) -> bool:
        """Whether somebody else answers."""
        return any(not other.health.resting for other in self.members if other is not member)

    def lost(self) -> str | None:
        """When no endpoint is left that could answer: why, in one sentence."""
        reasons = [member.health.hopeless for member in self.members]
        if not all(reasons):
            return None
        if len(self.members) == 1:
            return reasons[0]
        told = "; ".join(f"{member.name}: {member.health.hopeless}" for member in self.members)
        return f"None of the {len(self.members)} endpoints is left. {told}"

    def _worst_usd(self, member: Member, request: Request) -> Decimal:
        assert self.budget is not None
        return self.budget.worst_usd(request, member.options.model.max_tokens, member.tariff.today())
