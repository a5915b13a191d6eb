"""Errors of fitted point sources: the Fisher matrix of a source and its neighbours, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.psf import combine, draw_one
from etendue.kernels.types import BOOL_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64

_INDEX = types.Array(types.int64, 1, "C")
_REAL = types.Array(types.float64, 1, "C")
_MATRIX = types.Array(types.float64, 2, "C")
_COVARIANCES = types.Array(types.float64, 3, "C")


@njit([_INDEX(F64_1D, F64_1D, _INDEX, I64, F64)], cache=True, nogil=True, error_model="numpy")
def _group(x, y, order, position, radius):
    """Return a source, given by its place in the order by y, and its four nearest neighbours within a radius."""
    me = order[position]
    members, distances = np.empty(5, np.int64), np.full(5, np.inf)
    members[0], distances[0] = me, 0.0
    count = 1
    for direction in (-1, 1):
        k = position + direction
        while 0 <= k < order.size and abs(y[order[k]] - y[me]) < radius:
            d = np.hypot(x[order[k]] - x[me], y[order[k]] - y[me])
            if d < radius and d < distances[4]:
                slot = min(count, 4)
                while slot > 1 and distances[slot - 1] > d:
                    members[slot], distances[slot] = members[slot - 1], distances[slot - 1]
                    slot -= 1
                members[slot], distances[slot] = order[k], d
                count = min(count + 1, 5)
            k += direction
    return members[:count].copy()


@njit([_MATRIX(F64_2D)], cache=True, nogil=True, error_model="numpy")
def _inverse(h):
    """Invert a positive matrix of unit diagonal, with a ridge of 1e-9, by Gauss-Jordan; not finite if it is not."""
    n = h.shape[0]
    work = np.zeros((n, 2 * n))
    for k in range(n):
        work[k, :n] = h[k]
        work[k, k] += 1e-9
        work[k, n + k] = 1.0
    for k in range(n):
        work[k] /= work[k, k]
        for j in range(n):
            if j != k:
                work[j] -= work[j, k] * work[k]
    return work[:, n:].copy()


@njit([_MATRIX(F64_2D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def _times_transposed(a, b):
    """Return ``a @ b.T``; not by BLAS, whose sums depend on where the arrays lie in memory."""
    product = np.zeros((a.shape[0], b.shape[0]))
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[j, k]
            product[i, j] = total
    return product


@njit([_MATRIX(F64_2D, F64_1D, F64_1D)], cache=True, nogil=True, error_model="numpy")
def _sandwich(design, weight, noise):
    """Return ``H^-1 (J^T W V W J) H^-1``, equilibrated."""
    weighted = design * weight
    h = _times_transposed(weighted, design)
    scale = 1.0 / np.sqrt(np.diag(h) + 1e-300)
    inverse = _inverse(h * scale * scale.reshape(-1, 1)) * scale * scale.reshape(-1, 1)
    middle = _times_transposed(weighted * noise, weighted)
    return _times_transposed(_times_transposed(inverse, middle), inverse)  # both are symmetric


@njit(
    [types.Tuple((I64, _REAL, _REAL))(F64_2D, F64_2D, F64_2D_OUT, I64, I64, I64, I64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _used_pixels(weight_variance, variance, design, rows, x0, y0, size, radius, soft_flux):
    """Move the design columns of the usable pixels to the front; return their number, weights and noise variances."""
    ny, nx = variance.shape
    half, used = size // 2, 0
    weight, noise = np.empty(size * size), np.empty(size * size)
    for j in range(max(0, -y0), min(size, ny - y0)):
        for c in range(max(0, -x0), min(size, nx - x0)):
            v = weight_variance[y0 + j, x0 + c]
            if (j - half) ** 2 + (c - half) ** 2 <= radius * radius and v < np.inf:
                mismatch = design[0, j * size + c] * soft_flux
                weight[used] = 1.0 / (v + mismatch * mismatch)
                noise[used] = variance[y0 + j, x0 + c]
                design[:rows, used] = design[:rows, j * size + c]
                used += 1
    return used, weight[:used].copy(), noise[:used].copy()


@njit(
    [_COVARIANCES(F64_2D, F64_2D, F64_3D, F64_2D, F64, F64_1D, F64_1D, F64_1D, BOOL_1D, I64, F64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fit_covariances(
    weight_variance, variance, components, terms, step, x, y, flux, free, size, radius, softening, blend_radius
):
    """Propagate pixel noise into the errors of `fit_sources`, neighbours included.

    For every source the design matrix of itself and of at most four nearest neighbours is built on its pixels; with
    weights W and noise variance V the covariance is ``H^-1 (J^T W V W J) H^-1``, ``H = J^T W J``.

    Parameters
    ----------
    weight_variance, variance : ndarray, float64, shape (ny, nx)
        Variances behind the weights (infinite where a pixel was not used) and of the noise.
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing [px].
    x, y, flux : ndarray, float64, shape (n,)
        Fitted sources, any order.
    free : ndarray, bool, shape (n,)
        Whether the position was fitted.
    size : int
        Stamp side, odd.
    radius, softening : float
        As in `fit_sources`.
    blend_radius : float
        Neighbours nearer than this count [px].

    Returns
    -------
    ndarray, float64, shape (n, 3, 3)
        Covariance of flux, x, y; position rows NaN where not fitted, all NaN where no pixel is usable.
    """
    ny, nx = variance.shape
    n, half = x.size, size // 2
    result = np.full((n, 3, 3), np.nan)
    order = np.argsort(y)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    grid = np.empty(components.shape[1:])
    p, px, py = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    design = np.zeros((15, size * size))
    for i in range(n):
        x0, y0 = int(np.rint(x[i])) - half, int(np.rint(y[i])) - half
        if x0 + size <= 0 or y0 + size <= 0 or x0 >= nx or y0 >= ny:
            continue
        members = _group(x, y, order, rank[i], blend_radius)
        rows = 0
        for k in members:
            combine(components, terms[k], grid)
            draw_one(grid, step, x[k] - x0 - half, y[k] - y0 - half, p, px, py)
            design[rows] = p.ravel()
            rows += 1
            if free[k] and flux[k] > 0.0:
                design[rows], design[rows + 1] = flux[k] * px.ravel(), flux[k] * py.ravel()
                rows += 2
        power = np.sum(design[0] ** 2)
        used, weight, noise = _used_pixels(
            weight_variance, variance, design, rows, x0, y0, size, radius, softening * flux[i]
        )
        if used < rows + 2 or np.sum(design[0, :used] ** 2) < 0.1 * power:
            continue
        covariance = _sandwich(design[:rows, :used].copy(), weight, noise)
        own = 3 if free[i] and flux[i] > 0.0 else 1
        result[i, :own, :own] = covariance[:own, :own]
    return result


@njit([_INDEX(F64_1D, F64_1D, F64)], cache=True, nogil=True, error_model="numpy")
def count_neighbours(x, y, radius):
    """Count the other sources within a radius of each source.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Positions [px].
    radius : float
        Radius [px].

    Returns
    -------
    ndarray, int64, shape (n,)
        Numbers of neighbours.
    """
    order = np.argsort(y)
    count = np.zeros(x.size, np.int64)
    for a in range(x.size):
        i, b = order[a], a + 1
        while b < x.size and y[order[b]] - y[i] < radius:
            if np.hypot(x[order[b]] - x[i], y[order[b]] - y[i]) < radius:
                count[i] += 1
                count[order[b]] += 1
            b += 1
    return count
