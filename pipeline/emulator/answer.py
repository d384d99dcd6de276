"""What the pretended model says, and what that costs. Pure.

Captions depend on nothing but the image, so that a test can tell from a caption which image was asked about, and say
that no model has seen it, so that none is taken for a real one. Tokens are counted by the real model's rules.
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pipeline import models
from pipeline.emulator.instances import instance, spoiled_answer, told_schema
from pipeline.emulator.limits import CHARACTERS_PER_TOKEN
from pipeline.emulator.packed import NUMBER, entry_schema, schema_in, spoiled
from pipeline.emulator.wire.question import Picture, Question
from pipeline.emulator.wire.video import FRAME_PX, FRAMES, TRANSCRIPT_TOKENS
from pipeline.models import Model

FILLER = " No model has looked at it; sentence {} stands where a description would be."
"""Numbered: an answer that repeats itself is what a client throws away."""
APOLOGY = "I'm sorry, but I can't assist with that request."
FRAME_TOKENS = 4
"""Of each further message: three for its frame and one for its role (openai-cookbook, counting tokens)."""
PRIMING_TOKENS = 3
UNKNOWN_IMAGE_TOKENS = 576
MOST_DESCRIBED = 8
"""Pictures of one question that have a sentence each."""

Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its tokens."""

    text: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    """Including `reasoning_tokens`."""
    reasoning_tokens: int = 0


def give_answer(
    model: Model, prompt_tokens: int, text: str, *, max_tokens: int | None = None, reasoning_tokens: int = 0
) -> Answer:
    """`text` as far as `max_tokens` allow. Reasoning is spent first, so a small limit may leave nothing to say."""
    length = text_tokens(model, text)
    if max_tokens is None or reasoning_tokens + length <= max_tokens:
        return Answer(text, "stop", prompt_tokens, reasoning_tokens + length, reasoning_tokens)
    room = max(0, max_tokens - reasoning_tokens)
    return Answer(_cut(model, text, room), "length", prompt_tokens, max_tokens, min(reasoning_tokens, max_tokens))


def caption(model: Model, question: Question, wanted_tokens: int, fault: str | None = None) -> str:
    """A sentence for each image, then filler; the wanted JSON where the question has a schema.

    Who wants an entry for each image gets what each would have been answered alone, spoiled by `fault`.
    """
    shape = question.shape
    schema = shape.schema if shape else told_schema(question.text) or schema_in(question.text)
    if schema and (found := entry_schema(schema)):
        name, wanted = found
        entries = []
        for number, picture in enumerate(question.pictures, 1):
            entry = instance(wanted, schema, _filled(model, _sentence(picture), wanted_tokens))
            assert isinstance(entry, dict), "an entry's schema has properties"
            entries.append({**entry, NUMBER: number})
        return json.dumps({name: spoiled(entries, fault)}, separators=(",", ":"))
    text = _filled(model, _told(question), wanted_tokens)
    if schema is None:
        return text
    return spoiled_answer(json.dumps(instance(schema, schema, text), separators=(",", ":")), fault)


def _told(question: Question) -> str:
    pictures = question.pictures
    if question.video:
        return f"A video, {question.video.document_id} of the index {question.video.index}."
    if len(pictures) > MOST_DESCRIBED:  # as frames of a video, of which nobody tells each
        return f"{len(pictures)} pictures, the first and the last: {_sentence(pictures[0])} {_sentence(pictures[-1])}"
    return " ".join(map(_sentence, pictures)) or "There is no picture in this question."


def _filled(model: Model, text: str, wanted_tokens: int) -> str:
    missing = wanted_tokens - text_tokens(model, text)
    sentences = max(1, math.ceil(missing / text_tokens(model, FILLER)))
    return text + "".join(map(FILLER.format, range(1, sentences + 1)))


def prompt_tokens(model: Model, question: Question) -> int:
    """Of all messages and images, as billed."""
    pictures = [image_tokens(model, picture) for picture in question.pictures]
    texts = {"system": "", "user": ""}
    labels = [label for message in question.messages for label in message.labels]
    extra = 0
    for message in question.messages:
        role = "system" if message.role == "developer" else message.role
        if texts.get(role) == "":
            texts[role] = message.text
        else:
            extra += FRAME_TOKENS + text_tokens(model, message.text)
    extra += video_tokens(model) if question.video else 0
    if shape := question.shape:  # as the product predicts it, since nobody published how it is counted
        extra += models.schema_tokens(model, shape.name, shape.text) or text_tokens(model, shape.text)
    counted = models.prompt_tokens(model, texts["system"], texts["user"], pictures, labels)
    if counted is None:
        framed = [text for text in texts.values() if text]
        counted = PRIMING_TOKENS + sum(FRAME_TOKENS + text_tokens(model, text) for text in framed) + sum(pictures)
        counted += sum(text_tokens(model, label) for label in labels)
    return counted + extra


def video_tokens(model: Model) -> int:
    """Of its frames, and of its transcript; finding the frames is billed beside the answer."""
    frame = model.image_tokens(FRAME_PX, FRAME_PX, "low") or UNKNOWN_IMAGE_TOKENS
    return FRAMES * frame + TRANSCRIPT_TOKENS


def image_tokens(model: Model, picture: Picture) -> int:
    """By the model's rule; by LLaVA's where nobody knows it."""
    counted = model.image_tokens(picture.width, picture.height, picture.detail)
    return UNKNOWN_IMAGE_TOKENS if counted is None else counted


@lru_cache(maxsize=1024)  # prompts repeat for every image of a job
def text_tokens(model: Model, text: str) -> int:
    """By the model's tokenizer, else by length."""
    counted = models.text_tokens(model, text)
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN) if counted is None else counted


def _sentence(picture: Picture) -> str:
    ratio = picture.width / picture.height
    form = "square" if 0.95 < ratio < 1.05 else "landscape" if ratio > 1 else "portrait"
    return f"A {picture.width}x{picture.height} {picture.format} picture, {form}, marked {picture.digest}."


def _cut(model: Model, text: str, tokens: int) -> str:
    """The longest beginning of `text` that has at most so many tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_tokens(model, text[:middle]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]
