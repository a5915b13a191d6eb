"""Inverses of small matrices that say when there is none, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F64_2D, F64_2D_OUT, I64

SINGULAR = 1e-13  # pivot of the matrix scaled to a unit diagonal below which there is no inverse


@njit([types.boolean(F64_2D_OUT, F64_2D_OUT, I64)], cache=True, nogil=True, error_model="numpy")
def _eliminate(work, out, k):
    """Turn column k of ``work`` into that of the unit matrix, and do the same to ``out``; False without a pivot."""
    n, pivot = work.shape[0], k
    for i in range(k + 1, n):
        if abs(work[i, k]) > abs(work[pivot, k]):
            pivot = i
    if not SINGULAR < abs(work[pivot, k]) < np.inf:
        return False
    for both in (work, out):
        for j in range(n):
            both[k, j], both[pivot, j] = both[pivot, j], both[k, j]
    head = work[k, k]
    work[k] /= head
    out[k] /= head
    for i in range(n):
        factor = work[i, k]
        if i != k and factor != 0.0:
            work[i] -= factor * work[k]
            out[i] -= factor * out[k]
    return True


@njit([types.boolean(F64_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def invert(matrix, out):
    """Invert a small matrix by elimination with row pivots; rows and columns may differ by any scale.

    Parameters
    ----------
    matrix : ndarray, float64, shape (n, n)
        Left as it is.
    out : ndarray, float64, shape (n, n)
        Output: the inverse; NaN where there is none.

    Returns
    -------
    bool
        Whether there is an inverse.
    """
    n = matrix.shape[0]
    scale, work = np.ones(n), matrix.copy()
    out[:, :] = np.eye(n)
    for i in range(n):
        if matrix[i, i] != 0.0:
            scale[i] = np.sqrt(abs(matrix[i, i]))
    for i in range(n):
        work[i] /= scale[i] * scale
    for k in range(n):
        if not _eliminate(work, out, k):
            out[:, :] = np.nan
            return False
    for i in range(n):
        out[i] /= scale[i] * scale
    return True
