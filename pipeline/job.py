"""A job: the sum of the rooms' options, read from `jobs/*.toml`, overlaid by the command line, with a fingerprint.

A job file has one section for each room's option class, and its names; relative paths are relative to the
file. Flat names (`rpm=600`), as the command line and `Job.create` use them, are the fields' names; `model` is `name`.
"""

import asyncio
import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pipeline.api.endpoint import split_name
from pipeline.api.options import EndpointOptions, LimitOptions, ModelOptions
from pipeline.api.pool.members import MemberOptions, members_of
from pipeline.api.structured.loading import load_schema
from pipeline.clock import SystemClock
from pipeline.engine.notify import Notifier, NotifyOptions
from pipeline.engine.plan import Plan, RunOptions
from pipeline.engine.stats import Observer, Summary
from pipeline.errors import NightcapError, UserError
from pipeline.images import ImageOptions
from pipeline.objects import without_secrets
from pipeline.presets import load_preset
from pipeline.sources import SourceOptions, asks_videos, split_source
from pipeline.store import StoreOptions

SECTIONS: dict[str, type] = {
    "source": SourceOptions,
    "image": ImageOptions,
    "model": ModelOptions,
    "limits": LimitOptions,
    "store": StoreOptions,
    "run": RunOptions,
    "notify": NotifyOptions,
}
# What each of several endpoints has for itself: said for all of them on the command line, it would mean none or one.
OF_AN_ENDPOINT = {"name", *(f.name for f in fields(EndpointOptions))} - {"model", "priority", "key_env"}

