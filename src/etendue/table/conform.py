"""Bring an array to the type of its column, or say why that cannot be done."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.schema.column import Column


def conform(column: Column, value: ArrayLike, table: str) -> NDArray[Any]:
    """Return ``value`` as a one-dimensional contiguous array of the column's type.

    Floats narrow silently, integers only if every value fits; masked values become the column's null.

    Parameters
    ----------
    column : Column
        What is wanted.
    value : array_like
        Shape (n,).
    table : str
        Name of the table, for the message.

    Returns
    -------
    ndarray, shape (n,)
        A copy unless ``value`` is read-only already.

    Raises
    ------
    InputError
        If the shape is wrong or the values do not fit the type.
    """
    array = _unmasked(column, value)
    if array.ndim != 1:
        raise InputError("a column has one dimension", source=f"table {table}.{column.name}", value=array.shape)
    if not _fits(column, array):
        message = f"values of type {array.dtype} do not fit type {column.type}"
        raise InputError(message, source=f"table {table}.{column.name}", value=_example(column, array))
    wanted = np.asarray(array, column.dtype if column.type != "string" else None)
    wanted = wanted.astype(np.str_) if column.type == "string" and wanted.dtype.kind != "U" else wanted
    shared = wanted is array and array.flags.writeable
    return wanted.copy() if shared else np.ascontiguousarray(wanted)


def _unmasked(column: Column, value: ArrayLike) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        numeric = value.dtype.kind in "iuf" and column.dtype.kind == "f"  # an int array cannot hold the NaN
        typed: np.ma.MaskedArray[Any, Any] = value.astype(column.dtype) if numeric else value  # type: ignore[assignment]
        return np.asarray(typed.filled(column.null))
    array = np.asarray(value)
    if array.dtype.kind == "O":
        array = np.asarray([column.null if item is None else item for item in array.tolist()])
    return array if array.size else array.astype(column.dtype)


def _fits(column: Column, array: NDArray[Any]) -> bool:
    kind, wanted = array.dtype.kind, column.dtype.kind
    if kind in "iu" and wanted == "i" and array.size:
        limits = np.iinfo(column.dtype)
        return bool(limits.min <= array.min() and array.max() <= limits.max)
    return kind in {"i": "iu", "f": "fiu", "b": "b", "U": "US"}[wanted]


def _example(column: Column, array: NDArray[Any]) -> object:
    if not array.size:
        return None
    largest = int(np.argmax(np.abs(array))) if array.dtype.kind in "iu" else 0
    return array[largest].item() if hasattr(array[largest], "item") else array[largest]
