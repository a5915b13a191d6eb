"""Best sum of two profiles whose sizes are free, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.galaxy_fit import predicted_gain, solve_damped
from etendue.kernels.galaxy_model import draw_departure, draw_profile, merge_narrow
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.small_matrix import invert
from etendue.kernels.types import F64, F64_1D, F64_2D, F64_2D_OUT, I64

N = 4  # fluxes of both profiles, logarithms of the factors on their ellipses
ITERATIONS = 20
TOLERANCE = 1e-3  # chi-square a step must still win
LARGEST = 2.5  # of these logarithms

_CUBE = types.Array(types.float64, 3, "C")
_LINE = types.Array(types.float64, 1, "C")


@njit(
    [types.void(F64, F64, F64_2D, F64_2D, F64_2D, F64_2D, _CUBE, F64_1D, _CUBE, _CUBE)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _slopes(x, y, ellipses, disc, bulge, psf, convolved, q, drawn, out):
    """Fill what each parameter adds to the model: templates of unit flux, and their slopes by size times flux."""
    for m in range(2):
        ellipse = np.exp(q[2 + m]) * ellipses[m]
        draw_profile(x, y, ellipse, merge_narrow(bulge if m else disc, ellipse, psf), psf, drawn)
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                out[m, j, i] = drawn[0, j, i] + convolved[m, j, i]
                slope = ellipse[0] * drawn[3, j, i] + ellipse[1] * drawn[4, j, i] + ellipse[2] * drawn[5, j, i]
                out[2 + m, j, i] = q[m] * slope


@njit([F64(F64_2D, F64_2D, F64_1D, _CUBE, F64_2D_OUT, _LINE)], cache=True, nogil=True, error_model="numpy")
def _normal_equations(data, weight, q, slopes, matrix, right):
    """Fill the products of the slopes with each other and with the residual; return chi-square."""
    matrix[:, :] = 0.0
    right[:] = 0.0
    chi2 = 0.0
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            w, residual = weight[j, i], data[j, i] - q[0] * slopes[0, j, i] - q[1] * slopes[1, j, i]
            chi2 += w * residual * residual
            for a in range(N):
                right[a] += w * residual * slopes[a, j, i]
                for b in range(a + 1):
                    matrix[a, b] += w * slopes[a, j, i] * slopes[b, j, i]
    for a in range(N):
        for b in range(a):
            matrix[b, a] = matrix[a, b]
    return chi2


@njit(
    [F64(F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, I64, F64, F64, F64_2D, F64_2D, _LINE, _LINE)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fit_sum(data, weight, disc, bulge, psf, departure, shift_x, shift_y, x, y, ellipses, correlation, q, total):
    """Fit fluxes and sizes of a disc and a bulge together; centre, shapes and directions stay.

    Parameters
    ----------
    data, weight : ndarray, float64, shape (h, w)
        The source alone, and the inverse variance of the model.
    disc, bulge, psf : ndarray
        As `etendue.kernels.galaxy_model.draw_profile` takes them.
    departure : ndarray, float64, shape (k, k)
        True PSF minus its sum of Gaussians.
    shift_x, shift_y : int
        Window pixel of the departure's first sample.
    x, y : float
        Centre [window px].
    ellipses : ndarray, float64, shape (2, 3)
        Half-light ellipses of disc and bulge, to which sizes are factors [px**2].
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.
    q : ndarray, float64, shape (4,)
        Both fluxes, and the logarithms of the factors on the ellipses; start and result.
    total : ndarray, float64, shape (3,)
        Output: whole flux, its error, and the bulge's part of it.

    Returns
    -------
    float
        Chi-square; NaN where the fit did not settle or a flux is not positive.
    """
    shape = data.shape
    drawn, slopes, moved = np.empty((6, *shape)), np.empty((N, *shape)), np.empty((N, *shape))
    convolved, matrix, moved_matrix = np.zeros((2, *shape)), np.empty((N, N)), np.empty((N, N))
    right, moved_right, change, trial = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N)
    draw_departure(ellipses[0], disc, departure, shift_x, shift_y, convolved[0])
    draw_departure(ellipses[1], bulge, departure, shift_x, shift_y, convolved[1])
    _slopes(x, y, ellipses, disc, bulge, psf, convolved, q, drawn, slopes)
    chi2, damping, settled = _normal_equations(data, weight, q, slopes, matrix, right), 1e-3, False
    for _ in range(ITERATIONS):
        better = np.inf
        if solve_damped(matrix, right, damping, change):
            trial[:] = q + change
            if trial[0] > 0.0 and trial[1] > 0.0 and max(abs(trial[2]), abs(trial[3])) < LARGEST:
                _slopes(x, y, ellipses, disc, bulge, psf, convolved, trial, drawn, moved)
                better = _normal_equations(data, weight, trial, moved, moved_matrix, moved_right)
        gain = chi2 - better
        if gain >= 0.0:
            q[:], slopes[:, :, :], matrix[:, :], right[:] = trial, moved, moved_matrix, moved_right
            chi2, damping, settled = better, 0.1 * damping, gain < TOLERANCE
        elif better < np.inf and predicted_gain(matrix, change, damping) < TOLERANCE:
            settled = True
        else:
            damping = max(10.0 * damping, 1e-3)
        if settled or damping > 1e6:
            break
    inverse, noise = np.empty((N, N)), np.empty((N, N))
    if not (settled and invert(matrix, inverse)):
        return np.nan
    for a in range(N):
        slopes[a] *= np.sqrt(weight)
    correlated_products(slopes, correlation, noise)
    covariance = inverse @ noise @ inverse.T
    total[0], total[2] = q[0] + q[1], q[1] / (q[0] + q[1])
    total[1] = np.sqrt(covariance[0, 0] + covariance[1, 1] + 2.0 * covariance[0, 1])
    return chi2
