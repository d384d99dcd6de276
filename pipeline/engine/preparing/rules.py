"""The model's rules, bound to a Preparer; what of them leaves for another process imports no more than it needs."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, TailTemplate, tail_template
from pipeline.api.structured.counting import request_tokens
from pipeline.engine.preparing.carried import Known, TextTokens, send_bounds, tail_of
from pipeline.engine.preparing.preparer import Encode, Fit, Preparer
from pipeline.errors import UserError
from pipeline.images import ImageOptions
from pipeline.items import Failure, SourceImage
from pipeline.models import Model, RequestLimits, best_dimensions, text_tokens
from pipeline.sources import Reader, SourceOptions, asks_videos
from pipeline.videos import check_installed

if TYPE_CHECKING:
    from pipeline.engine.preparing.videos import VideoPreparer


def build_preparer(
    source: SourceOptions,
    images: ImageOptions,
    options: ModelOptions,
    model: Model,
    form: Form,
    limits: RequestLimits,
    encode: Encode,
    *,
    fingerprints: bool = False,
) -> Preparer:
    """Of images on this machine, and of those that were fetched. `form`: in which most of them are asked about."""
    make = functools.partial(_preparer, source, images, form, model=model, limits=limits, fingerprints=fingerprints)
    if not asks_frames(source, options):
        return make(options, encode=encode)
    from pipeline.engine.preparing.videos import VideoPreparer

    own = options.of_videos
    frames = make(own, encode=encode if model.provider == "builtin" else json_tail(tail_template(own)))
    count = frames_sent(options, limits)
    of_video = VideoPreparer(
        frames, best_fit(own, model), images, count, own.frames_at, own.image_detail, Reader(source).open
    )
    return make(options, encode=encode, videos=of_video)


def _preparer(
    source: SourceOptions,
    images: ImageOptions,
    form: Form,
    options: ModelOptions,
    model: Model,
    limits: RequestLimits,
    encode: Encode,
    videos: "VideoPreparer | None" = None,
    fingerprints: bool = False,
) -> Preparer:
    common = request_tokens(options, model, form, (0,))
    return Preparer(
        Reader(source).read,
        image_options(images, model),
        best_fit(options, model),
        encode,
        Known(functools.partial(model.image_tokens, detail=options.image_detail)),
        TextTokens(common, functools.partial(_text_tokens, options, model, form, common)),
        Known(functools.partial(send_bounds, images.max_sent_bytes, limits, options.image_policy != "original")),
        videos,
        fingerprints=fingerprints,
    )


def asks_frames(source: SourceOptions, options: ModelOptions) -> bool:
    """Whether videos are to be captioned by their frames; those of an index are never read here."""
    return asks_videos(source) and options.video_index is None


def frames_sent(options: ModelOptions, limits: RequestLimits) -> int:
    """Frames of a video in one request."""
    return min(options.frames, limits.images.most) if limits.images else options.frames


def best_fit(options: ModelOptions, model: Model) -> Fit:
    """By the job's policy. UserError, when it is called, for a detail or policy that the model does not know."""
    detail, policy, max_shrink = options.image_detail, options.image_policy, options.max_shrink
    return Known(functools.partial(best_dimensions, model, detail=detail, policy=policy, max_shrink=max_shrink))


def image_options(options: ImageOptions, model: Model) -> ImageOptions:
    """The job's, but an unknown server is sent as it is only what every server reads: llama.cpp's refuses WebP."""
    if model.provider != "compatible":
        return options
    return replace(options, pass_through=tuple(kind for kind in options.pass_through if kind in ("jpeg", "png")))


def check_groups(source: SourceOptions, options: ModelOptions, limits: RequestLimits) -> None:
    """UserError for groups of images where a request is about one."""
    if source.group_by and limits.images and limits.images.most < 2:
        raise UserError(f"group_by asks about several images, and {options.name} takes {limits.images}; name another.")


def check_videos(source: SourceOptions, options: ModelOptions) -> None:
    """UserError where videos are wanted and cannot be read."""
    if asks_frames(source, options):
        check_installed()


def within_limits(listing: Iterable[SourceImage], limits: RequestLimits) -> Iterator[SourceImage]:
    """The same; more images together than may be in a request have failed already, so that none of them is read."""
    for image in listing:
        if limits.images and not image.failure and len(image.members) > limits.images.most:
            message = f"The group has {len(image.members)} images, and a request may have {limits.images}."
            yield replace(image, failure=Failure("too_large", message))
        else:
            yield image


def json_tail(template: TailTemplate) -> Encode:
    """What HTTP endpoints take."""
    return functools.partial(tail_of, template)


def _text_tokens(
    options: ModelOptions,
    model: Model,
    form: Form,
    common: int | None,
    own_prompt: str | None,
    labels: Sequence[str],
) -> int | None:
    """Tokens of a request but for the images; `common` are those with the job's prompt."""
    total = common if own_prompt is None else request_tokens(options, model, form, (0,), own_prompt)
    for label in labels:
        tokens = text_tokens(model, label)
        total = None if total is None or tokens is None else total + tokens
    return total
