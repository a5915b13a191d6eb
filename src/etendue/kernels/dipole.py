"""Fits of dipoles: a positive and a negative point source side by side, on plain arrays.

Images that were subtracted with a small offset leave them at every star. Both lobes are free in place and flux.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.galaxy_fit import predicted_gain, solve_damped
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.psf import combine, draw_one
from etendue.kernels.small_matrix import invert
from etendue.kernels.source_light import add_light, weighed_window
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64, I64_1D

N = 6  # flux, x, y of the positive lobe; the same of the negative one, whose flux is its amount
ITERATIONS = 100
TOLERANCE = 1e-4  # chi-square a step must still win

_CUBE = types.Array(types.float64, 3, "C")
_LINE = types.Array(types.float64, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")


@njit([types.void(F64_2D, F64, F64_1D, _CUBE)], cache=True, nogil=True, error_model="numpy")
def _draw(grid, step, theta, drawn):
    """Fill the PSF and its slopes at both lobes."""
    middle = drawn.shape[1] // 2
    draw_one(grid, step, theta[1] - middle, theta[2] - middle, drawn[0], drawn[1], drawn[2])
    draw_one(grid, step, theta[4] - middle, theta[5] - middle, drawn[3], drawn[4], drawn[5])


@njit([F64(F64_2D, F64_2D, F64_1D, _CUBE, F64_2D_OUT, _LINE)], cache=True, nogil=True, error_model="numpy")
def _normal_equations(data, weight, theta, drawn, matrix, right):
    """Fill the products of the slopes with each other and with the residual; return chi-square."""
    matrix[:, :] = 0.0
    right[:] = 0.0
    scale = np.array([1.0, theta[0], theta[0], -1.0, -theta[3], -theta[3]])
    chi2, slope = 0.0, np.empty(N)
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            w, residual = weight[j, i], data[j, i] - theta[0] * drawn[0, j, i] + theta[3] * drawn[3, j, i]
            if w == 0.0:
                continue
            chi2 += w * residual * residual
            for a in range(N):
                slope[a] = drawn[a, j, i] * scale[a]
                right[a] += w * residual * slope[a]
                for b in range(a + 1):
                    matrix[a, b] += w * slope[a] * slope[b]
    for a in range(N):
        for b in range(a):
            matrix[b, a] = matrix[a, b]
    return chi2


@njit([types.void(F64_2D, F64_2D, F64, F64_2D, F64, _LINE)], cache=True, nogil=True, error_model="numpy")
def _first_guess(data, weight, reach, grid, step, theta):
    """Fill a start: lobes where means of 3 x 3 pixels near the middle are largest and smallest."""
    middle = data.shape[0] // 2
    high, low = -np.inf, np.inf
    for j in range(1, data.shape[0] - 1):
        for i in range(1, data.shape[1] - 1):
            if (j - middle) ** 2 + (i - middle) ** 2 > reach * reach:
                continue
            total = used = 0.0
            for b in range(-1, 2):
                for a in range(-1, 2):
                    if weight[j + b, i + a] > 0.0:
                        total, used = total + data[j + b, i + a], used + 1.0
            if used > 4.0 and total / used > high:
                high, theta[1], theta[2] = total / used, i, j
            if used > 4.0 and total / used < low:
                low, theta[4], theta[5] = total / used, i, j
    one = np.zeros((3, *data.shape))
    draw_one(grid, step, 0.0, 0.0, one[0], one[1], one[2])
    peak = np.mean(one[0, middle - 1 : middle + 2, middle - 1 : middle + 2])
    theta[0], theta[3] = max(high, 1e-3 * abs(low)) / peak, max(-low, 1e-3 * abs(high)) / peak


@njit([F64(F64_2D, F64_2D, F64_2D, F64, F64, _LINE, _CUBE, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _fit(data, weight, grid, step, reach, theta, drawn, matrix):
    """Walk to the least chi-square with lobes of their sign near the middle; return it, NaN if it was not reached."""
    right, change, trial = np.zeros(N), np.zeros(N), np.zeros(N)
    moved, moved_matrix, moved_right = np.empty(drawn.shape), np.empty((N, N)), np.zeros(N)
    _draw(grid, step, theta, drawn)
    chi2, damping, middle = _normal_equations(data, weight, theta, drawn, matrix, right), 1e-3, data.shape[0] // 2
    for _ in range(ITERATIONS):
        better = np.inf
        if solve_damped(matrix, right, damping, change):
            trial[:] = theta + change
            away = max(np.hypot(trial[1] - middle, trial[2] - middle), np.hypot(trial[4] - middle, trial[5] - middle))
            if trial[0] > 0.0 and trial[3] > 0.0 and away < reach:
                _draw(grid, step, trial, moved)
                better = _normal_equations(data, weight, trial, moved, moved_matrix, moved_right)
        gain = chi2 - better
        if gain >= 0.0:
            theta[:], drawn[:, :, :], matrix[:, :], right[:] = trial, moved, moved_matrix, moved_right
            chi2, damping = better, 0.1 * damping
            if gain < TOLERANCE:
                return chi2
            continue
        if better < np.inf and predicted_gain(matrix, change, damping) < TOLERANCE:
            return chi2
        damping = max(10.0 * damping, 1e-3)
        if damping > 1e10:
            break
    return np.nan


@njit([F64(F64_2D, F64_2D, _CUBE)], cache=True, nogil=True, error_model="numpy")
def _alone(data, weight, drawn):
    """Return the chi-square of the better of both lobes without the other, its flux free."""
    best = np.inf
    for lobe in (0, 3):
        whole, product, power = 0.0, 0.0, 0.0
        for j in range(data.shape[0]):
            for i in range(data.shape[1]):
                w, p = weight[j, i], drawn[lobe, j, i]
                whole, product, power = whole + w * data[j, i] ** 2, product + w * p * data[j, i], power + w * p * p
        best = min(best, whole - product * product / max(power, 1e-300))
    return best


@njit([types.void(F64_1D, F64_1D, F64_1D, I64, F64, _LINE)], cache=True, nogil=True, error_model="numpy")
def _opposite(x, y, flux, s, reach, out):
    """Mark sources of the other sign within a distance of source s."""
    for m in range(x.size):
        out[m] = 1.0 if flux[m] * flux[s] < 0.0 and np.hypot(x[m] - x[s], y[m] - y[s]) < reach else 0.0


@njit(
    [
        types.Tuple((_TABLE, _CUBE, _TABLE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D,
            F64_1D, F64_1D, F64_1D, F64_3D, F64_2D, F64, I64, F64, F64_2D,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def fit_dipoles(
    residual, weight_variance, bad, value, offset, x0, y0, width, height,
    x, y, flux, components, terms, step, half, reach, correlation,
):  # fmt: skip
    """Fit a dipole at every source: to itself, and to what was taken for a source of the other sign beside it.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    x, y, flux : ndarray, float64, shape (n,)
        Sources [px, image unit].
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing of the PSF [px].
    half : int
        Half side of the windows [px].
    reach : float
        Farthest a lobe may lie from the source [px].
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.

    Returns
    -------
    theta : ndarray, float64, shape (n, 6)
        Flux, x and y of the positive lobe, amount of flux, x and y of the negative one; NaN where the fit did not
        settle.
    covariance : ndarray, float64, shape (n, 6, 6)
        Of these.
    chi2 : ndarray, float64, shape (n, 3)
        Chi-square of the dipole, that of its better lobe alone, and the number of pixels.
    """
    n, side = x.size, 2 * half + 1
    found, covariance, chi2 = np.full((n, N), np.nan), np.full((n, N, N), np.nan), np.full((n, 3), np.nan)
    grid, drawn = np.empty(components.shape[1:]), np.empty((N, side, side))
    matrix, inverse, noise = np.empty((N, N)), np.empty((N, N)), np.empty((N, N))
    theta, beside = np.zeros(N), np.zeros(n)
    for s in range(n):
        if not (np.isfinite(x[s]) and np.isfinite(y[s]) and np.isfinite(flux[s])):
            continue
        left, low = int(np.rint(x[s])) - half, int(np.rint(y[s])) - half
        data, weight, used = weighed_window(
            residual, weight_variance, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, side
        )
        _opposite(x, y, flux, s, 2.0 * reach, beside)
        for m in np.flatnonzero(beside):
            add_light(data, value, offset[m], x0[m] - left, y0[m] - low, width[m], height[m], 1.0)
        if used < 20:
            continue
        combine(components, terms[s], grid)
        theta[:] = 0.0
        _first_guess(data, weight, reach, grid, step, theta)
        reached = _fit(data, weight, grid, step, reach, theta, drawn, matrix)
        if not (np.isfinite(reached) and invert(matrix, inverse)):
            continue
        chi2[s, 0], chi2[s, 1], chi2[s, 2] = reached, _alone(data, weight, drawn), used
        scale = np.array([1.0, theta[0], theta[0], -1.0, -theta[3], -theta[3]])
        for a in range(N):
            drawn[a] *= np.sqrt(weight) * scale[a]
        correlated_products(drawn, correlation, noise)
        covariance[s] = inverse @ noise @ inverse.T
        found[s] = theta
        for a in (1, 4):
            found[s, a] += left
            found[s, a + 1] += low
    return found, covariance, chi2
