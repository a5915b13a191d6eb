"""Fits of trails, lines of uniform light convolved with the PSF (Veres et al. 2012, PASP 124, 1197), on arrays."""

import math

import numpy as np
from numba import njit, types

from etendue.kernels.galaxy_fit import ITERATIONS, predicted_gain, solve_damped
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.small_matrix import invert
from etendue.kernels.source_light import weighed_window
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64_1D

N = 5  # flux, x, y, length, angle
SHORTEST = 0.01  # px
_TOLERANCE = 1e-3  # chi-square a step must still win: 0.03 errors

_CUBE = types.Array(types.float64, 3, "C")
_LINE = types.Array(types.float64, 1, "C")
_NODES = 32.0  # of the table of the error function, per unit
_END = 6.0  # where it is 1
_ERF = np.array([math.erf(k / _NODES) for k in range(int(_END * _NODES) + 2)])
_BELL = np.exp(-((np.arange(_ERF.size) / _NODES) ** 2))
_TABLE = types.Array(types.float64, 2, "C")


@njit(inline="always")
def _error_function(x):
    """Return erf(x) and exp(-x^2), to 1e-9: Taylor's series about the nearest node of a table."""
    size = abs(x)
    if size >= _END:
        return math.copysign(1.0, x), 0.0
    k = int(size * _NODES + 0.5)
    node, bell = k / _NODES, _BELL[k]
    d = size - node
    rise = node * node
    series = d * (1.0 - d * (node - d * ((2.0 * rise - 1.0) / 3.0 - d * node * (2.0 * rise - 3.0) / 6.0)))
    t = -d * (2.0 * node + d)
    fall = 1.0 + t * (1.0 + t * (0.5 + t * (1.0 / 6.0 + t * (1.0 / 24.0 + t * (1.0 / 120.0 + t / 720.0)))))
    return math.copysign(_ERF[k] + 2.0 / math.sqrt(math.pi) * bell * series, x), bell * fall


@njit([types.void(F64, F64, F64, F64, F64_2D, _CUBE)], cache=True, nogil=True, error_model="numpy")
def draw_trail(x, y, length, angle, psf, out):
    """Draw a trail of unit flux convolved with round Gaussians, and its slopes.

    Parameters
    ----------
    x, y : float
        Middle [window px].
    length : float
        Between the ends [px].
    angle : float
        From the x axis towards y [rad].
    psf : ndarray, float64, shape (k, 2)
        Amplitudes and widths of the Gaussians [px].
    out : ndarray, float64, shape (5, h, w)
        Output: value, and slopes by x, y, length and angle.
    """
    out[:, :, :] = 0.0
    c, s, half = np.cos(angle), np.sin(angle), 0.5 * length
    for k in range(psf.shape[0]):
        sigma = psf[k, 1]
        scale, root = psf[k, 0] / (2.0 * length * sigma * math.sqrt(2.0 * math.pi)), 1.0 / (math.sqrt(2.0) * sigma)
        slope = scale * 2.0 * root / math.sqrt(math.pi)
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                dx, dy = i - x, j - y
                u, v = c * dx + s * dy, c * dy - s * dx
                far = max(abs(u) - half, 0.0)
                if far * far + v * v > 36.0 * sigma * sigma:
                    continue
                across = math.exp(-0.5 * (v / sigma) ** 2)
                since, start = _error_function(root * (u + half))
                until, end = _error_function(root * (u - half))
                value = scale * across * (since - until)
                by_u, by_v = slope * across * (start - end), -v / (sigma * sigma) * value
                out[0, j, i] += value
                out[1, j, i] += s * by_v - c * by_u
                out[2, j, i] -= s * by_u + c * by_v
                out[3, j, i] += 0.5 * slope * across * (start + end) - value / length
                out[4, j, i] += v * by_u - u * by_v


