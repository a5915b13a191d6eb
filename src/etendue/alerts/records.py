"""Rows of tables as Avro records, converted column by column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.table.table import Table

Record = dict[str, Any]


def avro_records(table: Table, definition: Record) -> list[Record]:
    """Return the rows of a table as records of an Avro definition.

    Parameters
    ----------
    table : Table
        Fields that the table lacks, or the bands it lacks, are null or zero.
    definition : dict
        An Avro record definition.

    Returns
    -------
    list of dict
        Nullable fields read None for NaN, for the id 0 and for "".
    """
    fields = definition["fields"]
    columns = [_column(table, field) for field in fields]
    names = [field["name"] for field in fields]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _column(table: Table, field: Record) -> list[Any]:
    nullable = isinstance(field["type"], list)
    if field["name"] not in table:
        kind = next(option for option in field["type"] if option != "null") if nullable else field["type"]
        return [None if nullable else {"int": 0, "long": 0, "boolean": False, "string": ""}.get(kind, np.nan)] * len(
            table
        )
    array = table[field["name"]]
    values: list[Any] = array.tolist()
    if not nullable or array.dtype.kind == "b":
        return values
    return [value if keep else None for value, keep in zip(values, _is_set(array), strict=True)]


def _is_set(array: NDArray[Any]) -> NDArray[np.bool_]:
    if array.dtype.kind == "f":
        return ~np.isnan(array)
    return np.asarray(array != ("" if array.dtype.kind == "U" else 0), np.bool_)
