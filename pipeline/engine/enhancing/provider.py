"""A provider whose images are looked at before its model is asked, so that the stages need not know.

Images are looked at only a little ahead of the model: what was found and never asked about is paid for in vain.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.api.asker import Remake
from pipeline.api.payload import with_more
from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.enhancing.finders import Finder, Sought
from pipeline.engine.enhancing.telling import as_grounding, tell
from pipeline.engine.providers.http import ApiProvider
from pipeline.engine.providers.provider import Wrapper
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Found, Reply, Request
from pipeline.models import Model, text_tokens

KEPT = 512
"""What was found in the last images: an answer that is asked for again (`reask`) needs no second look."""


@dataclass(frozen=True, slots=True)
class Question:
    """A job's prompt and model, by which what is added to it is counted."""

    prompt: str
    model: Model

    def told(self, request: Request, found: tuple[Found, ...]) -> Request:
        """The same request with what was found at the end of its prompt."""
        more = tell(found)
        if not more:
            return request
        before = request.image.prompt or self.prompt
        old, new = text_tokens(self.model, before), text_tokens(self.model, before + more)
        tokens = request.predicted_prompt_tokens
        predicted = None if tokens is None or old is None or new is None else tokens + new - old
        return replace(request, body=with_more(request.body, more), predicted_prompt_tokens=predicted)


class EnhancedProvider(Wrapper[ApiProvider]):
    """An ApiProvider with a Finder before it."""

    def __init__(
        self,
        inner: ApiProvider,
        finder: Finder,
        question: Question,
        workers: Executor,
        on_spent: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_spent` is called when there is no money to look at more, and the model was asked about all looked at."""
        super().__init__(inner)
        self.lost_usd = Decimal(0)
        """Paid for looking at images that were not asked about: the run stopped in between."""
        self._finder = finder
        self._question = question
        self._workers = workers
        self._ahead = asyncio.Semaphore(finder.ahead)
        self._kept: OrderedDict[str, Sought] = OrderedDict()
        self._on_spent = on_spent
        self._money_is_gone = False
        self._looked_at = 0
        """And not answered yet."""

    @property
    def concurrency(self) -> int:
        """With those that are looked at, so that the model never waits for them."""
        return self._inner.concurrency + self._finder.ahead

    def stop(self) -> None:
        self._finder.stop()
        self._inner.stop()

    async def ask(self, request: Request, remake: Remake) -> Answer:
        """Raises what `Provider.ask` raises; a failure of the look is the image's."""
        turn = Turn(self._ahead)
        async with turn:
            sought = self._kept.pop(request.content_hash or "", None)
            if sought is None:
                looked = await self._finder.find(request)
                if isinstance(looked, Answer):
                    return replace(looked, respondent=self.respondent)
                sought = looked
            self._looked_at += 1
            try:
                return await self._ask(request, remake, sought, turn)
            except (ThrottleClosed, RunError, asyncio.CancelledError):
                self.lost_usd += sought.cost_usd or 0
                raise
            finally:
                self._looked_at -= 1
                self._tell_when_spent()

    def money_is_gone(self) -> None:
        """No more images can be looked at; those that were are still asked about."""
        self._money_is_gone = True
        self._tell_when_spent()

    def _tell_when_spent(self) -> None:
        if self._money_is_gone and not self._looked_at:
            self._on_spent()

    async def _ask(self, request: Request, remake: Remake, sought: Sought, turn: "Turn") -> Answer:
        found = sought.found
        loop = asyncio.get_running_loop()
        told = await loop.run_in_executor(self._workers, self._question.told, request, found)

        async def remake_told(_: Request) -> Request | Failure | None:
            made = await remake(request)
            return self._question.told(made, found) if isinstance(made, Request) else made

        answer = await self._inner.ask(told, remake_told, turn.over)
        self._keep(request, found)
        return _with_findings(answer, told, sought)

    def _keep(self, request: Request, found: tuple[Found, ...]) -> None:
        """A second look would cost nothing: it is paid for."""
        if request.content_hash:
            self._kept[request.content_hash] = Sought(found)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)


class Turn:
    """A place among the images that are ahead of the model; given back once, when the model is asked or before."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = False

    async def __aenter__(self) -> None:
        await self._places.acquire()
        self._held = True

    async def __aexit__(self, *_: object) -> None:
        self.over()

    def over(self) -> None:
        if self._held:
            self._held = False
            self._places.release()


def _with_findings(answer: Answer, told: Request, sought: Sought) -> Answer:
    outcome = answer.outcome
    if isinstance(outcome, Reply):
        outcome = replace(outcome, grounding=as_grounding(sought.found))
    cost = answer.cost_usd
    billed = answer.usage.prompt_tokens is not None
    if sought.cost_usd is not None and (cost is not None or not billed):
        cost = sought.cost_usd + (cost or 0)
    return replace(
        answer,
        outcome=outcome,
        cost_usd=cost,
        price_date=answer.price_date or sought.price_date,
        remade=answer.remade or replace(told, body=b""),
    )