_DEFAULTS = asdict(ModelOptions())
# Options that came later enter `request_hash` where they are not left at their default: outputs made before them stay
# finished.
HASHED = {
    *("name", "prompt", "system", "detail", "max_tokens", "temperature", "image_policy", "max_shrink", "send"),
    *("azure_model", "base_url", "api_version"),
}


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that describes a run. Build one with `Job.create` or `Job.load`."""

    out: str = ""
    """Folder of the result, or URL of a prefix in an object store."""
    source: SourceOptions = field(default_factory=SourceOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    endpoint: tuple[EndpointOptions, ...] = ()
    """`[[endpoint]]`: several that share the job; none: the one that `model` describes."""
    store: StoreOptions = field(default_factory=StoreOptions)
    run: RunOptions = field(default_factory=RunOptions)
    notify: NotifyOptions = field(default_factory=NotifyOptions)

    def __post_init__(self) -> None:
        together = "group_by" if self.source.group_by else "video" if asks_videos(self.source) else None
        if self.model.enhance and together:
            raise UserError(f"enhance takes one image in a request, and {together} asks about several; leave one out.")

    @classmethod
    def create(cls, sources: str | Path | Sequence[str | Path], out: str | Path, **options: Any) -> Self:
        """A job from flat names: `Job.create("photos", "captions", model="openai:gpt-4o", rpm=500)`."""
        paths = [sources] if isinstance(sources, str | Path) else sources
        return cls().overlay(paths=[str(p) for p in paths], out=str(out), **options)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A job file. Raises UserError that names a wrong key and the nearest right one."""
        file = Path(path)
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            raise UserError(f"There is no job file {str(path)!r}.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"The job file {str(path)!r} cannot be read: {error}") from None
        folder = file.resolve().parent
        return cls._validated(_resolved(document, folder), str(path), folder)

    @classmethod
    def of_output(cls, out: str | Path) -> Self:
        """The job that made an output, as its last run wrote it down, without what limited that run.

        Raises UserError when there is none.
        """
        from pipeline.store import read_job  # with Parquet, which a job does not need

        document = {**read_job(str(out)), "out": str(out)}
        document["run"] = {**document.get("run", {}), "limit": None, "deadline": None}
        document.pop("notify", None)  # that one's end was somebody's business, not that of what is done by hand
        return cls._validated(document, f"the job of {out}")

    def overlay(self, **options: Any) -> Self:
        """The same job with flat options changed; None leaves an option as it is."""
        document: dict[str, Any] = self.to_document()
        if preset := options.pop("preset", None):
            document["model"] |= load_preset(preset).options
        for name, value in options.items():
            if value is None:
                continue
            if name == "out":
                document["out"] = value
                continue
            section, key = _place_of(name)
            if self.endpoint and key in OF_AN_ENDPOINT:
                raise UserError(f"The job has [[endpoint]] entries, each with its own {name}; change it there.")
            document[section][key] = value
        return self._validated(document, "the options")

    def to_document(self) -> dict[str, Any]:
        """Plain values, fit for JSON. No secret but a signature in the address of a source or of the output."""
        document = asdict(self)
        if self.run.max_cost is not None:
            document["run"]["max_cost"] = str(self.run.max_cost)  # exact, which JSON's numbers are not
        return document

    @property
    def members(self) -> tuple[MemberOptions, ...]:
        """The endpoints that share the job, each with its model and limits; UserError if they do not fit together."""
        return members_of(self.model, self.limits, self.endpoint)

    def as_one(self) -> Self:
        """The same job with one endpoint that allows what all of them do together: for what counts and asks nobody."""
        if not self.endpoint:
            return self
        members = self.members
        together: dict[str, Any] = {}
        for name in ("rpm", "tpm", "concurrency"):
            each = [getattr(member.limits, name) for member in members]
            together[name] = None if None in each else sum(each)
        model = min((member.model for member in members), key=_underlying)
        return replace(self, model=model, limits=replace(members[0].limits, **together), endpoint=())

    @property
    def request_hash(self) -> str:
        """Fingerprint of what decides an answer: model, prompts, detail, max tokens, image policy; not limits."""
        # Whoever of several answers, and in whatever order they stand in the file.
        name = min(_underlying(member.model) for member in self.members)
        # Not the dimensions alone: whatever changes the bytes that the model sees changes the request.
        identity = replace(
            self.model, name=name, azure_model=None, base_url=None, api_version=None, video_access="auto"
        )
        asked = {name: value for name, value in asdict(identity).items() if name in HASHED or value != _DEFAULTS[name]}
        asked["detail"] = self.model.image_detail
        parts: dict[str, object] = {"model": asked, "jpeg_quality": self.image.jpeg_quality}
        if asks_videos(self.source) and self.model.frame_detail != "low":
            parts["frame_detail"] = self.model.frame_detail
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()

    def plan(self) -> Plan:
        """What the engine needs. Raises UserError when the job does not say what to caption or where to write."""
        if not self.source.paths:
            raise UserError("The job names no source; give a folder, or `paths` under [source] in the job file.")
        if not self.out:
            raise UserError("The job names no output folder; give -o OUT, or `out` in the job file.")
        return Plan(
            self.source, self.image, self.members, self.store, self.run,
            self.out, self.request_hash, self._public_document(),
        )  # fmt: skip

    def _public_document(self) -> dict[str, Any]:
        """As it may be written down: without the signatures that addresses of images and containers may hold."""
        document = self.to_document()
        document["out"] = without_secrets(self.out)
        document["source"]["paths"] = [without_secrets(path) for path in self.source.paths]
        return _resolved(document, Path.cwd())  # `of_output` may be called from anywhere

    @classmethod
    def _validated(cls, document: Mapping[str, Any], where: str, folder: Path | None = None) -> Self:
        """`folder`: where relative paths of schemas begin; None: here."""
        document = _question_filled_in(document, folder or Path.cwd())
        _check_keys(document, {"out", "endpoint", *SECTIONS}, where)
        _check_endpoints(document.get("endpoint", ()), where)
        for section, options in SECTIONS.items():
            values = document.get(section, {})
            if not isinstance(values, Mapping):
                raise UserError(f"{section!r} in {where} is a section: write [{section}].")
            _check_keys(values, {f.name for f in fields(options)}, f"[{section}] of {where}")
        try:
            return TypeAdapter(cls).validate_python(document)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{place} in {where}: {first['msg']} (it is {first['input']!r}).") from None


async def run_async(job: Job, observer: Observer | None = None) -> Summary:
    """Run a job to its end on the running event loop.

    `observer` is called with the run's counters a few times a second. Raises UserError for a wrong
    setting, before anything is spent, or a source that turns out wrong late; RunError for trouble that stops the run.
    Their `summary` says what was done before. First SIGINT or SIGTERM: finish what was sent; second: stop at once.
    """
    from pipeline.engine.live.run import run_live  # with HTTP client and Parquet: 0.5 s that an estimate does not need

    clock = SystemClock()
    notifier = Notifier(job.notify, os.environ, clock)
    try:
        summary = await run_live(job.plan(), clock, os.environ, observer)
    except NightcapError as error:
        await notifier.tell(_ended_by(error, job))
        raise
    await notifier.tell(summary.to_dict())
    return summary


def _ended_by(error: NightcapError, job: Job) -> Mapping[str, object]:
    """The summary of a run that has none, in the same words."""
    if isinstance(error.summary, Summary):
        return error.summary.to_dict()
    head = {"run_id": None, "out": without_secrets(job.out), "model": job.model.name, "exit_code": error.exit_code}
    return {**head, "stopped": "trouble", "message": str(error), "seconds": 0.0}


def run(job: Job, observer: Observer | None = None) -> Summary:
    """`run_async` on an event loop of its own; uvloop's where the extra `fast` is installed."""
    if _in_event_loop():
        raise UserError("run() does not work inside an event loop, as in a notebook; write `await run_async(job)`.")
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run_async(job, observer))


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's where it is installed; None: asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _question_filled_in(document: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """With what a preset says where the job does not, and the schema itself in place of where it is."""
    model = document.get("model")
    if not isinstance(model, Mapping):
        return document
    filled = dict(model)
    if isinstance(preset := filled.pop("preset", None), str):
        filled = {**load_preset(preset).options, **filled}
    if isinstance(schema := filled.get("schema"), str | Mapping):
        filled["schema"] = load_schema(schema, folder)
    return {**document, "model": filled}


