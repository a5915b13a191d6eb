"""Rows of tables for JSON: identifiers as strings, NaN as null."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.table.table import Table


def json_rows(table: Table) -> list[dict[str, Any]]:
    """Return the rows as dictionaries that any JSON reader understands without loss.

    64-bit integers become strings, because JavaScript rounds them beyond 2**53; NaN and infinities become None.

    Parameters
    ----------
    table : Table
        Any table.

    Returns
    -------
    list of dict
    """
    columns = [_jsonable(table[name]) for name in table.names]
    return [dict(zip(table.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _jsonable(array: NDArray[Any]) -> list[Any]:
    if array.dtype == np.int64:
        return [str(value) for value in array.tolist()]
    if array.dtype.kind == "f":
        return [value if finite else None for value, finite in zip(array.tolist(), np.isfinite(array), strict=True)]
    return list(array.tolist())
