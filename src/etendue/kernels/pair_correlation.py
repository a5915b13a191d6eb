"""Correlations of complex quantities of points against their distance, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F64_1D, F64_2D

_TABLE = types.Array(types.float64, 2, "C")
_COUNTS = types.Array(types.int64, 1, "C")


@njit([types.Tuple((_TABLE, _COUNTS))(F64_1D, F64_1D, F64_2D, F64_2D, F64_1D)], cache=True, nogil=True,
      error_model="numpy")  # fmt: skip
def pair_correlations(x, y, real, imaginary, edges):
    """Sum products of complex quantities over all pairs of points.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Points.
    real, imaginary : ndarray, float64, shape (m, n)
        Quantities.
    edges : ndarray, float64, shape (n_bins + 1,)
        Rising distances.

    Returns
    -------
    sums : ndarray, float64, shape (m (m + 1) / 2, n_bins)
        Sum over pairs i < j of the real part of ``(conj(a_i) b_j + conj(a_j) b_i) / 2`` for the quantities (a, b) =
        (0, 0), (0, 1), ..., (0, m - 1), (1, 1), ...
    counts : ndarray, int64, shape (n_bins,)
        Pairs.
    """
    n, m, bins = x.size, real.shape[0], edges.size - 1
    sums, counts = np.zeros((m * (m + 1) // 2, bins)), np.zeros(bins, np.int64)
    low, high = edges[0] ** 2, edges[bins] ** 2
    order = np.argsort(y)
    for p in range(n):
        i = order[p]
        for q in range(p + 1, n):
            j = order[q]
            if y[j] - y[i] > edges[bins]:
                break
            distance = (x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2
            if not low <= distance < high:
                continue
            b = np.searchsorted(edges, np.sqrt(distance), side="right") - 1
            if not 0 <= b < bins:
                continue
            counts[b] += 1
            row = 0
            for s in range(m):
                for t in range(s, m):
                    product = real[s, i] * real[t, j] + imaginary[s, i] * imaginary[t, j]
                    product += real[s, j] * real[t, i] + imaginary[s, j] * imaginary[t, i]
                    sums[row, b] += 0.5 * product
                    row += 1
    return sums, counts
