"""Fits of Sersic profiles of free index to single sources, on plain arrays.

Profiles are tabulated as sums of Gaussians at rising indices; between two of them the model is their weighted mean,
which makes it continuous in the index with an exact slope.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.galaxies import psf_departure
from etendue.kernels.galaxy_fit import ITERATIONS, POINT_LIKE, TOLERANCE, predicted_gain, solve_damped
from etendue.kernels.galaxy_model import draw_departure, draw_profile, merge_narrow
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.small_matrix import invert
from etendue.kernels.source_light import weighed_window
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64, I64_1D

N = 7  # flux, x, y, ellipse or triangle, place in the table of indices

_CUBE = types.Array(types.float64, 3, "C")
_LINE = types.Array(types.float64, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")


@njit([types.void(F64_1D, F64_3D, F64_2D, _CUBE)], cache=True, nogil=True, error_model="numpy")
def _draw(theta, table, psf, out):
    """Draw a Sersic profile of unit flux: value, slopes by centre and ellipse, slope by the place in the table."""
    a, b, c = theta[3], theta[4], theta[5]
    ellipse = np.array([a * a, a * b, b * b + c * c])
    node = min(int(theta[6]), table.shape[0] - 2)
    part = theta[6] - node
    low, high = np.empty((6, *out.shape[1:])), np.empty((6, *out.shape[1:]))
    draw_profile(theta[1], theta[2], ellipse, merge_narrow(table[node], ellipse, psf), psf, low)
    draw_profile(theta[1], theta[2], ellipse, merge_narrow(table[node + 1], ellipse, psf), psf, high)
    out[:6] = (1.0 - part) * low + part * high
    out[6] = high[0] - low[0]


@njit(
    [F64(F64_2D, F64_2D, F64, F64_3D, F64_2D, F64_2D_OUT, _LINE)],
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract"},
)
def _normal_equations(data, weight, flux, drawn, departure, matrix, right):
    """Fill the products of the slopes with each other and with the residual; return chi-square."""
    slope, weighted = np.empty((N, data.size)), np.empty(data.size)
    d, w, c = data.ravel(), weight.ravel(), departure.ravel()
    residual, chi2 = np.empty(data.size), 0.0
    for a in range(N):
        own, scale = drawn[a].ravel(), 1.0 if a == 0 else flux
        for k in range(d.size):
            slope[a, k] = scale * own[k]
    for k in range(d.size):
        slope[0, k] += c[k]
        residual[k] = d[k] - flux * slope[0, k]
        chi2 += w[k] * residual[k] * residual[k]
    for a in range(N):
        total = 0.0
        for k in range(d.size):
            weighted[k] = w[k] * slope[a, k]
            total += weighted[k] * residual[k]
        right[a] = total
        for b in range(a + 1):
            total = 0.0
            for k in range(d.size):
                total += weighted[k] * slope[b, k]
            matrix[a, b] = matrix[b, a] = total
    return chi2


@njit([types.void(F64_1D, F64_2D_OUT, _LINE)], cache=True, nogil=True, error_model="numpy")
def _by_triangle(theta, matrix, right):
    """Turn slopes by the ellipse (xx, xy, yy) into those by the triangle (a, b, c), in place."""
    a, b, c = theta[3], theta[4], theta[5]
    turn = np.eye(N)
    turn[3:6, 3:6] = np.array([[2.0 * a, 0.0, 0.0], [b, a, 0.0], [0.0, 2.0 * b, 2.0 * c]])
    right[:] = turn.T @ right
    matrix[:, :] = turn.T @ matrix @ turn


@njit(
    [F64(F64_2D, F64_2D, F64_3D, F64_2D, F64_2D, I64, I64, I64, F64, _LINE, _CUBE, F64_2D_OUT, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _fit(data, weight, table, psf, departure, shift_x, shift_y, held, largest, theta, drawn, convolved, matrix):
    """Walk to the least chi-square; return it, or NaN if it was not reached or the source has no size."""
    right, step, trial, downhill = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N)
    working, moved, moved_matrix, moved_right = np.empty((N, N)), np.empty(drawn.shape), np.empty((N, N)), np.zeros(N)
    smallest, last = POINT_LIKE * np.sum(psf[:, 0] * (psf[:, 1] + psf[:, 3])), table.shape[0] - 1.0
    chi2, damping = np.inf, 1e-2
    for iteration in range(ITERATIONS):
        if iteration % 8 == 0:  # the departure of the PSF follows the shape
            ellipse = np.array([theta[3] ** 2, theta[3] * theta[4], theta[4] ** 2 + theta[5] ** 2])
            profile = table[int(np.rint(theta[6]))]
            draw_departure(ellipse, profile, departure, shift_x, shift_y, convolved)
            _draw(theta, table, psf, drawn)
            chi2 = _normal_equations(data, weight, theta[0], drawn, convolved, matrix, right)
        working[:, :], downhill[:] = matrix, right
        _by_triangle(theta, working, downhill)
        pinned = (theta[6] <= 0.0 and downhill[6] < 0.0) or (theta[6] >= last and downhill[6] > 0.0)
        for k in range(N):
            if (held and 0 < k < 3) or (pinned and k == 6):
                working[k, :] = 0.0
                working[:, k] = 0.0
                working[k, k], downhill[k] = 1.0, 0.0
        better = np.inf
        if solve_damped(working, downhill, damping, step):
            trial[:] = theta + step
            trial[6] = min(max(trial[6], theta[6] - 3.0, 0.0), theta[6] + 3.0, last)
            size = trial[3] ** 2 + trial[4] ** 2 + trial[5] ** 2
            if smallest < size < 2.0 * largest * largest:
                _draw(trial, table, psf, moved)
                better = _normal_equations(data, weight, trial[0], moved, convolved, moved_matrix, moved_right)
        gain = chi2 - better
        if gain >= 0.0:
            theta[:], drawn[:, :, :], matrix[:, :], right[:] = trial, moved, moved_matrix, moved_right
            chi2, damping = better, 0.1 * damping
            if gain < TOLERANCE and iteration > 3:
                return chi2
            continue
        if better < np.inf and predicted_gain(working, step, damping) < TOLERANCE:
            return chi2
        damping = max(10.0 * damping, 1e-3)
        if damping > 1e10:
            break
    return np.nan


@njit(
    [types.void(F64_3D, F64_2D, F64_2D, F64_1D, F64_2D, F64_2D, I64, F64, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _covariance(drawn, convolved, weight, theta, matrix, correlation, held, last, covariance):
    """Fill the covariance of flux, centre, ellipse and place in the table; zero for what was held or at its end."""
    field, noise, root = np.empty((N, *weight.shape)), np.empty((N, N)), np.sqrt(weight)
    field[0] = root * (drawn[0] + convolved)
    for k in range(1, N):
        field[k] = root * theta[0] * drawn[k]
    correlated_products(field, correlation, noise)
    inverse = matrix.copy()
    at_end = theta[6] <= 0.0 or theta[6] >= last
    for k in range(N):
        if (held and 0 < k < 3) or (at_end and k == 6):
            inverse[k, :] = 0.0
            inverse[:, k] = 0.0
            inverse[k, k] = 1.0
            noise[k, :] = 0.0
            noise[:, k] = 0.0
    invert(inverse.copy(), inverse)
    covariance[:, :] = inverse @ noise @ inverse.T


@njit(
    [
        types.Tuple((_TABLE, _CUBE, _LINE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D,
            F64_2D, I64_1D, F64_3D, F64_3D, I64_1D, F64_3D, I64_1D, I64_1D, I64, F64_2D, I64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def fit_sersic(
    residual, weight_variance, bad, value, offset, x0, y0, width, height,
    start, half, table, mixtures, cell, stamps, stamp_x0, stamp_y0, held, correlation, first,
):  # fmt: skip
    """Fit Sersic profiles: flux, centre, half-light ellipse and index.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    start : ndarray, float64, shape (n, 7)
        First guess: flux, x, y [px], ellipse xx, xy, yy [px**2] without the PSF, place in the table.
    half : ndarray, int64, shape (n,)
        Half sides of the windows [px].
    table : ndarray, float64, shape (indices, k, 2)
        Profiles of rising index as sums of Gaussians.
    mixtures : ndarray, float64, shape (cells, k, 4)
        PSFs as sums of Gaussians.
    cell : ndarray, int64, shape (n,)
        Which of them belongs to each source.
    stamps : ndarray, float64, shape (m, k, k)
        True PSFs at the phases of the sources ``first`` to ``first + m - 1``.
    stamp_x0, stamp_y0 : ndarray, int64, shape (m,)
        Image pixel of each stamp's first sample.
    held : int
        1 to hold the centres.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.
    first : int
        First source.

    Returns
    -------
    theta : ndarray, float64, shape (m, 7)
        Flux, x, y, ellipse xx, xy, yy, place in the table; NaN where the fit did not settle or found a point.
    covariance : ndarray, float64, shape (m, 7, 7)
        Of these; the place's is zero at either end of the table.
    chi2 : ndarray, float64, shape (m,)
        Chi-square.
    """
    m = stamps.shape[0]
    found, covariance, chi2 = np.full((m, N), np.nan), np.full((m, N, N), np.nan), np.full(m, np.nan)
    departure, matrix, theta = np.empty(stamps.shape[1:]), np.empty((N, N)), np.empty(N)
    for k in range(m):
        s = first + k
        if not np.isfinite(start[s]).all() or not start[s, 3] > 0.0:
            continue
        left, low = int(np.rint(start[s, 1])) - half[s], int(np.rint(start[s, 2])) - half[s]
        data, weight, used = weighed_window(
            residual, weight_variance, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low,
            2 * half[s] + 1,
        )  # fmt: skip
        if used < 20:
            continue
        psf = mixtures[cell[s]]
        psf_departure(stamps[k], start[s, 1] - stamp_x0[k], start[s, 2] - stamp_y0[k], psf, departure)
        theta[:] = start[s]
        theta[1], theta[2] = start[s, 1] - left, start[s, 2] - low
        theta[3] = np.sqrt(start[s, 3])
        theta[4] = start[s, 4] / theta[3]
        theta[5] = np.sqrt(max(start[s, 5] - theta[4] ** 2, 0.01 * start[s, 3]))
        drawn, convolved = np.empty((N, *data.shape)), np.empty(data.shape)
        chi2[k] = _fit(
            data, weight, table, psf, departure, stamp_x0[k] - left, stamp_y0[k] - low, held, 2.0 * half[s], theta,
            drawn, convolved, matrix,
        )  # fmt: skip
        if np.isfinite(chi2[k]):
            last = table.shape[0] - 1.0
            _covariance(drawn, convolved, weight, theta, matrix, correlation, held, last, covariance[k])
            a, b, c = theta[3], theta[4], theta[5]
            found[k, :3], found[k, 6] = theta[:3], theta[6]
            found[k, 1] += left
            found[k, 2] += low
            found[k, 3], found[k, 4], found[k, 5] = a * a, a * b, b * b + c * c
    return found, covariance, chi2