def _underlying(model: ModelOptions) -> str:
    """The model itself, without the name of a deployment."""
    provider, name = split_name(model.name)
    return f"{provider}:{model.azure_model or name}"


def _check_endpoints(entries: Any, where: str) -> None:
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UserError(f"'endpoint' in {where} is a list of tables: write [[endpoint]], with two brackets.")
    for number, entry in enumerate(entries, 1):
        _check_keys(entry, {f.name for f in fields(EndpointOptions)}, f"[[endpoint]] {number} of {where}")


def _check_keys(values: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(sorted(known))}."
            raise UserError(f"Unknown key {key!r} in {where}. {hint}")


def _place_of(name: str) -> tuple[str, str]:
    """The section of a flat option name."""
    key = {"model": "name"}.get(name, name)
    for section, options in SECTIONS.items():
        if key in get_type_hints(options):
            return section, key
    known = [f.name for options in SECTIONS.values() for f in fields(options)]
    near = difflib.get_close_matches(name, known, n=1)
    raise UserError(f"Unknown option {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))


def _resolved(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths in a job file are relative to it, so that a timer may start it from anywhere."""

    def absolute(path: object) -> object:
        if not isinstance(path, str) or "://" in path:
            return path
        return os.path.normpath(folder / Path(path).expanduser())

    document = dict(document)
    if "out" in document:
        document["out"] = absolute(document["out"])
    notify = document.get("notify")
    if isinstance(notify, dict) and "summary_file" in notify:
        document["notify"] = {**notify, "summary_file": absolute(notify["summary_file"])}
    source = document.get("source")
    if isinstance(source, dict) and isinstance(source.get("paths"), list):
        document["source"] = {**source, "paths": [_resolved_source(path, folder, absolute) for path in source["paths"]]}
    return document


def _resolved_source(given: object, folder: Path, absolute: Callable[[object], object]) -> object:
    name, path = split_source(given, folder) if isinstance(given, str) else (None, given)
    return absolute(path) if name is None else f"{name}={absolute(path)}"
