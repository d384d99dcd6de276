"""One type of column `fields` for all parts of an output, when runs with different schemas made them. Knows no files.

Readers that take the columns of the first file they see (pandas, DuckDB without union_by_name) would leave out what
other parts hold, without a word. So a run ends with one type in all parts: structs with the properties of all, integers
beside doubles as doubles, and what has two types that do not go together as text, values that were none as JSON.
"""

import json
from collections.abc import Iterable
from functools import reduce
from typing import Any

import pyarrow as pa

COLUMN = "fields"


def unified_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """The first schema with the type of `fields` that holds what all of them hold."""
    first, *others = schemas
    number = first.get_field_index(COLUMN)
    merged = reduce(_merged, (schema.field(COLUMN).type for schema in (first, *others)))
    return first.set(number, first.field(number).with_type(merged))


def with_fields_as(table: pa.Table, type_: pa.DataType) -> pa.Table:
    """The same rows, their `fields` in the unified type."""
    number = table.schema.get_field_index(COLUMN)
    own = table.schema.field(number)
    if own.type == type_:
        return table
    if table[COLUMN].null_count == len(table):  # of a job without a schema
        return table.set_column(number, own.with_type(type_), pa.nulls(len(table), type_))
    values = [_converted(value, own.type, type_) for value in table[COLUMN].to_pylist()]
    return table.set_column(number, own.with_type(type_), pa.array(values, type_))


def _merged(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields = {field.name: field for field in one}
        for field in other:
            known = fields.get(field.name)
            fields[field.name] = known.with_type(_merged(known.type, field.type)) if known else field
        return pa.struct(list(fields.values()))
    if pa.types.is_list(one) and pa.types.is_list(other):
        return pa.list_(_merged(one.value_type, other.value_type))
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def _converted(value: Any, own: pa.DataType, wanted: pa.DataType) -> Any:
    if value is None or own == wanted:
        return value
    if pa.types.is_string(wanted):
        return json.dumps(value, ensure_ascii=False)
    if pa.types.is_list(wanted):
        return [_converted(item, own.value_type, wanted.value_type) for item in value]
    if pa.types.is_struct(wanted):
        types = {field.name: field.type for field in own}
        return {
            field.name: _converted(value.get(field.name), types.get(field.name, field.type), field.type)
            for field in wanted
        }
    return value
