"""Fits of galaxy profiles to single sources: Levenberg-Marquardt with analytic derivatives, on plain arrays.

Parameters are flux, centre, and the half-light ellipse S = L L^T by its lower triangle (a, b, c), which lets sizes go
to zero without a wall. Data are the source alone; weights come from the variance of the model, not of the data.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.galaxy_model import draw_departure, draw_profile, merge_narrow
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.small_matrix import invert
from etendue.kernels.types import F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64

CENTRE, ELLIPSE = 1, 2  # what may be fitted besides the flux
ITERATIONS = 40
TOLERANCE = 5e-4  # chi-square a step must still win
POINT_LIKE = 3e-4  # ellipses smaller than this part of the PSF's count as zero
UNSEEN = 0.003  # chi-square that the departure must change to be drawn
ROUNDS = 2  # times the departure of the PSF from Gaussians is convolved with the profile anew

_CUBE_OUT = types.Array(types.float64, 3, "C")
_LINE = types.Array(types.float64, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")


@njit([types.void(F64_2D_OUT, _LINE, I64)], cache=True, nogil=True, error_model="numpy")
def _hold(matrix, right, free):
    """Take what is not fitted out of the normal equations, in place."""
    for k in range(1, 6):
        if not (free & (CENTRE if k < 3 else ELLIPSE)):
            matrix[k, :] = 0.0
            matrix[:, k] = 0.0
            matrix[k, k], right[k] = 1.0, 0.0


@njit([types.boolean(F64_2D, F64_1D, F64, _LINE)], cache=True, nogil=True, error_model="numpy")
def solve_damped(matrix, right, damping, out):
    """Solve damped normal equations by Cholesky.

    Parameters
    ----------
    matrix : ndarray, float64, shape (n, n)
        Normal equations.
    right : ndarray, float64, shape (n,)
        Right-hand side.
    damping : float
        By which part of itself the diagonal is raised.
    out : ndarray, float64, shape (n,)
        Output: the step.

    Returns
    -------
    bool
        False if the matrix is not positive.
    """
    n = right.size
    lower = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j] + (damping * matrix[i, i] + 1e-300 if i == j else 0.0)
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 1e-14 * matrix[i, i]:
                    return False
                lower[i, i] = np.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    for i in range(n):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, n):
            total -= lower[k, i] * out[k]
        out[i] = total / lower[i, i]
    return True


@njit(
    [F64(F64_2D, F64_2D, F64, F64_3D, F64_2D, F64_2D_OUT, _LINE)],
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract"},
)
def _normal_equations(data, weight, flux, drawn, departure, matrix, right):
    """Fill the products of the derivatives by flux, centre and ellipse with each other and the residual; give chi2."""
    d, w, u, c = data.ravel(), weight.ravel(), drawn, departure.ravel()
    value, by_x, by_y = u[0].ravel(), u[1].ravel(), u[2].ravel()
    by_xx, by_xy, by_yy = u[3].ravel(), u[4].ravel(), u[5].ravel()
    chi2 = h00 = h01 = h02 = h03 = h04 = h05 = h11 = h12 = h13 = h14 = h15 = h22 = h23 = h24 = h25 = 0.0
    h33 = h34 = h35 = h44 = h45 = h55 = r0 = r1 = r2 = r3 = r4 = r5 = 0.0
    for k in range(d.size):
        j0, j1, j2, j3, j4, j5 = value[k] + c[k], by_x[k], by_y[k], by_xx[k], by_xy[k], by_yy[k]
        residual = d[k] - flux * j0
        w0, w1, w2, w3, w4, w5 = w[k] * j0, w[k] * j1, w[k] * j2, w[k] * j3, w[k] * j4, w[k] * j5
        chi2 += w[k] * residual * residual
        r0, r1, r2 = r0 + w0 * residual, r1 + w1 * residual, r2 + w2 * residual
        r3, r4, r5 = r3 + w3 * residual, r4 + w4 * residual, r5 + w5 * residual
        h00, h01, h02, h03, h04 = h00 + w0 * j0, h01 + w0 * j1, h02 + w0 * j2, h03 + w0 * j3, h04 + w0 * j4
        h05, h11, h12, h13, h14 = h05 + w0 * j5, h11 + w1 * j1, h12 + w1 * j2, h13 + w1 * j3, h14 + w1 * j4
        h15, h22, h23, h24, h25 = h15 + w1 * j5, h22 + w2 * j2, h23 + w2 * j3, h24 + w2 * j4, h25 + w2 * j5
        h33, h34, h35, h44, h45 = h33 + w3 * j3, h34 + w3 * j4, h35 + w3 * j5, h44 + w4 * j4, h45 + w4 * j5
        h55 += w5 * j5
    upper = (
        (h00, h01, h02, h03, h04, h05),
        (h01, h11, h12, h13, h14, h15),
        (h02, h12, h22, h23, h24, h25),
        (h03, h13, h23, h33, h34, h35),
        (h04, h14, h24, h34, h44, h45),
        (h05, h15, h25, h35, h45, h55),
    )
    gradient = (r0, r1, r2, r3, r4, r5)
    for a in range(6):
        right[a] = gradient[a] * (1.0 if a == 0 else flux)
        for b in range(6):
            matrix[a, b] = upper[a][b] * (1.0 if a == 0 else flux) * (1.0 if b == 0 else flux)
    return chi2


@njit([types.void(F64_1D, F64_2D_OUT, _LINE)], cache=True, nogil=True, error_model="numpy")
def _by_triangle(theta, matrix, right):
    """Turn derivatives by the ellipse (xx, xy, yy) into those by the triangle (a, b, c), in place."""
    a, b, c = theta[3], theta[4], theta[5]
    turn = np.eye(6)
    turn[3:, 3:] = 0.0
    turn[3, 3], turn[4, 3], turn[3, 4], turn[4, 4] = 2.0 * a, b, 0.0, a
    turn[5, 4], turn[5, 5] = 2.0 * b, 2.0 * c
    half, gradient = np.zeros((6, 6)), np.zeros(6)
    for i in range(6):
        for k in range(6):
            gradient[i] += turn[k, i] * right[k]
            for m in range(6):
                half[i, k] += matrix[i, m] * turn[m, k]
    for i in range(6):
        right[i] = gradient[i]
        for k in range(6):
            matrix[i, k] = 0.0
            for m in range(6):
                matrix[i, k] += turn[m, i] * half[m, k]


@njit([types.void(F64_1D, _LINE)], cache=True, nogil=True, error_model="numpy")
def ellipse_of(theta, out):
    """Fill the ellipse xx, xy, yy [px^2] of parameters (flux, x, y, a, b, c)."""
    a, b, c = theta[3], theta[4], theta[5]
    out[0], out[1], out[2] = a * a, a * b, b * b + c * c


@njit([F64(F64_2D, F64_1D, F64)], cache=True, nogil=True, error_model="numpy")
def predicted_gain(matrix, step, damping):
    """Return by how much a damped step would lower chi-square if the model were linear.

    Parameters
    ----------
    matrix : ndarray, float64, shape (n, n)
        Normal equations.
    step : ndarray, float64, shape (n,)
        Their solution.
    damping : float
        As for `solve_damped`.

    Returns
    -------
    float
        Chi-square.
    """
    total = 0.0
    for a in range(step.size):
        total += 2.0 * damping * matrix[a, a] * step[a] * step[a]
        for b in range(step.size):
            total += matrix[a, b] * step[a] * step[b]
    return total


@njit(
    [F64(F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, F64, _LINE, _CUBE_OUT, F64_2D_OUT, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _descend(data, weight, profile, psf, convolved, free, largest, theta, drawn, matrix, tolerance):
    """Walk to the least chi-square with the departure's part held; return it, or NaN if it was not reached."""
    ellipse, right, step, trial = np.zeros(3), np.zeros(6), np.zeros(6), np.zeros(6)
    working, downhill, moved = np.empty((6, 6)), np.zeros(6), np.empty(drawn.shape)
    moved_matrix, moved_right = np.empty((6, 6)), np.zeros(6)
    ellipse_of(theta, ellipse)
    draw_profile(theta[1], theta[2], ellipse, profile, psf, drawn)
    chi2 = _normal_equations(data, weight, theta[0], drawn, convolved, matrix, right)
    if matrix[0, 0] > 0.0:  # the best flux of the first shape
        theta[0] += right[0] / matrix[0, 0]
        chi2 = _normal_equations(data, weight, theta[0], drawn, convolved, matrix, right)
    damping, smallest = 1e-3, POINT_LIKE * np.sum(psf[:, 0] * (psf[:, 1] + psf[:, 3]))
    for _ in range(ITERATIONS):
        working[:, :], downhill[:] = matrix, right
        _by_triangle(theta, working, downhill)
        _hold(working, downhill, free)
        better = np.inf
        if solve_damped(working, downhill, damping, step):
            trial[:] = theta + step
            ellipse_of(trial, ellipse)
            if ellipse[0] + ellipse[2] < 2.0 * largest * largest:
                draw_profile(trial[1], trial[2], ellipse, profile, psf, moved)
                better = _normal_equations(data, weight, trial[0], moved, convolved, moved_matrix, moved_right)
        gain = chi2 - better
        if gain >= 0.0:
            theta[:], drawn[:, :, :], matrix[:, :], right[:] = trial, moved, moved_matrix, moved_right
            chi2, damping = better, 0.1 * damping
            if gain < tolerance:
                return chi2
            if free & ELLIPSE and theta[3] ** 2 + theta[4] ** 2 + theta[5] ** 2 < smallest:  # no further: a point
                theta[3:] = 0.0
                free &= CENTRE
                draw_profile(theta[1], theta[2], np.zeros(3), profile, psf, drawn)
                chi2 = _normal_equations(data, weight, theta[0], drawn, convolved, matrix, right)
            continue
        if better < np.inf and predicted_gain(working, step, damping) < tolerance:
            return chi2
        damping = max(10.0 * damping, 1e-3)
        if damping > 1e10:
            return np.nan
    return np.nan


