"""Nightcap: bulk image captioning with exact image tokens, token-optimal resizing and a bill that is known beforehand.

    from pipeline import Job, run
    summary = run(Job.create("photos", "captions", model="openai:gpt-4o"))

Nothing but the names in `__all__` is public. They are loaded on first use, so that `nightcap --help` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline import errors
    from pipeline.engine.stats import RunStats, Summary
    from pipeline.estimation import Estimate, ModelEstimate, estimate
    from pipeline.items import Failure, Prepared, Probe, Record, Reply, Request, SourceImage, Usage
    from pipeline.job import Job, run, run_async
    from pipeline.models import best_dimensions, image_tokens

_HOMES = {
    "Estimate": "estimation",
    "Failure": "items",
    "Job": "job",
    "ModelEstimate": "estimation",
    "Prepared": "items",
    "Probe": "items",
    "Record": "items",
    "Reply": "items",
    "Request": "items",
    "RunStats": "engine.stats",
    "SourceImage": "items",
    "Summary": "engine.stats",
    "Usage": "items",
    "best_dimensions": "models",
    "estimate": "estimation",
    "image_tokens": "models",
    "run": "job",
    "run_async": "job",
}

__all__ = [
    "Estimate",
    "Failure",
    "Job",
    "ModelEstimate",
    "Prepared",
    "Probe",
    "Record",
    "Reply",
    "Request",
    "RunStats",
    "SourceImage",
    "Summary",
    "Usage",
    "best_dimensions",
    "errors",
    "estimate",
    "image_tokens",
    "run",
    "run_async",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("pipeline.errors")
    if name in _HOMES:
        return getattr(import_module(f"pipeline.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
