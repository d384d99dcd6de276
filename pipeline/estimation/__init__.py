"""What a job will cost, before anything is spent: listing + headers + token rules + prices. Decodes no image, opens no
connection to a model; one pass over the listing serves every model asked about.

The room is not called `estimate` because that is the public function's name, which a module would shadow.
"""

import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.api.endpoint import azure_version, catalogue_name, enhancing_way, split_name
from pipeline.api.options import DEFAULT_MODEL
from pipeline.api.pool.taken import request_limits
from pipeline.api.retrieval.videos import open_images
from pipeline.api.structured.rungs import check_schema_is_followed
from pipeline.api.vision.video import check_video
from pipeline.clock import SystemClock, utc
from pipeline.engine.packing.joining import check_pack
from pipeline.engine.preparing.rules import check_groups, check_videos, frames_sent
from pipeline.errors import UserError
from pipeline.estimation.costs import History, estimate_model
from pipeline.estimation.headers import HeaderReader
from pipeline.estimation.indexed import estimate_index, survey_index
from pipeline.estimation.output import Output
from pipeline.estimation.result import Estimate, ModelEstimate, Range
from pipeline.estimation.sizes import Sizes
from pipeline.estimation.survey import Survey, survey_listing
from pipeline.estimation.video_looks import VideoLooker
from pipeline.job import Job
from pipeline.models import Model, RequestLimits, best_dimensions, find_model
from pipeline.sources import asks_videos, open_source

__all__ = ["DEFAULT_MODELS", "Estimate", "ModelEstimate", "Range", "Survey", "estimate"]

DEFAULT_MODELS = (
    "openai:gpt-4o",
    "openai:gpt-4o-mini",
    "openai:gpt-4.1-mini",
    "openai:gpt-5-mini",
    "openai:gpt-5-nano",
    "openai:gpt-5.4-mini",
    "openai:gpt-5.4-nano",
    "openai:gpt-6-luna",
)
"""What is compared when no model was named: each vendor generation's cheap models, and gpt-4o as the known measure."""


def estimate(
    job: Job,
    models: Sequence[str] = (),
    sample: int | None = None,
    observer: Callable[[int], None] | None = None,
) -> Estimate:
    """What running `job` would take with each of `models` (none: with its own, or a comparison if that is the default).

    Counts what `run` would ask: not what the job's output holds already from the same request, and no more than its
    `limit`. `sample` reads the headers of that many images only, drawn evenly from the whole listing. `observer` is
    told now and then how many were listed.

    Raises UserError for a source, a model, a detail, a policy or a sample that cannot be.
    """
    job = job.as_one()
    if job.model.video_index:
        return _of_index(job, models, sample, observer)
    jobs = [_with_model(job, name) for name in models or _own_models(job)]
    known = [_known_model(each) for each in jobs]
    for each, model in zip(jobs, known, strict=True):
        check_schema_is_followed(each.model.schema, model)
        check_pack(each.members, os.environ)
        check_groups(each.source, each.model, request_limits(each.members, os.environ))
        check_videos(each.source, each.model)
    output = Output(job.out)
    finished = [output.finished(each.request_hash) for each in jobs]
    groups = list(dict.fromkeys(finished))  # requests of which nothing is finished share one survey
    source = open_source(job.source)
    videos = VideoLooker(job.source, job.image.max_pixels) if asks_videos(job.source) else None
    headers = HeaderReader(source, job.image, job.source.max_bytes, job.run.fetchers, videos)
    surveys = survey_listing(
        source, headers, groups, random.Random(0), sample, job.run.limit, observer, job.model.prompt, _widest(jobs)
    )
    measured = {is_done: (survey, Sizes.of(survey)) for is_done, survey in zip(groups, surveys, strict=True)}
    answers = [output.answers(each.request_hash) for each in jobs]
    today = utc(SystemClock().time()).date()
    alone = len(jobs) == 1  # among several, advice about one would be noise
    rows = []
    for each, model, is_done, own in zip(jobs, known, finished, answers, strict=True):
        options, (survey, sizes) = each.model, measured[is_done]
        options = replace(options, api_version=azure_version(options, os.environ))
        history = History(
            own or _of_the_like(model, known, answers), output.other_rows(each.request_hash) if alone else 0
        )
        with_economy, way = alone and options.image_policy == "optimal", enhancing_way(options, os.environ)
        frames = frames_sent(options, request_limits(each.members, os.environ))
        estimated = estimate_model(
            options.name, model, options, job.limits, survey, sizes, history, today, with_economy, way, frames
        )
        rows.append(estimated)
    widest = max(surveys, key=lambda survey: survey.left)
    return Estimate(widest, job.model.image_policy, job.model.image_detail, tuple(rows))


def _widest(jobs: Sequence[Job]) -> RequestLimits:
    """The limits of the endpoint that takes most images in a request: there is one survey for all."""
    limits = [request_limits(job.members, os.environ) for job in jobs]
    return max(limits, key=lambda each: each.images.most if each.images else sys.maxsize)


def _of_index(job: Job, models: Sequence[str], sample: int | None, observer: Callable[[int], None] | None) -> Estimate:
    """Of an index: there is one model that looks at them, and no header to be read."""
    if sample is not None:
        raise UserError("Of videos in an index no header is read, so there is nothing to sample; leave it out.")
    if len(models) > 1:
        raise UserError("A video index is asked about with one model; name one.")
    job = _with_model(job, models[0]) if models else job
    check_video(job.model, split_name(job.model.name)[0], azure_version(job.model, os.environ))
    model, output = find_model(catalogue_name(job.model)), Output(job.out)
    source = open_images(job.source, job.model, os.environ)
    survey, seconds = survey_index(source, job, output.finished(job.request_hash), observer)
    history = History(output.answers(job.request_hash), output.other_rows(job.request_hash))
    row = estimate_index(job, model, survey, seconds, history, utc(SystemClock().time()).date())
    return Estimate(survey, job.model.image_policy, job.model.image_detail, (row,))


def _own_models(job: Job) -> Sequence[str]:
    if job.model.name != DEFAULT_MODEL:
        return (job.model.name,)
    today = utc(SystemClock().time()).date()
    return [name for name in DEFAULT_MODELS if not ((gone := find_model(name).retired) and gone <= today)]


def _with_model(job: Job, name: str) -> Job:
    """The same job for another model; `azure_model` says what is behind the job's own deployment only."""
    return job if name == job.model.name else replace(job, model=replace(job.model, name=name, azure_model=None))


def _known_model(job: Job) -> Model:
    """The job's model. A wrong detail or policy is told here: it shall not wait for the end of a long listing."""
    options = job.model
    model = find_model(catalogue_name(options))
    best_dimensions(model, 1024, 1024, options.image_detail, options.image_policy, options.max_shrink)
    return model


def _of_the_like(model: Model, known: Sequence[Model], answers: Sequence[Sequence[int]]) -> Sequence[int]:
    """Answers of another model to the same prompt, if it thinks, or does not think, as this one."""
    return next(
        (found for other, found in zip(known, answers, strict=True) if other.reasoning == model.reasoning and found), ()
    )
