"""Robust combination of a stack of images."""

import numpy as np
from numba import njit

from etendue.kernels.types import F32_3D, F64


@njit(cache=True, nogil=True, error_model="numpy")
def _insertion_sort(values, n):
    """Sort the first ``n`` values in place: the stacks are short."""
    for i in range(1, n):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(cache=True, nogil=True, error_model="numpy")
def _middle(values, n):
    """Return the median of ``n`` sorted values."""
    return 0.5 * (values[(n - 1) // 2] + values[n // 2])


@njit(cache=True, nogil=True, error_model="numpy")
def _clipped(values, n, low, high):
    """Return mean, variance of the mean and number of the values inside ``[low, high]``."""
    total = square = 0.0
    count = 0
    for i in range(n):
        if low <= values[i] <= high:
            total += values[i]
            square += values[i] * values[i]
            count += 1
    mean = total / count
    spread = max(square / count - mean * mean, 0.0)
    return mean, spread / max(count - 1, 1), count


@njit([(F32_3D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def clipped_mean_stack(stack, clip, sigma_floor):
    """Average a stack along its first axis without its outliers.

    Slow definition, per pixel: with the median ``m`` of the finite values and
    ``s = max(1.4826 * median(|v - m|), sigma_floor)``, average the values with ``|v - m| <= clip * s``.
    The floor matters for integer counts, whose median deviation can be zero.

    Parameters
    ----------
    stack : ndarray, float32, shape (n, ny, nx)
        Images; NaN pixels do not enter.
    clip : float
        Clipping radius [sigma].
    sigma_floor : float
        Smallest sigma, in the unit of the stack.

    Returns
    -------
    mean, variance : ndarray, float32, shape (ny, nx)
        Clipped mean and the variance of that mean, from the scatter of the values; NaN where
        nothing is finite. The variance is 0 where one value is left.
    count : ndarray, int32, shape (ny, nx)
        Number of values averaged.
    """
    n, ny, nx = stack.shape
    mean = np.full((ny, nx), np.nan, dtype=np.float32)
    variance = np.full((ny, nx), np.nan, dtype=np.float32)
    count = np.zeros((ny, nx), dtype=np.int32)
    values = np.empty(n)
    deviations = np.empty(n)
    for row in range(ny):
        for col in range(nx):
            used = 0
            for i in range(n):
                if np.isfinite(stack[i, row, col]):
                    values[used] = stack[i, row, col]
                    used += 1
            if used == 0:
                continue
            _insertion_sort(values, used)
            center = _middle(values, used)
            for i in range(used):
                deviations[i] = abs(values[i] - center)
            _insertion_sort(deviations, used)
            radius = clip * max(1.4826 * _middle(deviations, used), sigma_floor)
            for i in range(used):  # offsets from the median keep the sums of squares exact
                values[i] -= center
            offset, mean_variance, count[row, col] = _clipped(values, used, -radius, radius)
            mean[row, col] = center + offset
            variance[row, col] = mean_variance
    return mean, variance, count
