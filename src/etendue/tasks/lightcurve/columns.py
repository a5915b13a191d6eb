"""Reductions over the frames of a series, star by star."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


def reduce_frames(function: Callable[..., NDArray], value: Real) -> Real:
    """Apply a NaN-aware reduction to every star that has a number.

    Parameters
    ----------
    function : callable
        Takes an array and ``axis``, such as `numpy.nanmedian`.
    value : ndarray, float64, shape (n_frames, n_stars)
        Values.

    Returns
    -------
    ndarray, float64, shape (n_stars,)
        NaN for stars without a number.
    """
    found = np.full(value.shape[1], np.nan)
    some = np.isfinite(value).any(axis=0)
    found[some] = function(value[:, some], axis=0)
    return found
