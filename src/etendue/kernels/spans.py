"""Runs of pixels painted into an image, on plain arrays."""

from numba import njit, types

from etendue.kernels.types import BOOL_2D_OUT, I64_1D


@njit([types.void(I64_1D, I64_1D, I64_1D, I64_1D, BOOL_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def paint_grown(y, x0, x1, reach, where):
    """Mark the pixels of runs, and all within a square around each.

    Slow definition: a pixel is marked if one of the run is within ``reach`` of it along both axes.

    Parameters
    ----------
    y, x0, x1 : ndarray, int64, shape (n,)
        Row, first column and one past the last column of each run.
    reach : ndarray, int64, shape (n,)
        How far each run grows [px]; negative for runs left out.
    where : ndarray, bool, shape (ny, nx)
        Changed; what lies outside is cut.
    """
    ny, nx = where.shape
    for k in range(y.size):
        left, right = max(0, x0[k] - reach[k]), max(0, min(nx, x1[k] + reach[k]))
        for j in range(max(0, y[k] - reach[k]), min(ny, y[k] + reach[k] + 1) if reach[k] >= 0 else 0):
            where[j, left:right] = True
