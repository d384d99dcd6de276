"""An answer that is no caption, asked for once more at once. Pure decisions; `stages` does the asking.

Both answers were paid for: the row holds the usage of both, and the prediction of both beside it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.engine.asking.lint import LanguageCheck
from pipeline.engine.packing.splitting import LEFT_OUT
from pipeline.engine.record import Asked, judge
from pipeline.items import Answer, Failure, Reply, Request


@dataclass(frozen=True, slots=True)
class Reask:
    """When to ask once more, and with which limit."""

    reasons: Collection[str]
    raised_max_tokens: int
    """For an answer that was cut off."""
    check_language: LanguageCheck | None = None

    def again(self, request: Request, answer: Answer) -> Request | None:
        """The question to ask once more; None when the answer will do, or the job does not want that."""
        if is_left_out(answer):
            return replace(request, alone=True)
        reason = self._reason(answer.outcome) if self.reasons else None
        if reason is None or reason.partition(":")[0] not in self.reasons:
            return None
        if isinstance(answer.outcome, Reply) and answer.outcome.finish_reason == "length":
            return replace(request, max_tokens=self.raised_max_tokens)
        return request

    def both(self, request: Request, first: Answer, second: Answer) -> Asked:
        """One outcome of two answers: the second, unless it is the worse."""
        better = second if self._rank(second.outcome) >= self._rank(first.outcome) else first
        answer = replace(
            better,
            attempts=first.attempts + second.attempts,
            started_at=first.started_at,
            finished_at=second.finished_at,
            usage=first.usage.plus(second.usage),
            cost_usd=_plus(first.cost_usd, second.cost_usd),
            price_date=second.price_date or first.price_date,
        )
        asked = better.remade or request
        billed = [each.remade or request for each in (first, second) if each.usage.prompt_tokens is not None]
        predicted = replace(
            asked,
            body=b"",
            predicted_image_tokens=_total([each.predicted_image_tokens for each in billed or [asked]]),
            predicted_prompt_tokens=_total([each.predicted_prompt_tokens for each in billed or [asked]]),
        )
        return Asked(predicted, answer)

    def _reason(self, outcome: Reply | Failure) -> str | None:
        return judge(outcome, self.check_language)[1]

    def _rank(self, outcome: Reply | Failure) -> int:
        """Better ones are higher: a caption, one cut off, an answer that is none, no answer."""
        status = judge(outcome, self.check_language)[0]
        return {"captioned": 3, "truncated": 2}.get(status, int(isinstance(outcome, Reply)))


def is_left_out(answer: Answer) -> bool:
    """Whether it was asked about in a pack, and got nothing of its answer."""
    return isinstance(answer.outcome, Failure) and answer.outcome.reason == LEFT_OUT


def _total(predictions: Sequence[int | None]) -> int | None:
    known = [tokens for tokens in predictions if tokens is not None]
    return sum(known) if len(known) == len(predictions) else None


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return other if one is None else one + (other or 0)
