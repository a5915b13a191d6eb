"""Where sources, smoothed by a Gaussian, are brightest, and the error of that place, on plain arrays.

The maximum of an image convolved with a round Gaussian w is where ``sum w I d = 0``, d the offset from it. It needs no
model of the source (SDSS's centroid: Pier et al. 2003, AJ 125, 1559, section 2.2).
"""

import numpy as np
from numba import njit, types

from etendue.kernels.noise_products import correlated_products
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64_1D

REACH = 4.5  # widths of the Gaussian within which pixels count
ITERATIONS = 30
TOLERANCE = 1e-5  # of a step, in widths
LONGEST_STEP = 0.5  # widths

_TABLE = types.Array(types.float64, 2, "C")
_LINE = types.Array(types.float64, 1, "C")
_CUBE = types.Array(types.float64, 3, "C")
_SUMS = types.UniTuple(types.float64, 6)


@njit([_SUMS(F64_2D, F64, F64, F64, _LINE, _LINE)], cache=True, nogil=True, error_model="numpy")
def _sums(window, x, y, sigma, across, down):
    """Return the sums of w I times 1, dx, dy, dx^2, dx dy, dy^2; leave the factors of the weights."""
    for i in range(window.shape[1]):
        across[i] = np.exp(-0.5 * ((i - x) / sigma) ** 2)
    total = tx = ty = txx = txy = tyy = 0.0
    for j in range(window.shape[0]):
        dy, s0, s1, s2 = j - y, 0.0, 0.0, 0.0
        down[j] = np.exp(-0.5 * (dy / sigma) ** 2)
        for i in range(window.shape[1]):
            dx, value = i - x, across[i] * window[j, i]
            s0 += value
            s1 += value * dx
            s2 += value * dx * dx
        total, tx, txx = total + down[j] * s0, tx + down[j] * s1, txx + down[j] * s2
        ty, txy, tyy = ty + down[j] * dy * s0, txy + down[j] * dy * s1, tyy + down[j] * dy * dy * s0
    return total, tx, ty, txx, txy, tyy


@njit([types.boolean(F64_2D, F64, F64, F64_2D_OUT, _LINE, _LINE)], cache=True, nogil=True, error_model="numpy")
def _climb(window, sigma, farthest, place, across, down):
    """Walk from the place in the first row of ``place`` to the maximum; fill its slopes in the other two rows.

    Returns False where there is no maximum within ``farthest`` of the start.
    """
    x, y = place[0, 0], place[0, 1]
    start_x, start_y = x, y
    for _ in range(ITERATIONS):
        total, tx, ty, txx, txy, tyy = _sums(window, x, y, sigma, across, down)
        if not total > 0.0:
            return False
        s2 = sigma * sigma
        hxx, hxy, hyy = total - txx / s2, -txy / s2, total - tyy / s2  # minus the slopes of (tx, ty)
        det = hxx * hyy - hxy * hxy
        if hxx > 0.0 and det > 1e-3 * total * total:
            step_x, step_y = (hyy * tx - hxy * ty) / det, (hxx * ty - hxy * tx) / det
        else:  # not near a maximum yet: uphill
            step_x, step_y = tx / total, ty / total
        length = np.hypot(step_x, step_y)
        scale = min(1.0, LONGEST_STEP * sigma / max(length, 1e-300))
        x, y = x + scale * step_x, y + scale * step_y
        if np.hypot(x - start_x, y - start_y) > farthest:
            return False
        if length < TOLERANCE * sigma:
            place[0, 0], place[0, 1] = x, y
            place[1, 0], place[1, 1], place[2, 0], place[2, 1] = hxx, hxy, hxy, hyy
            return hxx > 0.0 and det > 0.0
    return False


