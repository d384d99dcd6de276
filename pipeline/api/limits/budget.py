"""The money that one run may spend: the worst case is set aside before a request leaves. Pure; exact decimals.

Nothing leaves unless its worst case fits beside all others that are on their way, so the limit is never passed: not by
what is in flight when it is reached, and not by an answer of unknown price, whose worst case stays set aside.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.items import Failure, Request, Usage
from pipeline.models import Price

# Above the predicted prompt: for what a provider adds to it, until the first bill says how much that is.
MARGIN = Decimal("1.02")
STEP = Decimal("0.000000001")
# Azure bills what it has worked on whatever the status: a prompt that its filter refuses, one that is too long, and
# what it timed out on (how-to/manage-costs, FAQ). OpenAI says nothing of it.
BILLED_STATUSES = frozenset({408, 504})
BILLED_CODES = frozenset({"content_filter", "context_length_exceeded"})


@dataclass(slots=True)
class Purse:
    """The money itself; several waiting lines may spend from it."""

    max_usd: Decimal
    spent: Decimal = Decimal(0)
    unknown: Decimal = Decimal(0)
    """Worst cases of requests whose bill was lost with their answer."""
    reserved: Decimal = Decimal(0)
    in_flight: int = 0
    waiting: list[Callable[[], None]] = field(default_factory=list)
    """Of each line, what lets those leave who may, called when money has come back."""


class Budget:
    """`max_usd`, of which `spent` is billed, `unknown` may be, and `reserved` is on its way."""

    def __init__(self, max_usd: Decimal, purse: Purse | None = None) -> None:
        self.purse = purse or Purse(max_usd)
        self._in_flight = 0
        self.margin = MARGIN
        """What a prediction is multiplied by; it grows with the bills."""
        self._goes_alone = True

    def __repr__(self) -> str:
        purse = self.purse
        return f"Budget({purse.max_usd}: spent={purse.spent}, unknown={purse.unknown}, reserved={purse.reserved})"

    def beside(self) -> "Budget":
        """For another service that is paid from the same purse, with bills of its own to learn from."""
        return Budget(self.purse.max_usd, self.purse)

    @property
    def spent(self) -> Decimal:
        return self.purse.spent

    @property
    def unknown(self) -> Decimal:
        return self.purse.unknown

    @property
    def reserved(self) -> Decimal:
        return self.purse.reserved

    def worst_usd(self, request: Request, max_tokens: int, price: Price | None) -> Decimal:
        """What the request costs at most; infinite when nobody can say."""
        usage = Usage(prompt_tokens=request.predicted_prompt_tokens, completion_tokens=request.max_tokens or max_tokens)
        cost = price.cost(usage) if price else None
        return Decimal("Infinity") if cost is None else (cost * self.margin).quantize(STEP)

    def fits(self, usd: Decimal) -> bool:
        """Whether it may leave now. The first goes alone: should the provider count otherwise than predicted, its bill
        says so before all are on their way.
        """
        if self._in_flight and self._goes_alone:
            return False
        purse = self.purse
        return purse.spent + purse.unknown + purse.reserved + usd <= purse.max_usd

    def is_spent(self, usd: Decimal) -> bool:
        """Whether it will never fit: nothing that is on its way can turn out cheaper."""
        return not self.purse.in_flight and not self.fits(usd)

    def reserve(self, usd: Decimal) -> None:
        """A request leaves."""
        self.purse.reserved += usd
        self.purse.in_flight += 1
        self._in_flight += 1

    def give_back(self, usd: Decimal) -> None:
        """It never left."""
        self.purse.reserved -= usd
        self.purse.in_flight -= 1
        self._in_flight -= 1

    def settle(self, usd: Decimal, billed: Decimal | None, margin: Decimal) -> None:
        """Its answer is here; `billed` is None when nobody knows what it cost.

        `margin` is that of its reservation: many may have left before a bill was learned from, and all say the same.
        """
        self.give_back(usd)
        self._goes_alone = self._goes_alone and billed == 0
        if billed is None:
            self.purse.unknown += usd
            return
        self.purse.spent += billed
        if usd and billed > usd:
            self.margin = max(self.margin, margin * billed / usd)


def may_be_billed(failure: Failure) -> bool:
    """Whether a failure may be on the bill although it says nothing of usage."""
    if failure.http_status is None:
        return failure.reason in ("timeout", "server_error")  # it was sent; the answer never came, or not whole
    return (
        failure.http_status < 300
        or failure.http_status in BILLED_STATUSES
        or failure.status == "filtered"
        or failure.code in BILLED_CODES
    )
