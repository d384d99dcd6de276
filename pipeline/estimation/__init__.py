"""What a job will cost, before anything is spent: listing + headers + token rules + prices. Decodes no image, opens no
connection to a model; one pass over the listing serves every model asked about.

The room is not called `estimate` because that is the public function's name, which a module would shadow.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.api.options import ModelOptions
from pipeline.clock import SystemClock, utc
from pipeline.engine.live import catalogue_name
from pipeline.estimation.costs import ModelEstimate, estimate_model
from pipeline.estimation.survey import Survey, survey_listing
from pipeline.items import SourceImage
from pipeline.job import Job
from pipeline.models import best_dimensions, find_model
from pipeline.sources import open_source
from pipeline.store import completion_tokens, finished_keys

DEFAULT_MODELS = (
    "openai:gpt-4o",
    "openai:gpt-4o-mini",
    "openai:gpt-4.1-mini",
    "openai:gpt-4.1-nano",
    "openai:gpt-5",
    "openai:gpt-5-mini",
    "openai:gpt-5-nano",
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The whole answer."""

    survey: Survey
    policy: str
    detail: str
    models: tuple[ModelEstimate, ...]


def estimate(
    job: Job,
    models: Sequence[str] = (),
    sample: int | None = None,
    observer: Callable[[int], None] | None = None,
) -> Estimate:
    """Price `job` for each of `models` (none: the job's own, or a comparison when that is the free describer).

    `sample` reads the headers of that many images only, drawn evenly from the whole listing. `observer` is told now and
    then how many were listed. Raises UserError for a source, a model, a detail or a policy that cannot be.
    """
    names = tuple(models) or ((job.model.name,) if not job.model.name.startswith("builtin:") else DEFAULT_MODELS)
    asked = [(name, _options_for(job.model, name)) for name in names]
    found = [(name, options, find_model(catalogue_name(options))) for name, options in asked]
    for _, options, model in found:  # a wrong detail or policy shall not wait for the end of a long listing
        best_dimensions(model, 1024, 1024, options.detail, options.image_policy, options.max_shrink)
    survey = survey_listing(open_source(job.source), _is_done(job), sample, random.Random(0), observer)
    today = utc(SystemClock().time()).date()
    history = completion_tokens(job.out, job.request_hash) if _has_output(job.out) else None
    rows = tuple(
        estimate_model(name, model, options, job.limits, survey, history, today) for name, options, model in found
    )
    return Estimate(survey, job.model.image_policy, job.model.detail, rows)


def _options_for(options: ModelOptions, name: str) -> ModelOptions:
    return options if name == options.name else replace(options, name=name, azure_model=None)


def _is_done(job: Job) -> Callable[[SourceImage], bool]:
    if not _has_output(job.out):
        return lambda image: False
    finished = finished_keys(job.out, job.request_hash)
    return lambda image: finished.status_of(image.key, image.version) is not None


def _has_output(out: str) -> bool:
    return bool(out) and Path(out.removesuffix(".parquet"), "_nightcap").is_dir()
