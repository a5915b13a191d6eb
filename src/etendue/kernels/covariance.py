"""Covariances of neighbouring pixels in differences of flats."""

import numpy as np
from numba import njit, types
from scipy.special import erf

from etendue.kernels.types import F32_2D, F64, I64

_RESULT = types.UniTuple(types.Array(types.float64, 2, "C"), 2)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _dot(one, other):
    """Return the sum of products; a function of its own, which compiles to vector instructions."""
    total = np.float32(0.0)
    for col in range(one.size):
        total += one[col] * other[col]
    return total


@njit([_RESULT(F32_2D, F32_2D, I64)], cache=True, nogil=True, error_model="numpy")
def lagged_products(residual, weight, lag):
    """Sum the products of pixels at every offset, opposite and mirrored offsets together.

    The slow definition: ``products[j, i]`` is the sum of ``residual[y, x] * residual[y + j, x + i]`` and, where neither
    ``i`` nor ``j`` is 0, of ``residual[y, x] * residual[y + j, x - i]``, over all pixels for which both are inside;
    ``pairs`` is the same of ``weight``.

    Parameters
    ----------
    residual : ndarray, float32, shape (ny, nx)
        Difference less its mean; 0 where unusable.
    weight : ndarray, float32, shape (ny, nx)
        1 where usable, 0 elsewhere.
    lag : int
        Largest offset along each axis [px].

    Returns
    -------
    products, pairs : ndarray, float64, shape (lag + 1, lag + 1)
        Sums ``[rows apart, columns apart]``.
    """
    ny, nx = residual.shape
    products, pairs = np.zeros((lag + 1, lag + 1)), np.zeros((lag + 1, lag + 1))
    for row in range(ny):
        for j in range(min(lag + 1, ny - row)):
            here, there = residual[row], residual[row + j]
            mine, theirs = weight[row], weight[row + j]
            for i in range(min(lag + 1, nx)):
                products[j, i] += _dot(here[: nx - i], there[i:])
                pairs[j, i] += _dot(mine[: nx - i], theirs[i:])
                if i > 0 and j > 0:
                    products[j, i] += _dot(here[i:], there[: nx - i])
                    pairs[j, i] += _dot(mine[i:], theirs[: nx - i])
    return products, pairs


def truncated_variance(clip: float) -> float:
    """Return the variance of a unit normal distribution cut at a radius.

    Covariances of weakly correlated normal pixels, both cut, shrink by its square.

    Parameters
    ----------
    clip : float
        Radius [sigma].

    Returns
    -------
    float
    """
    inside = float(erf(clip / np.sqrt(2.0)))
    return 1.0 - clip * float(np.sqrt(2.0 / np.pi) * np.exp(-0.5 * clip * clip)) / inside


@njit([types.UniTuple(types.float64, 3)(F32_2D, F64, F64)],
      cache=True, nogil=True, error_model="numpy")  # fmt: skip
def moments_within(values, center, radius):
    """Return number, mean and variance of the values within a radius.

    Parameters
    ----------
    values : ndarray, float32, shape (ny, nx)
        Values; NaN is left out.
    center, radius : float
        Values with ``abs(value - center) <= radius`` count.

    Returns
    -------
    count, mean, variance : float
        Mean and variance are NaN without values.
    """
    count, total, squares = 0, 0.0, 0.0
    for row in range(values.shape[0]):
        for col in range(values.shape[1]):
            off = values[row, col] - center
            if abs(off) <= radius:
                count += 1
                total += off
                squares += off * off
    mean = total / count if count > 0 else np.nan
    variance = squares / count - mean * mean if count > 0 else np.nan
    return float(count), center + mean, variance


@njit([types.Array(types.float64, 3, "C")(F32_2D, F32_2D, F64, I64)], cache=True, nogil=True, error_model="numpy")
def cell_moments(signal, residual, radius, size):
    """Return the mean signal and the variance of the residual in square cells.

    Parameters
    ----------
    signal, residual : ndarray, float32, shape (ny, nx)
        Signal, and noise of zero mean; NaN in either leaves the pixel out.
    radius : float
        Residuals beyond it are left out.
    size : int
        Side of a cell [px]; what is left of the image after the last whole cell is not used.

    Returns
    -------
    ndarray, float64, shape (3, my, mx)
        Number of pixels, mean signal and variance about 0; NaN without pixels.
    """
    my, mx = signal.shape[0] // size, signal.shape[1] // size
    out = np.zeros((3, my, mx))
    for row in range(my * size):
        for col in range(mx * size):
            j, i = row // size, col // size
            value, level = residual[row, col], signal[row, col]
            if abs(value) <= radius and not np.isnan(level):
                out[0, j, i] += 1.0
                out[1, j, i] += level
                out[2, j, i] += value * value
    for j in range(my):
        for i in range(mx):
            count = out[0, j, i] if out[0, j, i] > 0.0 else np.nan
            out[1, j, i] /= count
            out[2, j, i] /= count
    return out
