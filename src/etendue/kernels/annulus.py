"""Clipped statistics of pixels in rings around many sources, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, F64, F64_1D, F64_2D

ROUNDS, CLIP = 3, 3.0

_TABLE = types.Array(types.float64, 2, "C")


@njit([_TABLE(F64_2D, F64_2D, BOOL_2D, F64_1D, F64_1D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def annulus_statistics(image, variance, bad, x, y, inner, outer):
    """Measure the level, the scatter and the expected variance of pixels in a ring around each source.

    Parameters
    ----------
    image, variance : ndarray, float64, shape (ny, nx)
        Image and its noise variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that do not count.
    x, y : ndarray, float64, shape (n,)
        Centres [px].
    inner, outer : float
        Radii of the ring [px].

    Returns
    -------
    ndarray, float64, shape (n, 4)
        Mean and scatter of pixels within 3 sigma, median variance, and the number of pixels before clipping; NaN but
        for the number where fewer than 10 are good.
    """
    ny, nx = image.shape
    out, reach = np.full((x.size, 4), np.nan), int(outer) + 1
    values, noises = np.empty((2 * reach + 1) ** 2), np.empty((2 * reach + 1) ** 2)
    for s in range(x.size):
        if not (np.isfinite(x[s]) and np.isfinite(y[s])):
            out[s, 3] = 0.0
            continue
        col, row, n = int(np.rint(x[s])), int(np.rint(y[s])), 0
        for j in range(max(0, row - reach), min(ny, row + reach + 1)):
            for i in range(max(0, col - reach), min(nx, col + reach + 1)):
                r2 = (i - x[s]) ** 2 + (j - y[s]) ** 2
                if inner * inner <= r2 < outer * outer and not bad[j, i]:
                    values[n], noises[n] = image[j, i], variance[j, i]
                    n += 1
        out[s, 3] = n
        if n < 10:
            continue
        middle = float(np.median(values[:n]))
        width = 1.4826 * float(np.median(np.abs(values[:n] - middle)))
        for _ in range(ROUNDS):
            total = square = count = 0.0
            for k in range(n):
                if abs(values[k] - middle) <= CLIP * width:
                    total, square, count = total + values[k], square + values[k] ** 2, count + 1.0
            middle = total / count
            width = max(square / count - middle * middle, 0.0) ** 0.5
        out[s, 0], out[s, 1], out[s, 2] = middle, width, np.median(noises[:n])
    return out