@njit([types.void(F64_2D, F64_2D, F64_2D, F64, F64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _covariance(noise, correlation, place, sigma, reach, out):
    """Fill the covariance of a maximum: the noise of the two sums that vanish through the inverse of their slopes."""
    x, y = place[0, 0], place[0, 1]
    field = np.zeros((2, *noise.shape))
    for j in range(noise.shape[0]):
        for i in range(noise.shape[1]):
            dx, dy = i - x, j - y
            if dx * dx + dy * dy < reach * reach:
                weight = np.exp(-0.5 * (dx * dx + dy * dy) / (sigma * sigma)) * np.sqrt(noise[j, i])
                field[0, j, i], field[1, j, i] = weight * dx, weight * dy
    products = np.empty((2, 2))
    correlated_products(field, correlation, products)
    det = place[1, 0] * place[2, 1] - place[1, 1] * place[2, 0]
    inverse = np.array([[place[2, 1], -place[1, 1]], [-place[2, 0], place[1, 0]]]) / det
    out[:, :] = inverse @ products @ inverse.T


@njit(
    [
        types.Tuple((_TABLE, _CUBE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_1D, F64_1D, F64_1D, F64, F64_2D
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def smoothed_peaks(
    residual, weight_variance, bad, value, offset, x0, y0, width, height, x, y, sigma, farthest, correlation
):
    """Find where each source alone, smoothed by a round Gaussian, is brightest.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    x, y : ndarray, float64, shape (n,)
        Where to start [px].
    sigma : ndarray, float64, shape (n,)
        Widths of the Gaussians [px].
    farthest : float
        Largest move in these widths.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.

    Returns
    -------
    place : ndarray, float64, shape (n, 2)
        x and y [px]; NaN where there is no maximum near.
    covariance : ndarray, float64, shape (n, 2, 2)
        Of these [px**2]: slopes are those of the data, so it holds for sources of any shape.
    """
    n, (ny, nx) = x.size, residual.shape
    found, covariance = np.full((n, 2), np.nan), np.full((n, 2, 2), np.nan)
    place = np.zeros((3, 2))
    for s in range(n):
        if not (np.isfinite(x[s]) and np.isfinite(y[s])):
            continue
        half = int(np.ceil((REACH + 0.5 * farthest) * sigma[s]))
        side = 2 * half + 1
        window, unusable, noise = np.empty((side, side)), np.empty((side, side), np.bool_), np.empty((side, side))
        across, down = np.empty(side), np.empty(side)
        left, low = int(np.rint(x[s])) - half, int(np.rint(y[s])) - half
        cut_alone(residual, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, window, unusable)
        place[0, 0], place[0, 1] = x[s] - left, y[s] - low
        if not _climb(window, sigma[s], farthest * sigma[s], place, across, down):
            continue
        noise[:, :] = 0.0
        for j in range(max(0, -low), min(window.shape[0], ny - low)):
            for i in range(max(0, -left), min(window.shape[1], nx - left)):
                if not unusable[j, i] and weight_variance[low + j, left + i] < np.inf:
                    noise[j, i] = weight_variance[low + j, left + i]
        _covariance(noise, correlation, place, sigma[s], REACH * sigma[s], covariance[s])
        found[s, 0], found[s, 1] = place[0, 0] + left, place[0, 1] + low
    return found, covariance


@njit([_TABLE(F64_3D, F64)], cache=True, nogil=True, error_model="numpy")
def stamp_peaks(stamps, sigma):
    """Find where centred stamps, smoothed by a round Gaussian, are brightest.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        Such as PSFs.
    sigma : float
        Width of the Gaussian [px].

    Returns
    -------
    ndarray, float64, shape (n, 2)
        x and y from the middle pixel [px]; 0 where there is no maximum near.
    """
    found, middle = np.zeros((stamps.shape[0], 2)), float(stamps.shape[1] // 2)
    place, across, down = np.zeros((3, 2)), np.empty(stamps.shape[2]), np.empty(stamps.shape[1])
    for s in range(stamps.shape[0]):
        place[0, 0] = place[0, 1] = middle
        if _climb(stamps[s], sigma, 2.0 * sigma, place, across, down):
            found[s, 0], found[s, 1] = place[0, 0] - middle, place[0, 1] - middle
    return found
