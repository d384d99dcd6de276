"""What a video of an index costs a model (Azure OpenAI's video prompts): frames, transcript, the search for key frames.

Source: GPT-4 Turbo with Vision concepts (azure-docs @0af0f2e), special pricing and its example: a prompt of 100 tokens,
20 frames of 85, a transcript of 100, and "roughly" the prompt again plus 700 tokens with one query to find the frames.
All of it is approximate: nobody but the service knows how long a transcript is. A reply's usage has frames, transcript
and prompt (the how-to's sample: 2,068); the search for frames is billed beside it.
"""

from dataclasses import replace
from datetime import date
from typing import Literal

from pipeline.models.catalogue import Model
from pipeline.models.prices import Price, find_price

FRAMES = 20
FRAME_PX = 512
TRANSCRIPT_TOKENS = 100
FRAME_SEARCH_TOKENS = 700


def video_tokens(model: Model) -> int | None:
    """Of the frames of one video; None when it is not known how the model counts."""
    frame = model.image_tokens(FRAME_PX, FRAME_PX, "low")
    return None if frame is None else FRAMES * frame


def find_video_price(
    model: Model, on: date, text_tokens: int | None, *, mode: Literal["live", "batch"] = "live"
) -> Price | None:
    """The price of requests about a video each, whose prompts have so many tokens. None: it is not known."""
    price = find_price(model, on, mode=mode, services=("video_query",))
    if price is None or text_tokens is None:
        return None
    search = (text_tokens + FRAME_SEARCH_TOKENS) * price.base.input
    return replace(price, per_request=price.per_request + search)
