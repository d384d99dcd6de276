"""From what a user writes after --schema to a JSON Schema, checked before anything is spent."""

import importlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.api.structured.normalise import normalise, resolve
from pipeline.errors import UserError

_MODEL = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")


def load_schema(given: str | Mapping[str, Any], folder: Path) -> str:
    """The schema as compact JSON, from a file, `module:Model` of pydantic, a table of a job file, or JSON itself.

    Relative paths start at `folder`; modules are looked for there too. UserError says what is wrong with it.
    """
    if isinstance(given, Mapping):
        return check_schema(dict(given), "The schema")
    if given.lstrip().startswith("{"):
        return _checked_text(given)
    if model := _MODEL.fullmatch(given):
        return check_schema(_of_model(model["module"], model["name"], folder), f"The schema of {given}")
    file = folder / Path(given).expanduser()
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no schema file {given!r}; give FILE.json, or MODULE:MODEL of pydantic.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The schema file {given!r} cannot be read: {error}") from None
    return check_schema(_parsed(text, f"The schema in {given}"), f"The schema in {given}")


@lru_cache(maxsize=8)  # a job is made anew with each overlay
def _checked_text(text: str) -> str:
    return check_schema(_parsed(text, "The schema"), "The schema")


def check_schema(schema: Any, what: str) -> str:
    """The schema as compact JSON; UserError unless answers can be held to it and its root makes columns."""
    import jsonschema  # 0.1 s

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        place = ".".join(map(str, error.absolute_path))
        raise UserError(f"{what} is no JSON Schema{f' at {place}' if place else ''}: {error.message[:200]}") from None
    _check_references(schema, what)
    root = normalise(schema) if isinstance(schema, dict) else {}
    if root.get("type") != "object" or not root.get("properties"):
        raise UserError(f"{what} must describe an object with properties, which become those of column `fields`.")
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} is not JSON: {error}") from None


def _of_model(module: str, name: str, folder: Path) -> Any:
    from pydantic import PydanticUserError, TypeAdapter

    found = _imported(module, folder)
    try:
        for step in name.split("."):
            found = getattr(found, step)
        return TypeAdapter(found).json_schema()
    except AttributeError:
        raise UserError(f"The module {module} has no {name!r}; --schema takes MODULE:MODEL.") from None
    except PydanticUserError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{module}:{name} has no JSON Schema: {reason}") from None


def _imported(module: str, folder: Path) -> Any:
    """Looked for in the user's folder first, as `python -m` does."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's code does
        told = str(error) or type(error).__name__
        raise UserError(f"The module {module} of --schema cannot be imported: {told}") from None
    finally:
        sys.path.remove(str(folder))


def _check_references(schema: Any, what: str) -> None:
    for reference in (*_values_of("$ref", schema), *_values_of("$dynamicRef", schema)):
        passed: set[str] = set()
        following: Any = reference
        while isinstance(following, str):
            if following in passed:
                raise UserError(f"{what} refers to {reference!r}, which refers to nothing but itself.")
            passed.add(following)
            try:
                found = resolve(following, schema)
            except (KeyError, IndexError, ValueError, TypeError):
                raise UserError(f"{what} refers to {following!r}, which it does not hold.") from None
            following = found.get("$ref") if isinstance(found, Mapping) else None


def _values_of(name: str, schema: Any) -> Iterator[str]:
    """Of all keywords of that name."""
    if isinstance(schema, Mapping):
        if isinstance(found := schema.get(name), str):
            yield found
        for value in schema.values():
            yield from _values_of(name, value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _values_of(name, value)
