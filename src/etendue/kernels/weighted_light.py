"""Weighted sums of the light of sources: with given weights, and with Gaussians of their own shape, on plain arrays."""

import math

import numpy as np
from numba import njit, types

from etendue.kernels.noise_products import correlated_products
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_3D, I64, I64_1D

_TABLE = types.Array(types.float64, 2, "C")
_LINE = types.Array(types.float64, 1, "C")


@njit(
    [
        _TABLE(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_3D, I64_1D, I64_1D, F64_2D, I64
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def weighted_fluxes(
    residual, variance, bad, value, offset, x0, y0, width, height, weights, weight_x0, weight_y0, correlation, first
):
    """Sum the light of some sources times the weights of their pixels.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the noise variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    weights : ndarray, float64, shape (m, k, k)
        Weights of the pixels of sources ``first`` to ``first + m - 1``.
    weight_x0, weight_y0 : ndarray, int64, shape (m,)
        Image pixel of each stamp's first sample.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.
    first : int
        First source.

    Returns
    -------
    ndarray, float64, shape (m, 3)
        Sum, its error, and the part of the squared weights on pixels that are bad or outside the image; if these are
        all, sum and error are NaN.
    """
    m, size, (ny, nx) = weights.shape[0], weights.shape[1], residual.shape
    out = np.full((m, 3), np.nan)
    window, unusable, noise = np.empty((size, size)), np.empty((size, size), np.bool_), np.empty((1, 1))
    field = np.empty((1, size, size))
    for k in range(m):
        s, left, low = first + k, weight_x0[k], weight_y0[k]
        cut_alone(residual, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, window, unusable)
        total = lost = whole = 0.0
        for j in range(size):
            for i in range(size):
                weight = weights[k, j, i]
                total += weight * window[j, i]
                whole += weight * weight
                lost += weight * weight * unusable[j, i]
                inside = 0 <= low + j < ny and 0 <= left + i < nx
                field[0, j, i] = weight * np.sqrt(variance[low + j, left + i]) if inside else 0.0
        correlated_products(field, correlation, noise)
        out[k, 2] = lost / whole
        if lost < whole:
            out[k, 0], out[k, 1] = total, np.sqrt(noise[0, 0])
    return out


@njit([F64(F64, F64)], cache=True, nogil=True, error_model="numpy")
def absolute_value(value, variance):
    """Return the absolute value of a noisy pixel without what noise adds to it on average.

    That addition depends on the true value, for which the mean of what may be true is taken, if it is not negative
    (Bosch et al. 2018, PASJ 70, S5, section 4.9.11).

    Parameters
    ----------
    value, variance : float
        Pixel and its noise variance.

    Returns
    -------
    float
        May be negative for single pixels.
    """
    if not variance > 0.0:
        return abs(value)
    sigma = math.sqrt(variance)
    positive = 0.5 * math.erfc(-value / (math.sqrt(2.0) * sigma))
    mean = 0.0
    if positive > 0.0:
        mean = value + sigma / math.sqrt(2.0 * math.pi) * math.exp(-0.5 * value * value / variance) / positive
    excess = math.sqrt(2.0 / math.pi) * sigma * math.exp(-0.5 * mean * mean / variance)
    return abs(value) - excess + mean * math.erfc(mean / (math.sqrt(2.0) * sigma))


@njit(
    [
        _LINE(
            F64_2D, F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_1D, F64_1D, F64_2D
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def blendedness(residual, whole, variance, bad, value, offset, x0, y0, width, height, x, y, moments):
    """Compute which part of the light at each source is other sources'.

    ``1 - sum w |child| / sum w |parent|`` with w the Gaussian of the child's moments and absolute values freed of noise
    (Bosch et al. 2018, PASJ 70, S5, section 4.9.11).

    Parameters
    ----------
    residual, whole, variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, the image, and its noise variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that do not count.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    x, y : ndarray, float64, shape (n,)
        Centres [px].
    moments : ndarray, float64, shape (n, 3)
        Second moments xx, xy, yy [px**2].

    Returns
    -------
    ndarray, float64, shape (n,)
        0 for a source alone; NaN where moments are not known or no light is there.
    """
    out, (ny, nx) = np.full(x.size, np.nan), residual.shape
    for s in range(x.size):
        xx, xy, yy = moments[s, 0], moments[s, 1], moments[s, 2]
        det = xx * yy - xy * xy
        if not (det > 0.0 and np.isfinite(x[s])):
            continue
        half = int(min(4.0 * np.sqrt(max(xx, yy)) + 1.0, 200.0))
        left, low = int(np.rint(x[s])) - half, int(np.rint(y[s])) - half
        window, unusable = np.empty((2 * half + 1, 2 * half + 1)), np.empty((2 * half + 1, 2 * half + 1), np.bool_)
        cut_alone(residual, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, window, unusable)
        child = parent = 0.0
        for j in range(max(0, -low), min(window.shape[0], ny - low)):
            for i in range(max(0, -left), min(window.shape[1], nx - left)):
                if not unusable[j, i]:
                    dx, dy, noise = left + i - x[s], low + j - y[s], variance[low + j, left + i]
                    weight = np.exp(-0.5 * (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / det)
                    child += weight * absolute_value(window[j, i], noise)
                    parent += weight * absolute_value(whole[low + j, left + i], noise)
        if parent > 0.0 and child >= 0.0:
            out[s] = 1.0 - child / parent
    return out
