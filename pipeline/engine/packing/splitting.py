"""One answer about several images -> an answer for each, with its share of the bill. Pure; exact.

What came back for an image counts when its number came once, and says something. The others are `left_out`: they are
asked alone, and what the pack cost them stays on their row. An answer with a number that no image has is believed in
nothing: the model may have seen two images in one, and its later numbers belong to others.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from pipeline.items import Answer, Failure, Reply, Request, Usage

LEFT_OUT = "left_out"
CENT = Decimal("0.000000001")
"""What money is counted in: the nine decimals of column `cost_usd`."""

ReadEntry = Callable[[Mapping[str, object]], str | None]
"""The text of an image's answer, as it would have answered alone; None: it is of no use."""


class Priced(Protocol):
    """A price of the day."""

    def cost(self, usage: Usage) -> Decimal | None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """What came back for one image."""

    answer: Mapping[str, object] | None
    """None: nothing, or nothing that can be told from the others'."""
    characters: int
    """That it took of the answer."""


def read_caption(answer: Mapping[str, object]) -> str | None:
    """Of an answer without a schema of the user's."""
    caption = answer.get("caption")
    return caption.strip() or None if isinstance(caption, str) else None


def read_fields(answer: Mapping[str, object]) -> str | None:
    """Of an answer by the user's schema, to which it is held like that to an image alone."""
    fields = answer.get("answer")
    return json.dumps(fields) if isinstance(fields, Mapping) else None


def split_answer(
    answer: Answer, packed: Request, requests: Sequence[Request], read: ReadEntry, price: Priced | None
) -> list[Answer]:
    """An answer for each of `requests`, in their order. Sums over them are those of `answer`."""
    outcome, count = answer.outcome, len(requests)
    entries = read_entries(outcome.caption if isinstance(outcome, Reply) else "", count)
    predicted = _predictions(answer.remade or packed, requests)
    usages = _usages(answer.usage, predicted, [entry.characters for entry in entries])
    costs = _costs(answer.cost_usd, usages, price)
    return [
        replace(answer, outcome=_outcome(outcome, entry, usage, read), usage=usage, cost_usd=cost, remade=own)
        for entry, usage, cost, own in zip(entries, usages, costs, predicted, strict=True)
    ]


def read_entries(text: str, count: int) -> list[Entry]:
    """What came back for images 1 to `count`, as far as an answer that may be cut off goes."""
    found: dict[object, list[tuple[Mapping[str, object], int]]] = {}
    for entry, characters in _objects(text):
        found.setdefault(_number(entry.get("image")), []).append((entry, characters))
    lost_count = any(isinstance(number, int) and not 1 <= number <= count for number in found)
    entries = []
    for number in range(1, count + 1):
        own = found.get(number, [])
        usable = own[0][0] if len(own) == 1 and not lost_count else None
        entries.append(Entry(usable, sum(characters for _, characters in own)))
    return entries


def share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole numbers that sum up to it, as near to the weights as can be; equal where all weigh nothing.

    Where the weights sum up to `total`, the shares are the weights.
    """
    whole = sum(weights)
    if not whole:
        weights = [1] * len(weights)
        whole = len(weights)
    shares = [total * weight // whole for weight in weights]
    first = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in first[: total - sum(shares)]:
        shares[place] += 1
    return shares


def _objects(text: str) -> Iterator[tuple[Mapping[str, object], int]]:
    """The whole objects at the beginning of the first array in `text`, each with its length."""
    decoder = json.JSONDecoder()
    at = text.find("[") + 1
    while at:
        while text[at : at + 1] in {" ", "\n", "\r", "\t", ","}:
            at += 1
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield value, end - at
        at = end


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _outcome(outcome: Reply | Failure, entry: Entry, usage: Usage, read: ReadEntry) -> Reply | Failure:
    text = read(entry.answer) if entry.answer is not None else None
    if isinstance(outcome, Reply) and text:
        # What is there is whole, whatever of the others was cut off.
        finish = "stop" if outcome.finish_reason == "length" else outcome.finish_reason
        return replace(outcome, caption=text, refusal=None, finish_reason=finish, usage=usage)
    return Failure(
        LEFT_OUT,
        "The answer to its pack said nothing of use about it."
        if isinstance(outcome, Reply)
        else f"Its pack failed: {outcome.message}",
        http_status=outcome.http_status if isinstance(outcome, Failure) else None,
        usage=usage,
        finish_reason=outcome.finish_reason,
        model_returned=outcome.model_returned,
        request_id=outcome.request_id,
        content_filter=outcome.content_filter,
    )


def _predictions(billed: Request, requests: Sequence[Request]) -> list[Request]:
    """The requests with their shares of what was predicted: each its image, and an equal part of the text."""
    images, prompt = billed.predicted_image_tokens, billed.predicted_prompt_tokens
    own_images = [request.predicted_image_tokens or 0 for request in requests]
    text = 0 if images is None or prompt is None else prompt - images
    image_shares = _shares(images, own_images)
    weights = [len(requests) * (own or 0) + text for own in image_shares]
    return [
        replace(request, body=b"", predicted_image_tokens=of_images, predicted_prompt_tokens=of_prompt)
        for request, of_images, of_prompt in zip(requests, image_shares, _shares(prompt, weights), strict=True)
    ]


def _usages(usage: Usage, predicted: Sequence[Request], characters: Sequence[int]) -> list[Usage]:
    prompts = _shares(usage.prompt_tokens, [request.predicted_prompt_tokens or 0 for request in predicted])
    answers = _shares(usage.completion_tokens, characters)
    weights = [(prompt or 0) + (answer or 0) for prompt, answer in zip(prompts, answers, strict=True)]
    totals = _shares(usage.total_tokens, weights)
    cached = _shares(usage.cached_tokens, [prompt or 0 for prompt in prompts])
    reasoning = _shares(usage.reasoning_tokens, [answer or 0 for answer in answers])
    return [Usage(*counts) for counts in zip(prompts, answers, totals, cached, reasoning, strict=True)]


def _costs(cost: Decimal | None, usages: Sequence[Usage], price: Priced | None) -> list[Decimal | None]:
    """By what each one's tokens cost; by their number where nobody knows."""
    if cost is None:
        return [None] * len(usages)
    weights = [int(((price.cost(usage) if price else None) or Decimal(0)) / CENT) for usage in usages]
    if not any(weights):
        weights = [usage.total_tokens or 0 for usage in usages]
    return [CENT * units for units in share(int(cost / CENT), weights)]


def _shares(total: int | None, weights: Sequence[int]) -> Sequence[int | None]:
    return [None] * len(weights) if total is None else share(total, weights)
