"""Tables as pyarrow tables, their meaning in the metadata."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.schema.column import Column
from etendue.schema.table_schema import TableSchema, load_schema
from etendue.table.conform import conform
from etendue.table.table import Table

_TYPES = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "int16": pa.int16(),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "bool": pa.bool_(),
    "string": pa.string(),
}


def to_arrow(table: Table) -> pa.Table:
    """Return a pyarrow table with units, UCDs and docs on its fields; NaN becomes null.

    To SQL a NaN is the largest number, so that ``psfFlux > 0`` would find what was never measured; and DuckDB 2.0
    skips the wrong rows when a Parquet column holds NaN.

    Parameters
    ----------
    table : Table
        Any table.

    Returns
    -------
    pyarrow.Table
        Its metadata name the schema (``etendue.table``), its version and the facts (``etendue.meta``, JSON).
    """
    columns = [table.schema.column(name) for name in table.names]
    metadata = {
        "etendue.table": table.schema.name,
        "etendue.version": str(table.schema.version),
        "etendue.meta": json.dumps(dict(table.meta), sort_keys=True),
        "description": table.schema.description,
    }
    arrays = [pa.array(table[column.name], _TYPES[column.type], from_pandas=True) for column in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema([arrow_field(c) for c in columns], metadata))


def arrow_field(column: Column) -> pa.Field:
    """Return the pyarrow field of a column, with unit, UCD and doc.

    Parameters
    ----------
    column : Column
        A column, no template.

    Returns
    -------
    pyarrow.Field
    """
    metadata = {"unit": column.unit, "ucd": column.ucd, "description": column.doc}
    return pa.field(column.name, _TYPES[column.type], metadata={key: value for key, value in metadata.items() if value})


def from_arrow(arrow: pa.Table, schema: str | TableSchema | None = None) -> Table:
    """Return the table that a pyarrow table holds, with the columns it has.

    Parameters
    ----------
    arrow : pyarrow.Table
        Some or all columns of a schema. Columns unknown to the schema are dropped when another version wrote them.
    schema : str or TableSchema, optional
        By default the one named in the metadata.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If no schema is known or a column does not fit it.
    """
    metadata = {key.decode(): value.decode() for key, value in (arrow.schema.metadata or {}).items()}
    named = schema if schema is not None else metadata.get("etendue.table")
    if named is None:
        raise InputError("this Parquet data names no etendue schema", remedy="pass schema=, or use formats.read_any")
    known = load_schema(named) if isinstance(named, str) else named
    foreign = metadata.get("etendue.version") != str(known.version)
    names = [name for name in arrow.column_names if not (foreign and not _knows(known, name))]
    columns = {name: _numpy(known.column(name), arrow.column(name), known.name) for name in names}
    return Table._of(known, columns, json.loads(metadata.get("etendue.meta", "{}")))


def _knows(schema: TableSchema, name: str) -> bool:
    try:
        schema.column(name)
    except InputError:
        return False
    return True


def _numpy(column: Column, data: pa.ChunkedArray, table: str) -> NDArray[Any]:
    if data.null_count:
        data = data.fill_null(pa.scalar(column.null, data.type))
    array = data.to_numpy()
    if column.type == "string":
        array = np.asarray(array.tolist(), np.str_)
    return conform(column, array, table)
