"""Combining aligned exposures: robust centre, outliers per exposure, weighted mean."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL, BOOL_3D, F32, F32_2D, F32_3D, F64, F64_1D, I32, I64

_PLANE = types.Array(F32, 2, "C")
_FLAGS = types.Array(BOOL, 3, "C")
_COUNT = types.Array(I32, 2, "C")


@njit(inline="always")
def _insert_sorted(values, count, value):
    """Insert one value into the first ``count`` ascending entries."""
    k = count
    while k > 0 and values[k - 1] > value:
        values[k] = values[k - 1]
        k -= 1
    values[k] = value


@njit([_PLANE(F32_3D, BOOL_3D)], cache=True, nogil=True, error_model="numpy")
def median_of_good(stack, bad):
    """Take the median over exposures of the good pixels.

    Slow definition: ``np.median(stack[~bad[:, y, x], y, x])``.

    Parameters
    ----------
    stack : ndarray, float32, shape (n, ny, nx)
        Aligned exposures, any flux unit.
    bad : ndarray, bool, shape (n, ny, nx)
        True where an exposure must not be used (NaN pixels included).

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        NaN where no exposure is good.
    """
    n, ny, nx = stack.shape
    median = np.full((ny, nx), np.float32(np.nan))
    values = np.empty(n, np.float32)
    for y in range(ny):
        for x in range(nx):
            count = 0
            for k in range(n):
                if not bad[k, y, x]:
                    _insert_sorted(values, count, stack[k, y, x])
                    count += 1
            if count > 0:
                median[y, x] = np.float32(0.5) * (values[(count - 1) // 2] + values[count // 2])
    return median


@njit(inline="always")
def _has_seed(seeds, y, x, radius):
    """Tell whether a seed lies within a square around a pixel."""
    ny, nx = seeds.shape
    for j in range(max(0, y - radius), min(ny, y + radius + 1)):
        for i in range(max(0, x - radius), min(nx, x + radius + 1)):
            if seeds[j, i]:
                return True
    return False


@njit([_FLAGS(F32_3D, F32_3D, BOOL_3D, F32_2D, F32_2D, F64, F64, I64)], cache=True, nogil=True, error_model="numpy")
def reject_outliers(stack, variance, bad, centre, tolerance, threshold, grow_threshold, radius):
    """Find the pixels of each exposure that disagree with the robust centre.

    Slow definition: with ``s^2 = variance + tolerance^2`` a good pixel is a seed where
    ``|stack - centre| > threshold s``, and rejected where it is a seed, or lies within ``radius`` of
    one of the same exposure and deviates by more than ``grow_threshold s``.

    Parameters
    ----------
    stack, variance : ndarray, float32, shape (n, ny, nx)
        Aligned exposures and their variances.
    bad : ndarray, bool, shape (n, ny, nx)
        Pixels that are left out already.
    centre, tolerance : ndarray, float32, shape (ny, nx)
        Robust centre, and what seeing changes may move a pixel besides noise [unit of the stack].
    threshold, grow_threshold : float
        Limits in standard deviations.
    radius : int
        Reach of the second limit around a seed [px].

    Returns
    -------
    ndarray, bool, shape (n, ny, nx)
        Newly rejected pixels; False where ``bad``.
    """
    n, ny, nx = stack.shape
    rejected = np.zeros((n, ny, nx), np.bool_)
    seeds = np.empty((ny, nx), np.bool_)
    high = threshold * threshold
    low = grow_threshold * grow_threshold
    for k in range(n):
        found = 0
        for y in range(ny):
            for x in range(nx):
                deviation = stack[k, y, x] - centre[y, x]
                allowed = variance[k, y, x] + tolerance[y, x] * tolerance[y, x]
                seeds[y, x] = (not bad[k, y, x]) & (deviation * deviation > high * allowed)
                found += seeds[y, x]
        if found == 0:
            continue
        for y in range(ny):
            for x in range(nx):
                if bad[k, y, x]:
                    continue
                deviation = stack[k, y, x] - centre[y, x]
                allowed = variance[k, y, x] + tolerance[y, x] * tolerance[y, x]
                if deviation * deviation > low * allowed:
                    rejected[k, y, x] = seeds[y, x] or _has_seed(seeds, y, x, radius)
    return rejected


@njit(
    [types.Tuple((_PLANE, _PLANE, _COUNT))(F32_3D, F32_3D, BOOL_3D, F64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def weighted_mean(stack, variance, bad, weights):
    """Average exposures with one weight each and propagate the variance.

    Slow definition: over the good exposures ``m = sum w I / sum w``, ``v = sum w^2 V / (sum w)^2``.

    Parameters
    ----------
    stack, variance : ndarray, float32, shape (n, ny, nx)
        Aligned exposures and their variances.
    bad : ndarray, bool, shape (n, ny, nx)
        Pixels to leave out.
    weights : ndarray, float64, shape (n,)
        Weight of each exposure, all positive.

    Returns
    -------
    mean, mean_variance : ndarray, float32, shape (ny, nx)
        NaN where no exposure is good.
    count : ndarray, int32, shape (ny, nx)
        Exposures that entered.
    """
    n, ny, nx = stack.shape
    mean = np.empty((ny, nx), np.float32)
    mean_variance = np.empty((ny, nx), np.float32)
    count = np.zeros((ny, nx), np.int32)
    total = np.empty(nx)
    noise = np.empty(nx)
    weight = np.empty(nx)
    for y in range(ny):
        total[:] = 0.0
        noise[:] = 0.0
        weight[:] = 0.0
        for k in range(n):
            w = weights[k]
            for x in range(nx):
                if not bad[k, y, x]:
                    total[x] += w * stack[k, y, x]
                    noise[x] += w * w * variance[k, y, x]
                    weight[x] += w
                    count[y, x] += 1
        for x in range(nx):
            mean[y, x] = total[x] / weight[x]
            mean_variance[y, x] = noise[x] / (weight[x] * weight[x])
    return mean, mean_variance, count
