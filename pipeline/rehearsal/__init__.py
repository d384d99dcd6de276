"""A night tried out beforehand: the job's own pipeline over real HTTP, against an emulator with the job's own limits.

No key and no money is needed, and OUT is only read: the rehearsal writes to a temporary folder. Both sides' clocks go
faster, as fast as this machine can prepare images; of a long night the first minute (of the machine's time) is
rehearsed, and the rest follows from its pace.
"""

import asyncio
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import filterfalse, islice
from pathlib import Path

from pipeline.api.endpoint import catalogue_name
from pipeline.clock import Clock, ScaledClock, SystemClock
from pipeline.emulator.child import emulator_child
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.scenario import load_scenario
from pipeline.emulator.stats import Stats
from pipeline.engine.enhancing.opening import way_of_all
from pipeline.engine.live.context import Chooser
from pipeline.engine.live.run import run_live
from pipeline.engine.plan import Plan
from pipeline.engine.stats import Observer, RunStats, Summary
from pipeline.errors import RunError, UserError
from pipeline.estimation import Estimate, estimate
from pipeline.estimation.output import Output
from pipeline.items import SourceImage
from pipeline.job import Job, loop_factory
from pipeline.models import find_model
from pipeline.rehearsal.forecast import Machine, Rehearsal, forecast
from pipeline.rehearsal.scene import Scene, environment, pointed_at, set_scene, unlimited_emulator, unlimited_plan

__all__ = ["Rehearsal", "rehearse"]

log = logging.getLogger(__name__)

SAMPLED_IMAGES = 2000
"""Whose headers are read to know the whole listing's tokens."""
TRIAL_IMAGES = 96
"""Asked without limits, to know how many images a second this machine prepares and sends."""
ENOUGH_SECONDS = 20.0
"""Of the machine's time: a night that can be rehearsed in less is rehearsed at a lower speed, which is more exact."""
MOST_SECONDS = 60.0
"""What needs longer is rehearsed in part."""
CPU_SHARE = 0.3
"""Of what this machine can do that a rehearsal may use: above, it would rehearse the machine and not the quota."""
AFTER_SCENARIO_SECONDS = 60.0


def rehearse(
    job: Job,
    speed: float | None = None,
    scenario: Path | None = None,
    observer: Observer | None = None,
    on_listed: Callable[[int], None] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Rehearsal:
    """What running `job` would take and where it would stop.

    `speed`: how many times as fast as real; None: as fast as this machine can without being the bottleneck itself.
    `scenario`: faults at set times, as for `nightcap emulate`. `observer` sees the run's counters, `on_listed` the
    number of images listed so far. Raises UserError, and RunError where even the rehearsal's own means fail.
    """
    plan = job.plan()
    if plan.model.name.startswith("builtin:"):
        raise UserError(f"{plan.model.name} is free and has no limits, so there is nothing to rehearse; just run it.")
    if plan.model.video_index:
        raise UserError("An emulator has none of your videos, so there is nothing to rehearse; estimate them instead.")
    if speed is not None and not 0 < speed < math.inf:
        raise UserError(f"The speed is {speed:g}; give a number above 0.")
    now = SystemClock().time()
    night = _estimated(job, on_listed)
    scene = _scene(plan, night, scenario, environ)
    left = night.survey.left
    if not left:
        nothing = Summary("", job.out, plan.model.name, 0.0, RunStats())
        return forecast(plan, scene, Machine.measured(Stats()), night, Stats(), nothing, 1.0, now)
    first = _chooser(job)
    with tempfile.TemporaryDirectory(prefix="nightcap-rehearsal-") as folder:
        trial, emulator = unlimited_plan(plan), unlimited_emulator(scene.emulator)
        stats, _ = _play(trial, first(TRIAL_IMAGES), emulator, Path(folder, "trial"), environ)
        machine = Machine.measured(stats)
        pace = scene.images_per_second(machine.tokens_each)
        speed = speed or _speed(scene, machine.images_per_second / pace, left / pace)
        images = min(left, math.ceil(pace * _seconds(scene, speed)))
        log.info("Rehearsing %d of %d images, %.3g times as fast as real.", images, left, speed)
        emulator = replace(scene.emulator, time_scale=speed)
        stats, summary = _play(plan, first(images), emulator, Path(folder, "night"), environ, observer)
    return forecast(plan, scene, machine, night, stats, summary, speed, now)


def _estimated(job: Job, on_listed: Callable[[int], None] | None) -> Estimate:
    """What is left, its tokens and their price. All endpoints of a job serve one model, so any of them tells."""
    alike = (replace(job, model=member.model, endpoint=()) for member in job.members)
    one = next(each for each in alike if each.request_hash == job.request_hash)
    return estimate(one, [one.model.name], SAMPLED_IMAGES, on_listed)


def _chooser(job: Job) -> Callable[[int], Chooser]:
    """For a number of images: the first so many that the night would ask."""
    is_done = Output(job.out).finished(job.request_hash)

    def left(images: Iterator[SourceImage]) -> Iterator[SourceImage]:
        return images if is_done is None else filterfalse(is_done, images)

    return lambda count: lambda images: islice(left(images), count)


def _scene(plan: Plan, night: Estimate, scenario: Path | None, environ: Mapping[str, str]) -> Scene:
    [row] = night.models
    answer = round(row.output_tokens.expected / row.images) if row.images else 0
    scene = set_scene(plan.members, answer, find_model(catalogue_name(plan.model)).reasoning)
    if way_of_all(plan.members, environ) == "image-analysis":
        scene = replace(scene, emulator=replace(scene.emulator, vision_rpm=plan.members[0].limits.vision_rpm))
    return replace(scene, emulator=load_scenario(scenario).applied_to(scene.emulator)) if scenario else scene


def _speed(scene: Scene, machine_speed: float, night_seconds: float) -> float:
    """`machine_speed`: at which this machine would be the bottleneck."""
    return max(1.0, min(scene.highest_speed, CPU_SHARE * machine_speed, night_seconds / ENOUGH_SECONDS))


def _seconds(scene: Scene, speed: float) -> float:
    """How much of the night is rehearsed, by its own clock: as much as there is time for, and the whole scenario."""
    ends = [step.seconds[1] for step in scene.emulator.scenario if step.seconds and step.seconds[1] < math.inf]
    return max(speed * MOST_SECONDS, max(ends, default=0.0) + AFTER_SCENARIO_SECONDS)


def _play(
    plan: Plan,
    choose: Chooser,
    emulator: EmulatorOptions,
    out: Path,
    environ: Mapping[str, str],
    observer: Observer | None = None,
) -> tuple[Stats, Summary]:
    """One run against an emulator of its own; what both sides say of it."""
    speed = emulator.time_scale
    clock: Clock = SystemClock() if speed == 1 else ScaledClock(speed)
    with emulator_child(emulator) as child, asyncio.Runner(loop_factory=loop_factory()) as runner:
        pointed = pointed_at(plan, child.address, str(out), speed)
        environ = environment(environ, plan.members, child.address)
        try:
            summary = runner.run(run_live(pointed, clock, environ, observer, choose))
        except RunError as error:
            if not isinstance(error.summary, Summary):
                raise
            summary = error.summary
    return child.stats, summary
