"""The signal at which pixels are full: where the variance of flats begins to drop."""

from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_SAFE = 0.6  # of the highest signal: below it no pixel is full
_BIN = 0.004  # of the highest signal
_FEWEST = 12
_ROUNDS = 3
_ERRORS = 3.0
_NEARLY = 0.97  # of the turn-off of the last round


def measure_turnoff(signal: Vector, variance: Vector, *, drop: float) -> float:
    """Find where the variance falls below a smooth continuation of the curve, for good.

    Cells of an amplifier are used one by one, so uneven light samples the curve between the levels. The curve is a
    quadratic of variance over signal, fitted below 60% of the highest signal, then as far as it holds; where it is
    continued over a gap between the levels its error is allowed for.

    Parameters
    ----------
    signal, variance : ndarray, float64, shape (n,)
        Of cells of flats at many levels [ADU, ADU**2]; NaN is left out.
    drop : float
        Fraction of the variance that is missing at the turn-off.

    Returns
    -------
    float
        [ADU]; NaN if the variance never drops, or nothing can be said.
    """
    known = np.isfinite(signal) & np.isfinite(variance) & (signal > 0.0)
    x, ratio = signal[known], variance[known] / signal[known]
    if x.size == 0:
        return nan
    top = float(x.max())
    found, limit = nan, _SAFE * top
    for _ in range(_ROUNDS):  # the curve is followed up to where the last round saw no drop
        low = (x < limit) & (x > 0.02 * top)
        if low.sum() < _FEWEST:
            return nan
        high = x >= _SAFE * top
        expected = _at_least(x[low] / top, ratio[low], x[high] / top)
        found = _crossing(x[high], ratio[high] / expected, _BIN * top, 1.0 - drop)
        limit = _NEARLY * found if isfinite(found) else top
    return found


def _at_least(x: Vector, y: Vector, places: Vector) -> Vector:
    """Return a quadratic through points, continued to other places, less three of its errors; positive."""
    powers, there = (np.stack([v * v, v, np.ones_like(v)], axis=1) for v in (x, places))
    inverse = np.linalg.inv(powers.T @ powers)
    curve = inverse @ (powers.T @ y)
    scatter = float(np.std(y - powers @ curve))
    error = scatter * np.sqrt(np.einsum("ij,jk,ik->i", there, inverse, there))
    return np.asarray(np.maximum(there @ curve - _ERRORS * error, 1e-3 * np.abs(y).max()))


def _crossing(signal: Vector, relative: Vector, width: float, threshold: float) -> float:
    """Return where the median of bins falls below a threshold for good; NaN if it does not."""
    place = np.floor(signal / width).astype(np.int64)
    bins = np.unique(place)
    middle, median = (np.array([np.median(v[place == k]) for k in bins]) for v in (signal, relative))
    full = median < threshold
    if not full[-1]:
        return nan
    first = int(np.flatnonzero(~full)[-1]) + 1 if (~full).any() else 0
    if first == 0:
        return float(middle[0])
    part = (median[first - 1] - threshold) / (median[first - 1] - median[first])
    return float(middle[first - 1] + part * (middle[first] - middle[first - 1]))
