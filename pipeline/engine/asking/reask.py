"""An answer that is no caption, asked for once more at once. Pure decisions; `stages` does the asking.

One that has not the shape that was asked for is shown to the model with what is wrong with it, whatever the job says:
most models mend it, and without that the first answer would be money for nothing.
Both answers were paid for: the row holds the usage of both, and the prediction of both beside it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.api.payload import with_objection
from pipeline.api.structured.reading import Invalid, read_answer
from pipeline.engine.asking.judging import PLAIN_TEXT, AnswerRules, judge
from pipeline.engine.packing.splitting import LEFT_OUT
from pipeline.engine.record import Asked
from pipeline.items import Answer, Failure, Reply, Request
from pipeline.models import Model, further_tokens


@dataclass(frozen=True, slots=True)
class Reask:
    """When to ask once more, and with which limit."""

    reasons: Collection[str]
    raised_max_tokens: int
    """For an answer that was cut off."""
    rules: AnswerRules = PLAIN_TEXT
    model: Model | None = None
    """Whose tokens a longer request is counted in; None: nobody knows."""

    def again(self, request: Request, answer: Answer) -> Request | None:
        """The question to ask once more; None when the answer will do, or the job does not want that."""
        if is_left_out(answer):
            return replace(request, alone=True)
        verdict = judge(answer.outcome, self.rules)
        if verdict.reason == "invalid_answer" and isinstance(answer.outcome, Reply):
            return self._objecting(request, answer.outcome.caption)
        if verdict.reason is None or verdict.reason.partition(":")[0] not in self.reasons:
            return None
        if isinstance(answer.outcome, Reply) and answer.outcome.finish_reason == "length":
            return replace(request, max_tokens=self.raised_max_tokens)
        return request

    def both(self, request: Request, again: Request, first: Answer, second: Answer) -> Asked:
        """One outcome of two answers: that to `again`, unless it is the worse."""
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
        asked = better.remade or (again if better is second else request)
        pairs = ((request, first), (again, second))
        billed = [each.remade or sent for sent, each in pairs if each.usage.prompt_tokens is not None]
        predicted = replace(
            asked,
            body=b"",
            predicted_image_tokens=_total([each.predicted_image_tokens for each in billed or [asked]]),
            predicted_prompt_tokens=_total([each.predicted_prompt_tokens for each in billed or [asked]]),
        )
        return Asked(predicted, answer)

    def _objecting(self, request: Request, answer: str) -> Request:
        """The question with the answer that it got and what is wrong with it."""
        found = read_answer(answer, self.rules.shape) if self.rules.shape else None
        complaint = found.complaint if isinstance(found, Invalid) else ""
        objection = f"{complaint} Answer again with the JSON object alone."
        predicted = request.predicted_prompt_tokens
        further = further_tokens(self.model, (answer, objection)) if self.model else None
        return replace(
            request,
            body=with_objection(request.body, answer, objection),
            alone=True,
            predicted_prompt_tokens=None if predicted is None or further is None else predicted + further,
        )

    def _rank(self, outcome: Reply | Failure) -> int:
        """Better ones are higher: a caption, one cut off, an answer that is none, no answer."""
        status = judge(outcome, self.rules).status
        return {"captioned": 3, "truncated": 2}.get(status, int(isinstance(outcome, Reply)))


def is_left_out(answer: Answer) -> bool:
    """Whether it was asked about in a pack, and got nothing of its answer."""
    return isinstance(answer.outcome, Failure) and answer.outcome.reason == LEFT_OUT


def _total(predictions: Sequence[int | None]) -> int | None:
    known = [tokens for tokens in predictions if tokens is not None]
    return sum(known) if len(known) == len(predictions) else None


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return other if one is None else one + (other or 0)
