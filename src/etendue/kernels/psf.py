"""Draw pixel-basis PSFs: cubic B-splines on a grid finer than the pixels, on plain arrays.

The PSF at pixel offset (dy, dx) from a source is ``sum_kl grid[k, l] B(dy / step + c - k) B(dx / step + c - l)``
with B the centred cubic B-spline and ``c = (m - 1) / 2``. It includes the pixel response, so an image pixel is its
value at the pixel centre. B-splines are smooth (analytic slopes for centroids), local (four taps) and linear in the
coefficients (fits).
"""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import BOOL, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64

_STAMPS = types.Array(types.float64, 3, "C")
_LOCATIONS = types.Array(types.int64, 1, "C")


def polynomial_terms(u: NDArray[np.float64], v: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Evaluate the monomials of two variables up to a total degree.

    Parameters
    ----------
    u, v : ndarray, float64, shape (n,)
        Coordinates, scaled to about -1..1.
    order : int
        Highest total degree.

    Returns
    -------
    ndarray, float64, shape (n, (order + 1) (order + 2) / 2)
        1, u, v, u**2, u v, v**2, ...
    """
    columns = [u ** (degree - q) * v**q for degree in range(order + 1) for q in range(degree + 1)]
    return np.ascontiguousarray(np.stack(columns, axis=-1))


@njit(
    [types.void(F64, F64, I64, I64, _LOCATIONS, F64_2D_OUT, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def spline_taps(offset, step, size, m, first, value, slope):
    """Fill the four B-spline taps of every pixel of a stamp along one axis.

    Parameters
    ----------
    offset : float
        Source position minus stamp centre [px].
    step : float
        Grid spacing [px].
    size, m : int
        Pixels of the stamp and samples of the grid along the axis.
    first : ndarray, int64, shape (size,)
        Output: grid index of the first tap, clipped so that all four taps lie in the grid.
    value, slope : ndarray, float64, shape (size, 4)
        Output: weights, and their derivative by the source position [1/px]; zero outside the grid.
    """
    half = size // 2
    for i in range(size):
        u = (i - half - offset) / step + 0.5 * (m - 1)
        k = int(np.floor(u))
        t = u - k
        first[i] = k - 1
        value[i, 0] = (1.0 - t) ** 3 / 6.0
        value[i, 1] = (4.0 - 6.0 * t * t + 3.0 * t**3) / 6.0
        value[i, 2] = (1.0 + 3.0 * t + 3.0 * t * t - 3.0 * t**3) / 6.0
        value[i, 3] = t**3 / 6.0
        slope[i, 0] = (1.0 - t) ** 2 / (2.0 * step)
        slope[i, 1] = (4.0 * t - 3.0 * t * t) / (2.0 * step)
        slope[i, 2] = (3.0 * t * t - 2.0 * t - 1.0) / (2.0 * step)
        slope[i, 3] = -t * t / (2.0 * step)
        if k - 1 < 0 or k + 2 >= m:
            first[i] = min(max(k - 1, 0), m - 4)  # not 0: `draw_one` relies on the order of the pixels
            value[i, :] = 0.0
            slope[i, :] = 0.0


@njit([types.void(F64_3D, F64_1D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def combine(components, terms, grid):
    """Sum the spatial terms of a PSF into the grid of one position.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients of each spatial term.
    terms : ndarray, float64, shape (n_terms,)
        Values of the spatial terms at the position.
    grid : ndarray, float64, shape (m, m)
        Output: ``sum_t terms[t] components[t]``.
    """
    grid[:, :] = 0.0
    for t in range(terms.size):
        for k in range(grid.shape[0]):
            for j in range(grid.shape[1]):
                grid[k, j] += terms[t] * components[t, k, j]


@njit(
    [types.void(F64_2D, F64, F64, F64, F64_2D_OUT, F64_2D_OUT, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def draw_one(grid, step, dx, dy, value, slope_x, slope_y):
    """Draw one PSF and its derivatives by the source position.

    Parameters
    ----------
    grid : ndarray, float64, shape (m, m)
        B-spline coefficients at the source position.
    step : float
        Grid spacing [px].
    dx, dy : float
        Source position minus the centre of the middle stamp pixel [px].
    value, slope_x, slope_y : ndarray, float64, shape (k, k)
        Output: the PSF and its derivatives [1/px].
    """
    m, size = grid.shape[0], value.shape[0]
    ix, iy = np.empty(size, np.int64), np.empty(size, np.int64)
    wx, sx = np.empty((size, 4)), np.empty((size, 4))
    wy, sy = np.empty((size, 4)), np.empty((size, 4))
    spline_taps(dx, step, size, m, ix, wx, sx)
    spline_taps(dy, step, size, m, iy, wy, sy)
    row, row_slope = np.empty(m), np.empty(m)
    for j in range(size):
        k = iy[j]
        for q in range(ix[0], min(m, ix[size - 1] + 4)):
            a, b, c, d = grid[k, q], grid[k + 1, q], grid[k + 2, q], grid[k + 3, q]
            row[q] = wy[j, 0] * a + wy[j, 1] * b + wy[j, 2] * c + wy[j, 3] * d
            row_slope[q] = sy[j, 0] * a + sy[j, 1] * b + sy[j, 2] * c + sy[j, 3] * d
        for i in range(size):
            p = gx = gy = 0.0
            for tap in range(4):
                sample = row[ix[i] + tap]
                p += wx[i, tap] * sample
                gx += sx[i, tap] * sample
                gy += wx[i, tap] * row_slope[ix[i] + tap]
            value[j, i], slope_x[j, i], slope_y[j, i] = p, gx, gy


@njit([_STAMPS(F64_3D, F64_2D, F64, F64_1D, F64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def draw_pixel_basis(components, terms, step, dx, dy, size):
    """Draw the PSFs of many sources.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients of each spatial term.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at each source.
    step : float
        Grid spacing [px].
    dx, dy : ndarray, float64, shape (n,)
        Source position minus the centre of the middle stamp pixel [px].
    size : int
        Stamp side, odd.

    Returns
    -------
    ndarray, float64, shape (n, size, size)
        Stamps, not renormalised; zero outside the grid.
    """
    n, m = terms.shape[0], components.shape[1]
    stamps = np.empty((n, size, size))
    slope_x, slope_y = np.empty((size, size)), np.empty((size, size))
    grid = np.empty((m, m))
    for i in range(n):
        combine(components, terms[i], grid)
        draw_one(grid, step, dx[i], dy[i], stamps[i], slope_x, slope_y)
    return stamps


@njit([_STAMPS(F64_3D, F64, F64_1D, F64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def draw_grids(grids, step, dx, dy, size):
    """Draw one grid per source: the forward operator of the PSF fit.

    Parameters
    ----------
    grids : ndarray, float64, shape (n, m, m)
        B-spline coefficients of each source.
    step : float
        Grid spacing [px].
    dx, dy : ndarray, float64, shape (n,)
        Source position minus the centre of the middle stamp pixel [px].
    size : int
        Stamp side, odd.

    Returns
    -------
    ndarray, float64, shape (n, size, size)
        Stamps; zero outside the grid.
    """
    stamps = np.empty((grids.shape[0], size, size))
    slope_x, slope_y = np.empty((size, size)), np.empty((size, size))
    for i in range(grids.shape[0]):
        draw_one(grids[i], step, dx[i], dy[i], stamps[i], slope_x, slope_y)
    return stamps


@njit([_STAMPS(F64_3D, F64, F64_1D, F64_1D, I64, BOOL)], cache=True, nogil=True, error_model="numpy")
def backproject(stamps, step, dx, dy, m, squared):
    """Apply the transpose of `draw_grids`: spread stamps back on the grid of each source.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        Weighted residuals.
    step : float
        Grid spacing [px].
    dx, dy : ndarray, float64, shape (n,)
        Source position minus the centre of the middle stamp pixel [px].
    m : int
        Grid side.
    squared : bool
        Square the B-spline taps: weights then become the diagonal of the normal equations of each source.

    Returns
    -------
    ndarray, float64, shape (n, m, m)
        Grids.
    """
    n, size = stamps.shape[0], stamps.shape[1]
    grids = np.zeros((n, m, m))
    ix, iy = np.empty(size, np.int64), np.empty(size, np.int64)
    wx, wy, slope = np.empty((size, 4)), np.empty((size, 4)), np.empty((size, 4))
    for s in range(n):
        spline_taps(dx[s], step, size, m, ix, wx, slope)
        spline_taps(dy[s], step, size, m, iy, wy, slope)
        if squared:
            wx *= wx
            wy *= wy
        for j in range(size):
            row = np.zeros(m)
            for i in range(size):
                for tap in range(4):
                    row[ix[i] + tap] += wx[i, tap] * stamps[s, j, i]
            for tap in range(4):
                for q in range(m):
                    grids[s, iy[j] + tap, q] += wy[j, tap] * row[q]
    return grids
