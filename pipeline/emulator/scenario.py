"""A scenario file: the endpoints of one emulator and what goes wrong when, in TOML. Reads that file and nothing else.

`[[endpoint]]` tables have a `name` and fields of EndpointOptions; what they leave out is as the emulator's own. They
answer under `/NAME/v1` and `/NAME/openai`. `[[step]]` tables have fields of Step.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.emulator.faults import Step, check_fault
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
RESERVED = frozenset(("v1", "openai", "stats", "reset", "health"))
"""First parts of paths that mean something else."""

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario file says."""

    endpoints: Mapping[str, Mapping[str, Any]]
    """By name, what differs from the emulator's endpoint of that name, or from its own options."""
    steps: tuple[Step, ...]

    def applied_to(self, options: EmulatorOptions) -> EmulatorOptions:
        """The same emulator with these endpoints and steps."""
        endpoints = dict(options.endpoints)
        for name, table in self.endpoints.items():
            like = endpoints.get(name, options)
            own = {field.name: getattr(like, field.name) for field in fields(EndpointOptions)}
            endpoints[name] = EndpointOptions(**{**own, **table})
        return replace(options, endpoints=endpoints, scenario=(*options.scenario, *self.steps))


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises UserError that names the place of what is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"Scenario {path} cannot be read: {error}.") from None
    endpoints = _tables(document, "endpoint", path)
    steps = _tables(document, "step", path)
    if not document or document.keys() - {"endpoint", "step"}:
        raise UserError(f"Scenario {path} must hold [[endpoint]] and [[step]] tables and nothing else.")
    return Scenario(
        dict(_read_endpoint(table, where) for where, table in endpoints),
        tuple(_read_step(table, where) for where, table in steps),
    )


def check_name(name: object, where: str) -> str:
    """`name` as it may stand first in a path; UserError when it may not."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise UserError(f"The name {name!r} in {where} cannot be part of an address; give letters, digits, '-' or '_'.")
    return name


def _tables(document: Mapping[str, Any], kind: str, path: Path) -> list[tuple[str, dict[str, Any]]]:
    tables = document.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"Scenario {path}: write [[{kind}]], with two brackets.")
    return [(f"{kind} {number} of scenario {path}", table) for number, table in enumerate(tables, 1)]


def _read_endpoint(table: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    _check_keys(table, {"name", *(field.name for field in fields(EndpointOptions))}, where)
    name = check_name(table.pop("name", None), where)
    _build(EndpointOptions, table, where)
    return name, table


def _read_step(table: dict[str, Any], where: str) -> Step:
    if "fault" not in table:
        raise UserError(f"No fault is named in {where}.")
    _check_keys(table, {field.name for field in fields(Step)}, where)
    check_fault(str(table["fault"]), where)
    return _build(Step, table, where)


def _build(kind: type[Options], table: Mapping[str, Any], where: str) -> Options:
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{'.'.join(map(str, first['loc']))} in {where}: {first['msg']}.") from None


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table.keys() - known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}."
        raise UserError(f"Unknown key {key!r} in {where}; {hint}")
