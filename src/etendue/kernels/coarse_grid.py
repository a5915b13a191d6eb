"""Between coarse grids of B-spline coefficients and pixels: light that is smooth needs no fine ones."""

import numpy as np
from numba import njit, void
from numpy.typing import NDArray

from etendue.kernels.types import F32_2D, F32_2D_OUT, F64_1D, I64


@njit(cache=True, nogil=True, error_model="numpy")
def _cubic_weights(t, out):
    """Fill the cubic B-spline at ``t + 1, t, t - 1, t - 2``."""
    out[0] = (1.0 - t) ** 3 / 6.0
    out[1] = (4.0 - 6.0 * t * t + 3.0 * t**3) / 6.0
    out[2] = (1.0 + 3.0 * t + 3.0 * t * t - 3.0 * t**3) / 6.0
    out[3] = t**3 / 6.0


@njit([void(F32_2D_OUT, F64_1D, F64_1D, F64_1D)], cache=True, nogil=True, error_model="numpy")
def deposit(
    grid: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64], flux: NDArray[np.float64]
) -> None:
    """Add points to a grid as cubic B-splines of unit sum; points whose spline hangs over the edge are left out.

    Parameters
    ----------
    grid : ndarray, float32, shape (ny, nx)
        Changed in place.
    x, y : ndarray, float64, shape (n,)
        Positions [cells].
    flux : ndarray, float64, shape (n,)
        What is added.
    """
    ny, nx = grid.shape
    wx, wy = np.empty(4), np.empty(4)
    for i in range(x.size):
        if not (1.0 <= x[i] < nx - 2.0 and 1.0 <= y[i] < ny - 2.0):
            continue
        column, row = int(np.floor(x[i])), int(np.floor(y[i]))
        _cubic_weights(x[i] - column, wx)
        _cubic_weights(y[i] - row, wy)
        for j in range(4):
            for k in range(4):
                grid[row - 1 + j, column - 1 + k] += flux[i] * wy[j] * wx[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _quintic(t):
    """Return the quintic B-spline at a distance from its centre."""
    t = abs(t)
    value = 0.0
    for knot, sign in ((3.0, 1.0), (2.0, -6.0), (1.0, 15.0)):
        if t < knot:
            value += sign * (knot - t) ** 5
    return value / 120.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _spread_line(coefficients, weights, margin, out):
    """Fill the quintic spline of one row of coefficients."""
    cell = weights.shape[1]
    for phase in range(cell):
        w = weights[:, phase]
        for c in range((out.size - phase - 1) // cell + 1):
            left = c + margin - 2
            total = np.float32(0.0)
            for tap in range(6):
                total += w[tap] * coefficients[left + tap]
            out[c * cell + phase] = total


@njit([void(F32_2D_OUT, F32_2D, I64, I64)], cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def spread(image: NDArray[np.float32], coefficients: NDArray[np.float32], cell: int, margin: int) -> None:
    """Add the quintic spline of a coarse grid to an image.

    The slow definition: ``image[y, x] += sum_jk c[j, k] B(y / cell + margin - j) B(x / cell + margin - k)`` with B the
    quintic B-spline.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place.
    coefficients : ndarray, float32, shape (at least ny / cell + margin + 3, likewise)
        Spline coefficients.
    cell : int
        Pixels per cell.
    margin : int
        Cells before the image's first pixel, at least 2.
    """
    ny, nx = image.shape
    weights = np.empty((6, cell), np.float32)
    for phase in range(cell):
        for tap in range(6):
            weights[tap, phase] = _quintic(phase / cell + 2.0 - tap)
    lines = np.empty((6, nx), np.float32)  # rows of coefficients, spread along x; row j is kept at j % 6
    for row in range(ny):
        top = row // cell + margin - 2
        if row == 0:
            for tap in range(5):
                _spread_line(coefficients[top + tap], weights, margin, lines[(top + tap) % 6])
        if row % cell == 0:
            _spread_line(coefficients[top + 5], weights, margin, lines[(top + 5) % 6])
        a, b, c = lines[top % 6], lines[(top + 1) % 6], lines[(top + 2) % 6]
        d, e, f = lines[(top + 3) % 6], lines[(top + 4) % 6], lines[(top + 5) % 6]
        w_a, w_b, w_c, w_d, w_e, w_f = weights[:, row % cell]
        target = image[row]
        for i in range(nx):
            target[i] += w_a * a[i] + w_b * b[i] + w_c * c[i] + w_d * d[i] + w_e * e[i] + w_f * f[i]
