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
_INDEX = 0xFFFFFFF  # what an index is masked with to prove to the compiler that it is not negative


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
    flat, n = grid.ravel(), terms.size
    u, first = terms[0], components[0].ravel()
    for k in range(flat.size):
        flat[k] = u * first[k]
    for t in range(1, n - 1, 2):  # two at a time: half as often through memory
        u, v, first, second = terms[t], terms[t + 1], components[t].ravel(), components[t + 1].ravel()
        for k in range(flat.size):
            flat[k] = flat[k] + u * first[k] + v * second[k]
    if n % 2 == 0:
        u, first = terms[n - 1], components[n - 1].ravel()
        for k in range(flat.size):
            flat[k] += u * first[k]


@njit(inline="always")
def _weigh(grid, k, taps, out):
    """Fill a line with the weighted sum of the four rows of a grid from ``k``."""
    u, v, w, z = taps[0], taps[1], taps[2], taps[3]
    first, second, third, fourth = grid[k], grid[k + 1], grid[k + 2], grid[k + 3]
    for q in range(out.size):
        out[q] = u * first[q] + v * second[q] + w * third[q] + z * fourth[q]


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
        k = iy[j] & _INDEX
        _weigh(grid, k, wy[j], row)
        _weigh(grid, k, sy[j], row_slope)
        for i in range(size):
            q = ix[i] & _INDEX
            a, b, c, d = row[q], row[q + 1], row[q + 2], row[q + 3]
            e, f, g, h = row_slope[q], row_slope[q + 1], row_slope[q + 2], row_slope[q + 3]
            value[j, i] = wx[i, 0] * a + wx[i, 1] * b + wx[i, 2] * c + wx[i, 3] * d
            slope_x[j, i] = sx[i, 0] * a + sx[i, 1] * b + sx[i, 2] * c + sx[i, 3] * d
            slope_y[j, i] = wx[i, 0] * e + wx[i, 1] * f + wx[i, 2] * g + wx[i, 3] * h


@njit([types.void(F64_2D, F64, F64, F64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def draw_value(grid, step, dx, dy, value):
    """Draw one PSF without derivatives: the same numbers as `draw_one` at half its cost.

    Parameters
    ----------
    grid : ndarray, float64, shape (m, m)
        B-spline coefficients at the source position.
    step : float
        Grid spacing [px].
    dx, dy : float
        Source position minus the centre of the middle stamp pixel [px].
    value : ndarray, float64, shape (k, k)
        Output: the PSF.
    """
    m, size = grid.shape[0], value.shape[0]
    ix, iy = np.empty(size, np.int64), np.empty(size, np.int64)
    wx, wy, slope = np.empty((size, 4)), np.empty((size, 4)), np.empty((size, 4))
    spline_taps(dx, step, size, m, ix, wx, slope)
    spline_taps(dy, step, size, m, iy, wy, slope)
    row = np.empty(m)
    for j in range(size):
        _weigh(grid, iy[j] & _INDEX, wy[j], row)
        for i in range(size):
            q = ix[i] & _INDEX
            value[j, i] = wx[i, 0] * row[q] + wx[i, 1] * row[q + 1] + wx[i, 2] * row[q + 2] + wx[i, 3] * row[q + 3]


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
    grid = np.empty((m, m))
    for i in range(n):
        combine(components, terms[i], grid)
        draw_value(grid, step, dx[i], dy[i], stamps[i])
    return stamps


@njit([_STAMPS(F64_3D, F64, F64_1D, F64_1D, I64, BOOL)], cache=True, nogil=True, error_model="numpy")
def backproject(stamps, step, dx, dy, m, squared):
    """Apply the transpose of drawing: spread stamps back on the grid of each source.

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


@njit(inline="always")
def _gather(rows, first, taps, out):
    """Fill a line with the weighted sum of four rows."""
    a, b, c, d = taps[0], taps[1], taps[2], taps[3]
    row0, row1, row2, row3 = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
    for q in range(out.size):
        out[q] = a * row0[q] + b * row1[q] + c * row2[q] + d * row3[q]


@njit(inline="always")
def _scatter(line, first, taps, rows):
    """Add a line to four rows by their weights."""
    for tap in range(4):
        w, row = taps[tap], rows[first + tap]
        for q in range(row.size):
            row[q] += w * line[q]


@njit([types.void(types.Array(types.float64, 3, "C"), F64_1D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def _accumulate(result, terms, grid):
    """Add a grid to every spatial term's."""
    flat = grid.ravel()
    for t in range(terms.size):
        w, total = terms[t], result[t].ravel()
        for q in range(flat.size):
            total[q] += w * flat[q]


@njit([_STAMPS(F64_2D, F64_3D)], cache=True, nogil=True, error_model="numpy")
def sum_over_stars(terms, grids):
    """Sum grids times the spatial terms of their stars.

    Parameters
    ----------
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at each star.
    grids : ndarray, float64, shape (n, m, m)
        One grid per star.

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        ``sum_s terms[s] grids[s]``; not by BLAS, whose threads would spin between calls as short as these.
    """
    result = np.zeros((terms.shape[1], grids.shape[1], grids.shape[2]))
    for s in range(terms.shape[0]):
        _accumulate(result, terms[s], grids[s])
    return result


@njit([_STAMPS(F64_3D, F64_2D, F64_3D, F64, F64_1D, F64_1D)], cache=True, nogil=True, error_model="numpy")
def normal_product(components, terms, weight, step, dx, dy):
    """Multiply a PSF by the normal matrix of its fit to stars.

    Slow definition: draw every star (`draw_pixel_basis`), multiply by the weights, spread back (`backproject`) and sum
    over the stars times their spatial terms. Here one star at a time stays in the cache, with x along the first axis of
    its grids, so that all inner loops run over contiguous numbers.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients of each spatial term.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at each star.
    weight : ndarray, float64, shape (n, k, k)
        Inverse variances of the pixels.
    step : float
        Grid spacing [px].
    dx, dy : ndarray, float64, shape (n,)
        Star position minus the centre of the middle stamp pixel [px].

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        ``sum_s terms_s D_s^T W_s D_s (terms_s . components)``.
    """
    n_terms, m, size = components.shape[0], components.shape[1], weight.shape[1]
    turned, result = np.empty((n_terms, m, m)), np.zeros((n_terms, m, m))
    for t in range(n_terms):
        turned[t] = components[t].T
    ix, iy = np.empty(size, np.int64), np.empty(size, np.int64)
    wx, wy, slope = np.empty((size, 4)), np.empty((size, 4)), np.empty((size, 4))
    grid, along_x, along_y = np.empty((m, m)), np.empty((size, m)), np.empty((m, size))
    pixels = np.empty(size)
    for s in range(terms.shape[0]):
        spline_taps(dx[s], step, size, m, ix, wx, slope)
        spline_taps(dy[s], step, size, m, iy, wy, slope)
        combine(turned, terms[s], grid)
        for i in range(size):
            _gather(grid, ix[i], wx[i], along_x[i])
        drawn = along_x.T.copy()
        along_y[:, :] = 0.0
        for j in range(size):
            _gather(drawn, iy[j], wy[j], pixels)
            pixels *= weight[s, j]
            _scatter(pixels, iy[j], wy[j], along_y)
        spread = along_y.T.copy()
        grid[:, :] = 0.0
        for i in range(size):
            _scatter(spread[i], ix[i], wx[i], grid)
        _accumulate(result, terms[s], grid)
    for t in range(n_terms):
        turned[t] = result[t].T
    return turned
