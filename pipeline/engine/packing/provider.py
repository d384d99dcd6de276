"""A provider that asks another one about several images at once, and gives each asker the answer about its own.

Asking tasks meet here: who completes a pack, or waited long enough, asks for all of them, and hands out the answers.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.api.asker import Remake
from pipeline.api.pool.member import Tariff
from pipeline.api.throttle import ThrottleClosed
from pipeline.clock import Clock, Timer
from pipeline.engine.packing.joining import Packing
from pipeline.engine.packing.splitting import ReadEntry, read_caption, split_answer
from pipeline.engine.providers.provider import Provider, Wrapper
from pipeline.items import Answer, Failure, Reply, Request

log = logging.getLogger(__name__)

# How long an incomplete pack waits for another image: at the end of a listing, or where images come slowly. A model
# needs seconds, and meanwhile other packs are asked, so this costs no speed.
GATHER_SECONDS = 0.5
# So many packs in a row that nobody got an answer from: this model does not answer packs, and each costs a request.
MOST_USELESS = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """An asking task's place in a pack."""

    request: Request
    turn: "asyncio.Future[Answer | list[_Seat]]"
    """Its answer; or the whole pack, which it is to ask."""


class PackingProvider(Wrapper[Provider]):
    """Another provider, asked in packs."""

    def __init__(
        self, inner: Provider, packing: Packing, clock: Clock, tariff: Tariff, read: ReadEntry = read_caption
    ) -> None:
        super().__init__(inner)
        self._packing = packing
        self._clock = clock
        self._tariff = tariff
        self._read = read
        self._waiting: list[_Seat] = []
        self._timer: Timer | None = None
        self._useless = 0

    @property
    def concurrency(self) -> int:
        return self._inner.concurrency * self._packing.size

    def stop(self) -> None:
        """Who waits for a pack learns it at once: asking raises ThrottleClosed now."""
        self._inner.stop()
        self._close()

    async def ask(self, request: Request, remake: Remake) -> Answer:
        if self._useless >= MOST_USELESS or not self._packing.may_join(request):
            return await self._inner.ask(request, remake)
        result = await self._meet(request)
        if isinstance(result, Answer):
            return result
        if len(result) == 1:
            return await self._inner.ask(request, remake)
        return await self._ask_for(result)

    async def _meet(self, request: Request) -> "Answer | list[_Seat]":
        if not self._packing.has_room([seat.request for seat in self._waiting], request):
            self._close()
        seat = _Seat(request, asyncio.get_running_loop().create_future())
        self._waiting.append(seat)
        if len(self._waiting) == self._packing.size:
            self._close()
        elif len(self._waiting) == 1:
            self._timer = self._clock.call_later(GATHER_SECONDS, self._close)
        try:
            return await seat.turn
        except asyncio.CancelledError:
            if seat in self._waiting:
                self._waiting.remove(seat)
            if not seat.turn.cancelled() and not seat.turn.exception():  # cancelled when the result had just come
                result = seat.turn.result()
                if isinstance(result, Answer):
                    return _and_then_be_cancelled(result)
                _dismiss(result[1:], ThrottleClosed())
            raise

    def _close(self) -> None:
        """Nobody else joins the pack; the first of those who still wait is to ask it."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        pack = [seat for seat in self._waiting if not seat.turn.done()]
        self._waiting = []
        if pack:
            pack[0].turn.set_result(pack)

    async def _ask_for(self, pack: "list[_Seat]") -> Answer:
        requests = [seat.request for seat in pack]
        try:
            packed = self._packing.join(requests)
            answer = await self._inner.ask(packed, _not_otherwise)
            answers = split_answer(answer, packed, requests, self._read, self._tariff.today())
        except Exception as error:
            _dismiss(pack[1:], error)
            raise
        except asyncio.CancelledError:
            _dismiss(pack[1:], ThrottleClosed())
            raise
        self._learn(answers)
        for seat, own in zip(pack[1:], answers[1:], strict=True):
            if not seat.turn.done():
                seat.turn.set_result(own)
        return answers[0]

    def _learn(self, answers: Sequence[Answer]) -> None:
        """Give packing up when it comes to nothing again and again."""
        if any(isinstance(answer.outcome, Reply) for answer in answers):
            self._useless = 0
            return
        self._useless += 1
        if self._useless == MOST_USELESS:
            outcome = answers[0].outcome
            why = outcome.message if isinstance(outcome, Failure) else ""
            log.warning(
                "The last %d packs came to nothing, so images are asked one by one from now on. %s", MOST_USELESS, why
            )


async def _not_otherwise(packed: Request) -> None:
    """A pack that is too large is not made smaller: its images are asked alone."""


def _dismiss(seats: Sequence[_Seat], error: Exception) -> None:
    for seat in seats:
        if not seat.turn.done():
            seat.turn.set_exception(error)


def _and_then_be_cancelled(answer: Answer) -> Answer:
    """An answer that came in the moment of the cancellation is paid for: it is passed on first."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return answer
