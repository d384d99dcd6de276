"""jsonschema's validator, safe to run on answers that somebody means harm with: on the event loop, which they must not
hold up. Nothing is fetched, and hardly a rule takes more than time in proportion to the answer.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry


def make_validator(schema: Any) -> Any:
    """Of values by a schema that `loading.check_schema` has let pass."""
    registry: Registry[Any] = Registry()  # jsonschema's own fetches what a reference names
    return _Validator(schema, registry=registry)


@lru_cache(maxsize=64)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text holds the pattern: by Rust's regular expressions, in linear time, where Python's take for ever
    for `^(a+)+$` on 60 letters. Look-around and back-references, which Rust's do not have, are left to Python's.
    """
    try:
        bounded = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        search = re.compile(pattern).search
        return lambda text: search(text) is not None
    return bounded.isinstance_python


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matcher(pattern)(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Not by comparing each with each, which took more than 8 s for 20,000 objects."""
    if (
        wanted
        and isinstance(instance, list)
        and len({json.dumps(item, sort_keys=True) for item in instance}) < len(instance)
    ):
        yield ValidationError(f"{instance!r} has non-unique elements")


_Validator: Any = validators.extend(Draft202012Validator, {"pattern": _pattern, "uniqueItems": _unique_items})  # type: ignore[no-untyped-call]
