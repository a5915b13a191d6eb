"""Robust combination of a stack of images."""

import numpy as np
from numba import njit

from etendue.kernels.types import F32_3D, F64, F64_1D


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


@njit([(F32_3D, F64_1D, F64)], cache=True, nogil=True, error_model="numpy")
def weighted_mean_stack(stack, sigma, clip):
    """Average images of different noise with weights ``1 / sigma**2``, without outliers.

    Slow definition, per pixel: with the median ``m`` of the finite values, average the values with
    ``|v - m|**2 <= clip**2 * (sigma**2 + c**2)``; ``c**2 = 1.571 * median(sigma)**2 / n`` is about the variance of the
    median. All of them if none is that near.

    Parameters
    ----------
    stack : ndarray, float32, shape (n, ny, nx)
        Images; NaN pixels do not enter.
    sigma : ndarray, float64, shape (n,)
        Noise of each image, in the unit of the stack.
    clip : float
        Clipping radius [sigma of the image].

    Returns
    -------
    mean, variance : ndarray, float32, shape (ny, nx)
        Weighted mean and the variance of that mean, from the weighted scatter of the values; NaN where nothing is
        finite. The variance is 0 where one value is left.
    """
    n, ny, nx = stack.shape
    mean = np.full((ny, nx), np.nan, dtype=np.float32)
    variance = np.full((ny, nx), np.nan, dtype=np.float32)
    values = sigma.copy()
    _insertion_sort(values, n)
    limit = clip * np.sqrt(sigma**2 + 1.571 * _middle(values, n) ** 2 / n)
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
            near = 0
            for i in range(n):
                if abs(stack[i, row, col] - center) <= limit[i]:
                    near += 1
            total = weights = square = 0.0
            count = 0
            for i in range(n):
                offset = stack[i, row, col] - center
                if np.isfinite(offset) and (near == 0 or abs(offset) <= limit[i]):
                    weight = 1.0 / (sigma[i] * sigma[i])
                    total += weight * offset
                    square += weight * offset * offset
                    weights += weight
                    count += 1
            away = total / weights
            mean[row, col] = center + away
            variance[row, col] = max(square / weights - away * away, 0.0) / max(count - 1, 1)
    return mean, variance


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_rate(charge, seconds, read_variance, used, guess):
    """Return the rate of weighted least squares and its variance; the weights are for the guessed rate."""
    top = bottom = 0.0
    for i in range(charge.size):
        if used[i]:
            variance = read_variance + max(guess, 0.0) * seconds[i]
            top += charge[i] * seconds[i] / variance
            bottom += seconds[i] * seconds[i] / variance
    return (top / bottom, 1.0 / bottom) if bottom > 0.0 else (np.nan, np.nan)


@njit([(F32_3D, F64_1D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def clipped_rate_stack(stack, seconds, read_variance, clip):
    """Fit the rate of each pixel to charges collected in different times, without outliers.

    Slow definition, per pixel: start at the median of ``charge / seconds``; leave out what departs from
    ``rate * seconds`` by ``clip`` sigmas, with ``sigma**2 = read_variance + rate * seconds``; fit the rest with
    weights ``1 / sigma**2``; three times.

    Parameters
    ----------
    stack : ndarray, float32, shape (n, ny, nx)
        Charges [e]; NaN pixels do not enter.
    seconds : ndarray, float64, shape (n,)
        Times [s].
    read_variance : float
        Variance of a pixel without charge [e**2].
    clip : float
        Clipping radius [sigma].

    Returns
    -------
    rate, variance : ndarray, float32, shape (ny, nx)
        Rate [e/s] and its variance; NaN where nothing is finite.
    """
    n, ny, nx = stack.shape
    rate = np.full((ny, nx), np.nan, dtype=np.float32)
    variance = np.full((ny, nx), np.nan, dtype=np.float32)
    charge, ratios, used = np.empty(n), np.empty(n), np.empty(n, dtype=np.bool_)
    for row in range(ny):
        for col in range(nx):
            count = 0
            for i in range(n):
                charge[i] = stack[i, row, col]
                used[i] = np.isfinite(charge[i])
                if used[i]:
                    ratios[count] = charge[i] / seconds[i]
                    count += 1
            if count == 0:
                continue
            _insertion_sort(ratios, count)
            guess, spread = _middle(ratios, count), np.nan
            for _ in range(3):
                for i in range(n):
                    sigma = np.sqrt(read_variance + max(guess, 0.0) * seconds[i])
                    used[i] = abs(charge[i] - guess * seconds[i]) <= clip * sigma  # never where it is NaN
                fitted, fitted_variance = _weighted_rate(charge, seconds, read_variance, used, guess)
                if np.isnan(fitted):
                    break
                guess, spread = fitted, fitted_variance
            rate[row, col], variance[row, col] = guess, spread
    return rate, variance
