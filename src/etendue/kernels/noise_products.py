"""Variances of weighted sums of pixels whose noise is correlated, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F64_2D, F64_2D_OUT, F64_3D


@njit([types.void(F64_3D, F64_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def correlated_products(field, correlation, out):
    """Compute the covariance of several weighted sums of the same pixels.

    ``out[a, b] = sum over pixels p and lags l of field[a, p] correlation[l] field[b, p + l]``.

    Parameters
    ----------
    field : ndarray, float64, shape (m, h, w)
        Weights times the noise sigma of every pixel; 0 where a pixel does not count.
    correlation : ndarray, float64, shape (k, k)
        Correlation coefficient against lag, 1 in the middle, the same under reversal; (1, 1) for white noise.
    out : ndarray, float64, shape (m, m)
        Output: the covariance.
    """
    m, h, w = field.shape
    half = correlation.shape[0] // 2
    out[:, :] = 0.0
    spread = np.zeros((h, w))
    for b in range(m):
        spread[:, :] = 0.0
        for v in range(-half, half + 1):
            for u in range(-half, half + 1):
                rho = correlation[half + v, half + u]
                if rho == 0.0:
                    continue
                for j in range(max(0, -v), min(h, h - v)):
                    for i in range(max(0, -u), min(w, w - u)):
                        spread[j, i] += rho * field[b, j + v, i + u]
        for a in range(b + 1):
            total = 0.0
            for j in range(h):
                for i in range(w):
                    total += field[a, j, i] * spread[j, i]
            out[a, b] = out[b, a] = total
