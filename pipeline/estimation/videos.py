"""What videos take: the frames that a run would send of each, the time before each, and a prompt of their own."""

import math
from collections import Counter
from collections.abc import Mapping

from pipeline.api.options import ModelOptions
from pipeline.api.structured.counting import CHARACTERS_PER_TOKEN
from pipeline.estimation.sizes import BYTES_PER_PIXEL, Sent, is_countable
from pipeline.estimation.video_looks import HOUR, VideoLook
from pipeline.models import Model, best_dimensions, prompt_tokens, text_tokens
from pipeline.videos import label
from pipeline.videos.moments import evenly


def videos_under(policy: str, videos: Mapping[VideoLook, int], model: Model, options: ModelOptions, most: int) -> Sent:
    """What `policy` makes of them, each with at most so many frames.

    Their tokens are those of the frames, of the times before them, and what a video's prompt has more than an image's.
    """
    own = options.of_videos
    detail = own.image_detail
    by_tokens: Counter[int] = Counter()
    total = 0.0
    more = _text_tokens(model, own) - _text_tokens(model, options)
    for video, images in videos.items():
        count = min(video.frames, most)
        size = best_dimensions(model, video.width, video.height, detail, policy, options.max_shrink)
        total += size[0] * size[1] * count * images * BYTES_PER_PIXEL
        if (tokens := model.image_tokens(*size, detail)) is not None:
            by_tokens[count * tokens + _label_tokens(model, count, video.hours_long) + more] += images
    if not is_countable(model, detail):
        return Sent({}, None, total)
    return Sent(by_tokens, sum(tokens * images for tokens, images in by_tokens.items()), total)


def _label_tokens(model: Model, count: int, seconds: float) -> int:
    """Every time is written with as many digits, so that all take as many tokens, but for those with hours."""
    short = _tokens_of(model, label(1, 0.0))
    with_hours = sum(moment >= HOUR for moment in evenly(seconds, count)) if seconds else 0
    return count * short + (with_hours * (_tokens_of(model, label(1, HOUR)) - short) if with_hours else 0)


def _tokens_of(model: Model, text: str) -> int:
    counted = text_tokens(model, text)
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN) if counted is None else counted


def _text_tokens(model: Model, options: ModelOptions) -> int:
    counted = prompt_tokens(model, options.system, options.prompt, (0,))
    return math.ceil(len(options.system + options.prompt) / CHARACTERS_PER_TOKEN) if counted is None else counted