@njit([types.boolean(F64_2D, F64_2D, I64, I64, F64)], cache=True, nogil=True, error_model="numpy")
def _matters(weight, departure, shift_x, shift_y, flux):
    """Return whether the departure of a point source of a flux is seen above the noise."""
    total = 0.0
    for j in range(max(0, shift_y), min(weight.shape[0], shift_y + departure.shape[0])):
        for i in range(max(0, shift_x), min(weight.shape[1], shift_x + departure.shape[1])):
            total += weight[j, i] * departure[j - shift_y, i - shift_x] ** 2
    return total * flux * flux > UNSEEN


@njit(
    [F64(F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, I64, I64, F64, _LINE, _CUBE_OUT, F64_2D_OUT, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fit_profile(
    data, weight, profile, psf, departure, shift_x, shift_y, free, largest, theta, drawn, convolved, matrix
):
    """Fit one profile to one source.

    Parameters
    ----------
    data, weight : ndarray, float64, shape (h, w)
        The source alone, and the inverse variance of the model; 0 where unusable.
    profile, psf : ndarray
        As `draw_profile` takes them.
    departure : ndarray, float64, shape (k, k)
        True PSF minus its sum of Gaussians at the phase of the source.
    shift_x, shift_y : int
        Window pixel of the departure's first sample.
    free : int
        What is fitted besides the flux: CENTRE, ELLIPSE, their sum or 0.
    largest : float
        Largest half-light radius [px].
    theta : ndarray, float64, shape (6,)
        Flux, x, y, a, b, c; start and result.
    drawn : ndarray, float64, shape (6, h, w)
        Output: profile of unit flux and its derivatives by centre and ellipse.
    convolved : ndarray, float64, shape (h, w)
        Output: what the departure adds to the profile.
    matrix : ndarray, float64, shape (6, 6)
        Output: normal equations by flux, centre and ellipse (not triangle).

    Returns
    -------
    float
        Chi-square; NaN where the fit did not settle.
    """
    ellipse, chi2 = np.zeros(3), np.nan
    convolved[:, :] = 0.0
    for stage in range(ROUNDS):
        ellipse_of(theta, ellipse)
        matters = _matters(weight, departure, shift_x, shift_y, theta[0])
        if matters:
            draw_departure(ellipse, profile, departure, shift_x, shift_y, convolved)
        last = stage == ROUNDS - 1 or not matters or free & ELLIPSE == 0
        merged = merge_narrow(profile, ellipse, psf)
        tolerance = TOLERANCE if last else 100.0 * TOLERANCE
        chi2 = _descend(data, weight, merged, psf, convolved, free, largest, theta, drawn, matrix, tolerance)
        if last:
            break
    return chi2


@njit(
    [types.void(F64_3D, F64_2D, F64_2D, F64, F64_2D, F64_2D, I64, F64_2D_OUT, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fit_covariance(drawn, convolved, weight, flux, matrix, correlation, free, inverse, covariance):
    """Fill the covariance of flux, centre and ellipse: the noise of the normal equations through their inverse.

    Parameters
    ----------
    drawn, convolved, weight, matrix
        As `fit_profile` left and took them.
    flux : float
        Fitted flux.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.
    free : int
        What was fitted, as for `fit_profile`.
    inverse, covariance : ndarray, float64, shape (6, 6)
        Output: inverse of the normal equations, and the covariance; zero for what was not fitted, NaN if there is none.
    """
    held, noise, nothing = matrix.copy(), np.empty((6, 6)), np.zeros(6)
    if correlation.size > 1:
        field, root = np.empty((6, *weight.shape)), np.sqrt(weight)
        field[0] = root * (drawn[0] + convolved)
        for k in range(1, 6):
            field[k] = root * flux * drawn[k]
        correlated_products(field, correlation, noise)
    else:
        noise[:, :] = matrix
    _hold(held, nothing, free)
    if not invert(held, inverse):
        covariance[:, :] = np.nan
        return
    for k in range(1, 6):
        if not (free & (CENTRE if k < 3 else ELLIPSE)):
            inverse[k, k] = 0.0
    covariance[:, :] = inverse @ noise @ inverse.T
