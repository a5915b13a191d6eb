"""Numbers that JSON can hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return a value of dicts, lists, text and numbers only.

    Parameters
    ----------
    value : object
        May hold numpy scalars and arrays; NaN and infinities become None.

    Returns
    -------
    object
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def median(values: Any) -> float | None:
    """Return the median of the finite values; None where there is none."""
    array = np.asarray(values, float)
    finite = array[np.isfinite(array)]
    return float(np.median(finite)) if finite.size else None
