"""Interpolation over bad pixels."""

import numpy as np
from numba import njit

from etendue.kernels.types import BOOL_2D, F32_2D_OUT, I64


@njit(cache=True, nogil=True, error_model="numpy")
def _gap(bad, row, col, step_y, step_x, reach):
    """Return the distance to the next good pixel in one direction, or 0 if there is none within reach."""
    ny, nx = bad.shape
    for i in range(1, reach + 1):
        y, x = row + i * step_y, col + i * step_x
        if y < 0 or y >= ny or x < 0 or x >= nx:
            return 0
        if not bad[y, x]:
            return i
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _bridge(bad, row, col, step_y, step_x, reach):
    """Return distances backward and forward to good pixels and the weight ``1 / gap**2`` (0 unless both exist)."""
    back = _gap(bad, row, col, -step_y, -step_x, reach)
    ahead = _gap(bad, row, col, step_y, step_x, reach)
    weight = 1.0 / (back + ahead) ** 2 if back > 0 and ahead > 0 else 0.0
    return back, ahead, weight


@njit(cache=True, nogil=True, error_model="numpy")
def _linear(plane, row, col, step_y, step_x, back, ahead):
    """Interpolate linearly between the good pixels ``back`` behind and ``ahead`` in front."""
    before = plane[row - back * step_y, col - back * step_x]
    after = plane[row + ahead * step_y, col + ahead * step_x]
    return (before * ahead + after * back) / (back + ahead)


@njit(
    [BOOL_2D(F32_2D_OUT, F32_2D_OUT, BOOL_2D, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def interpolate_bad(image, variance, bad, reach):
    """Replace bad pixels, in place, by their good neighbours along the row and along the column.

    Each pixel becomes the mean of the linear interpolations across its gap in the row and across
    its gap in the column, weighted by ``1 / gap**2``: a bad column is bridged along rows and a
    row along columns. Variances are interpolated alike, so an interpolated pixel looks like its
    neighbours; it is no independent measurement.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Image [e-] and variance [e-**2], changed in place.
    bad : ndarray, bool, shape (ny, nx)
        Pixels to replace; their values are never read.
    reach : int
        Good pixels are looked for up to this distance [px].

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        The pixels replaced; the other bad ones (no good pixel on both sides) are left as they are.
    """
    ny, nx = bad.shape
    done = np.zeros((ny, nx), dtype=np.bool_)
    for row in range(ny):
        for col in range(nx):
            if not bad[row, col]:
                continue
            left, right, weight_x = _bridge(bad, row, col, 0, 1, reach)
            down, up, weight_y = _bridge(bad, row, col, 1, 0, reach)
            total = weight_x + weight_y
            if total == 0.0:
                continue
            value = spread = 0.0
            if weight_x > 0.0:
                value += weight_x * _linear(image, row, col, 0, 1, left, right)
                spread += weight_x * _linear(variance, row, col, 0, 1, left, right)
            if weight_y > 0.0:
                value += weight_y * _linear(image, row, col, 1, 0, down, up)
                spread += weight_y * _linear(variance, row, col, 1, 0, down, up)
            image[row, col] = value / total
            variance[row, col] = spread / total
            done[row, col] = True
    return done