@njit(
    [F64(F64_1D, F64_1D, F64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract"},
)
def _weighted_product(weight, first, second):
    total = 0.0
    for i in range(weight.size):
        total += weight[i] * first[i] * second[i]
    return total


@njit(
    [F64(F64_2D, F64_2D, F64, F64_3D, F64_2D_OUT, _LINE)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _normal_equations(data, weight, flux, drawn, matrix, right):
    """Fill the products of the slopes with each other and with the residual; return chi-square."""
    pixels, weights, model = data.ravel(), weight.ravel(), drawn[0].ravel()
    residual = pixels - flux * model
    for a in range(N):
        first = drawn[a].ravel()
        scale = 1.0 if a == 0 else flux
        right[a] = scale * _weighted_product(weights, first, residual)
        for b in range(a + 1):
            both = scale * (1.0 if b == 0 else flux)
            matrix[a, b] = both * _weighted_product(weights, first, drawn[b].ravel())
            matrix[b, a] = matrix[a, b]
    return _weighted_product(weights, residual, residual)


@njit(
    [F64(F64_2D, F64_2D, F64_2D, _LINE, _CUBE, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _fit(data, weight, psf, theta, drawn, matrix):
    """Walk to the least chi-square; return it, or NaN if it was not reached."""
    right, step, trial, working = np.zeros(N), np.zeros(N), np.zeros(N), np.empty((N, N))
    moved, moved_matrix, moved_right = np.empty(drawn.shape), np.empty((N, N)), np.zeros(N)
    draw_trail(theta[1], theta[2], theta[3], theta[4], psf, drawn)
    chi2 = _normal_equations(data, weight, theta[0], drawn, matrix, right)
    if matrix[0, 0] > 0.0:
        theta[0] += right[0] / matrix[0, 0]
    chi2 = _normal_equations(data, weight, theta[0], drawn, matrix, right)
    damping, longest = 1e-3, 2.0 * data.shape[0]
    for _ in range(ITERATIONS):
        working[:, :] = matrix
        better = np.inf
        if solve_damped(working, right, damping, step):
            trial[:] = theta + step
            trial[3] = max(abs(trial[3]), SHORTEST)
            if trial[3] < longest:
                draw_trail(trial[1], trial[2], trial[3], trial[4], psf, moved)
                better = _normal_equations(data, weight, trial[0], moved, moved_matrix, moved_right)
        gain = chi2 - better
        if gain >= 0.0:
            theta[:], drawn[:, :, :], matrix[:, :], right[:] = trial, moved, moved_matrix, moved_right
            chi2, damping = better, 0.1 * damping
            if gain < _TOLERANCE:
                return chi2
            continue
        if better < np.inf and predicted_gain(working, step, damping) < _TOLERANCE:
            return chi2
        damping = max(10.0 * damping, 1e-3)
        if damping > 1e10:
            break
    return np.nan


@njit(
    [
        types.Tuple((_TABLE, _CUBE, _LINE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D,
            F64_2D, I64_1D, F64_3D, I64_1D, F64_2D,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def fit_trails(
    residual, weight_variance, bad, value, offset, x0, y0, width, height, start, half, psfs, cell, correlation
):
    """Fit trails: flux, middle, length and angle.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    start : ndarray, float64, shape (n, 5)
        First guess: flux, x, y, length [px], angle [rad].
    half : ndarray, int64, shape (n,)
        Half sides of the windows [px].
    psfs : ndarray, float64, shape (cells, k, 2)
        Amplitudes and widths of the round Gaussians of the PSFs.
    cell : ndarray, int64, shape (n,)
        Which of them belongs to each source.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.

    Returns
    -------
    theta : ndarray, float64, shape (n, 5)
        Flux, x, y, length [px], angle [rad, -pi/2 to pi/2]; NaN where the fit did not settle.
    covariance : ndarray, float64, shape (n, 5, 5)
        Of these.
    chi2 : ndarray, float64, shape (n,)
        Chi-square per pixel.
    """
    n = half.size
    found, covariance, chi2 = np.full((n, N), np.nan), np.full((n, N, N), np.nan), np.full(n, np.nan)
    matrix, noise, inverse = np.empty((N, N)), np.empty((N, N)), np.empty((N, N))
    for s in range(n):
        if not np.isfinite(start[s]).all():
            continue
        left, low = int(np.rint(start[s, 1])) - half[s], int(np.rint(start[s, 2])) - half[s]
        data, weight, used = weighed_window(
            residual, weight_variance, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low,
            2 * half[s] + 1,
        )  # fmt: skip
        if used < 20:
            continue
        theta, drawn = start[s].copy(), np.empty((N, *data.shape))
        theta[1], theta[2], theta[3] = theta[1] - left, theta[2] - low, max(theta[3], SHORTEST)
        reached = _fit(data, weight, psfs[cell[s]], theta, drawn, matrix)
        if not np.isfinite(reached):
            continue
        root = np.sqrt(weight)
        for a in range(N):
            drawn[a] *= root * (1.0 if a == 0 else theta[0])
        correlated_products(drawn, correlation, noise)
        if theta[3] <= 2.0 * SHORTEST:  # the angle of a point means nothing
            matrix[4, :] = 0.0
            matrix[:, 4] = 0.0
            matrix[4, 4] = 1.0
        invert(matrix, inverse)
        covariance[s] = inverse @ noise @ inverse.T
        found[s], chi2[s] = theta, reached / used
        found[s, 1] += left
        found[s, 2] += low
        found[s, 4] -= math.pi * np.rint(theta[4] / math.pi)
    return found, covariance, chi2
