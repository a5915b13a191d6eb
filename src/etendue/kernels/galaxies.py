"""Exponential, de Vaucouleurs and point-source fits of many sources, and their best sum, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.composite import fit_sum
from etendue.kernels.galaxy_fit import CENTRE, ELLIPSE, ellipse_of, fit_covariance, fit_profile
from etendue.kernels.galaxy_model import draw_profile
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.source_light import weighed_window
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64, I64_1D

POINT, DISC, BULGE = 0, 1, 2  # order of the models in what is returned
CLEAR = 8.0  # chi-square by which a sum must be better than either profile for sizes to be fitted together
NEGLIGIBLE = 14.0  # chi-square by which a model is worse that does not count: a weight of 1e-3

_CUBE = types.Array(types.float64, 3, "C")
_TABLE = types.Array(types.float64, 2, "C")
_FOURFOLD = types.Array(types.float64, 4, "C")
_LINE = types.Array(types.float64, 1, "C")


@njit([types.void(F64_2D, F64, F64, F64_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def psf_departure(stamp, x, y, psf, out):
    """Fill a PSF stamp minus its sum of Gaussians.

    Parameters
    ----------
    stamp : ndarray, float64, shape (k, k)
        True PSF at the phase of the source.
    x, y : float
        Centre of the source [stamp px].
    psf : ndarray, float64, shape (m, 4)
        Amplitudes and covariances of the Gaussians.
    out : ndarray, float64, shape (k, k)
        Output.
    """
    one, drawn = np.ones((1, 2)), np.empty((6, *stamp.shape))
    draw_profile(x, y, np.zeros(3), one, psf, drawn)
    out[:, :] = stamp - drawn[0]


@njit([types.void(F64, F64, F64, _LINE)], cache=True, nogil=True, error_model="numpy")
def _triangle(xx, xy, yy, theta):
    """Fill the triangle of an ellipse that is made positive and not too thin first."""
    mean, size = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    major = max(mean + size, 0.1)
    minor = max(mean - size, 0.1 * major)
    c, s = (0.5 * (xx - yy) / size, xy / size) if size > 0.0 else (1.0, 0.0)
    mean, half = 0.5 * (major + minor), 0.5 * (major - minor)
    theta[3] = np.sqrt(mean + half * c)
    theta[4] = half * s / theta[3]
    theta[5] = np.sqrt(max(mean - half * c - theta[4] ** 2, 1e-6))


@njit([F64(F64_2D, F64_2D, F64_2D, F64_2D, _LINE)], cache=True, nogil=True, error_model="numpy")
def _best_sum(data, weight, disc, bulge, alpha):
    """Find the best sum of two templates; return chi-square, NaN where a flux is not positive.

    ``alpha`` gets how the total follows the products of weighted data with either template, the total, and the
    bulge's part of it.
    """
    gdd = gdb = gbb = rd = rb = rr = 0.0
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            d, b, w, value = disc[j, i], bulge[j, i], weight[j, i], data[j, i]
            gdd, gdb, gbb = gdd + w * d * d, gdb + w * d * b, gbb + w * b * b
            rd, rb, rr = rd + w * d * value, rb + w * b * value, rr + w * value * value
    det = gdd * gbb - gdb * gdb
    flux_d, flux_b = (gbb * rd - gdb * rb) / det, (gdd * rb - gdb * rd) / det
    alpha[0], alpha[1], alpha[2] = (gbb - gdb) / det, (gdd - gdb) / det, flux_d + flux_b
    alpha[3] = flux_b / alpha[2]
    if not (det > 1e-9 * gdd * gbb and flux_d > 0.0 and flux_b > 0.0):
        return np.nan
    return rr - flux_d * rd - flux_b * rb


@njit(
    [types.void(F64_2D, F64_2D, F64_3D, F64_2D, F64_2D, F64, F64, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _follow_shape(own, weight, drawn, convolved, inverse, fitted, share, response):
    """Subtract from the total's response to the data what reaches it through the shape of one profile.

    ``fitted`` is the flux of the profile alone, ``share`` its flux in the sum, ``own`` the total's response so far.
    """
    slope, beta = np.zeros(6), np.zeros(6)
    for k in range(1, 6):
        slope[k] = share * np.sum(own * drawn[k])
    for a in range(6):
        for k in range(1, 6):
            beta[a] += inverse[a, k] * slope[k]
    response -= weight * beta[0] * (drawn[0] + convolved)
    for k in range(1, 6):
        response -= weight * beta[k] * fitted * drawn[k]


@njit([F64(F64_2D, F64_2D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def _response_error(response, weight, correlation):
    """Return the error of a sum whose response to each pixel is given."""
    field, out = np.zeros((1, *weight.shape)), np.empty((1, 1))
    for j in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            if weight[j, i] > 0.0:
                field[0, j, i] = response[j, i] / np.sqrt(weight[j, i])
    correlated_products(field, correlation, out)
    return np.sqrt(out[0, 0])


@njit([types.void(I64, F64_1D, F64_2D_OUT, F64_1D)], cache=True, nogil=True, error_model="numpy")
def _first_guess(model, start, theta, chi2):
    """Fill where the fit of a model starts: the point at the given place, others where the one before ended."""
    theta[model] = 0.0
    if model == POINT:
        theta[POINT, :3] = start[:3]
        return
    theta[model, :3] = theta[POINT, :3]
    _triangle(start[3], start[4], start[5], theta[model])
    if model == BULGE and np.isfinite(chi2[DISC]) and theta[DISC, 3] ** 2 + theta[DISC, 5] ** 2 > 0.1:
        theta[BULGE] = theta[DISC]
        theta[BULGE, 3:] *= 1.3


@njit(
    [F64(F64_2D, F64_2D, _FOURFOLD, F64_3D, F64_3D, F64_2D, F64_2D, F64, F64, _LINE)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _sum_of_both(data, weight, drawn, convolved, inverse, correlation, theta, rival, negligible, total):
    """Fill flux, error and the bulge's part of the best sum of both profiles; return chi-square, NaN if there is none.

    Sums whose chi-square is not below ``rival + negligible`` get no error, for they do not count.
    """
    alpha = np.zeros(4)
    disc, bulge = drawn[DISC, 0] + convolved[DISC], drawn[BULGE, 0] + convolved[BULGE]
    chi2 = _best_sum(data, weight, disc, bulge, alpha)
    if not chi2 < rival + negligible:
        return np.nan
    own = weight * (alpha[0] * disc + alpha[1] * bulge)
    response = own.copy()
    for model in (DISC, BULGE):
        share = alpha[2] * (alpha[3] if model == BULGE else 1.0 - alpha[3])
        _follow_shape(own, weight, drawn[model], convolved[model], inverse[model], theta[model, 0], share, response)
    total[0], total[1], total[2] = alpha[2], _response_error(response, weight, correlation), alpha[3]
    return chi2


@njit(
    [F64(F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, I64, F64_2D, F64_2D, F64_1D, _LINE)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _sum_of_free_sizes(data, weight, disc, bulge, psf, departure, shift_x, shift_y, correlation, theta, chi2, total):
    """Fit fluxes and sizes of both profiles together from the sum in ``total``; as `fit_sum` returns."""
    ellipses, q, found = np.empty((2, 3)), np.zeros(4), np.zeros(3)
    ellipse_of(theta[DISC], ellipses[0])
    ellipse_of(theta[BULGE], ellipses[1])
    q[0], q[1] = total[0] * (1.0 - total[2]), total[0] * total[2]
    best = DISC if chi2[DISC] < chi2[BULGE] else BULGE
    reached = fit_sum(
        data, weight, disc, bulge, psf, departure, shift_x, shift_y, theta[best, 1], theta[best, 2], ellipses,
        correlation, q, found,
    )  # fmt: skip
    if np.isfinite(reached):
        total[:] = found
    return reached


@njit(
    [
        types.void(
            F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, I64, _FOURFOLD, F64_3D, F64_3D, F64_2D, F64, F64,
            F64_2D, F64_3D, F64_1D, _LINE,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def _average(
    data, weight, disc, bulge, psf, departure, shift_x, shift_y, drawn, convolved, inverse, correlation, price,
    inflation, theta, covariance, chi2, total,
):  # fmt: skip
    """Fill flux, error and the bulge's part of the mean of all models, by how likely each is.

    Weights are ``exp(-(chi2 + price parameters) / 2 inflation)``; the variance is the mean of the models' own plus that
    of their fluxes (Burnham & Anderson 2002, Model Selection and Multimodel Inference, section 4.3).
    """
    flux, error, part, cost = np.zeros(4), np.zeros(4), np.zeros(4), np.full(4, np.inf)
    for model in range(3):
        if np.isfinite(chi2[model]) and covariance[model, 0, 0] > 0.0:
            flux[model], error[model] = theta[model, 0], np.sqrt(covariance[model, 0, 0])
            part[model] = 1.0 if model == BULGE else 0.0
            cost[model] = chi2[model] + price * (0.0 if model == POINT else 3.0)
    if np.isfinite(cost[DISC]) and np.isfinite(cost[BULGE]):
        both = np.zeros(3)
        reached = _sum_of_both(
            data, weight, drawn, convolved, inverse, correlation, theta, cost.min() - 4.0 * price,
            NEGLIGIBLE * inflation, both,
        )  # fmt: skip
        cost[3] = reached + 4.0 * price
        if reached < min(chi2[DISC], chi2[BULGE]) - CLEAR * inflation:
            freed = _sum_of_free_sizes(
                data, weight, disc, bulge, psf, departure, shift_x, shift_y, correlation, theta, chi2, both
            )
            cost[3] = freed + 6.0 * price if np.isfinite(freed) else cost[3]
        flux[3], error[3], part[3] = both
    best = np.inf
    for model in range(4):
        cost[model] = cost[model] if error[model] > 0.0 and np.isfinite(cost[model]) else np.inf
        best = min(best, cost[model])
    if not best < np.inf:
        return
    likely = np.exp(-0.5 * (cost - best) / inflation)
    likely /= likely.sum()
    mean = np.sum(likely * flux)
    total[0], total[1] = mean, np.sqrt(np.sum(likely * (error**2 + (flux - mean) ** 2)))
    total[2] = np.sum(likely * flux * part) / mean


@njit([types.void(_LINE, F64_2D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def _remove_noise_bias(theta, inverse, covariance):
    """Take from a point source's flux what its centre gained by following the noise, in place.

    The best centre lies where the noise is high: the flux comes out high by half of what the noise of either
    coordinate costs it, for white noise by its variance over the flux (1 / SNR^2).
    """
    gain = 0.5 * inverse[0, 0] * (covariance[1, 1] / inverse[1, 1] + covariance[2, 2] / inverse[2, 2])
    if theta[0] > 0.0 and gain < 0.1 * theta[0] * theta[0]:
        theta[0] -= gain / theta[0]


@njit(
    [
        types.void(
            F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, I64, I64, F64_2D, F64, F64, F64_1D, F64_2D_OUT, _CUBE,
            _LINE, _LINE,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def _fit_one(
    data, weight, disc, bulge, psf, departure, shift_x, shift_y, held, correlation, price, inflation, start, theta,
    covariance, chi2, total,
):  # fmt: skip
    """Fit all models to one window; fill parameters, covariances, chi-squares and (flux, error, bulge's part)."""
    shape = data.shape
    drawn, convolved = np.empty((3, 6, *shape)), np.empty((3, *shape))
    matrix, inverse = np.empty((6, 6)), np.zeros((3, 6, 6))
    for model in range(3):
        _first_guess(model, start, theta, chi2)
        free = (0 if held else CENTRE) + (0 if model == POINT else ELLIPSE)
        chi2[model] = fit_profile(
            data, weight, bulge if model == BULGE else disc, psf, departure, shift_x, shift_y, free,
            0.5 * (shape[0] + shape[1]), theta[model], drawn[model], convolved[model], matrix,
        )  # fmt: skip
        if np.all(theta[model, 3:] == 0.0):
            free &= CENTRE
        if np.isfinite(chi2[model]):
            fit_covariance(
                drawn[model], convolved[model], weight, theta[model, 0], matrix, correlation, free, inverse[model],
                covariance[model],
            )  # fmt: skip
    if not held and np.isfinite(chi2[POINT]):
        _remove_noise_bias(theta[POINT], inverse[POINT], covariance[POINT])
    _average(
        data, weight, disc, bulge, psf, departure, shift_x, shift_y, drawn, convolved, inverse, correlation, price,
        inflation, theta, covariance, chi2, total,
    )  # fmt: skip


@njit(
    [
        types.Tuple((_CUBE, _FOURFOLD, _TABLE, _TABLE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D,
            F64_2D, I64_1D, F64_2D, F64_2D, F64_3D, I64_1D, F64_3D, I64_1D, I64_1D, I64, F64_2D, F64, F64, I64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def fit_galaxies(
    residual, weight_variance, bad, value, offset, x0, y0, width, height,
    start, half, disc, bulge, mixtures, cell, stamps, stamp_x0, stamp_y0, held, correlation, price, inflation, first,
):  # fmt: skip
    """Fit a point source, an exponential disc, a de Vaucouleurs bulge, and the best sum of the last two.

    Disc and bulge are fitted each alone, with flux, centre and ellipse free; then their fluxes together with their
    shapes held, none negative (the composite model of SDSS and HSC: Bosch et al. 2018, PASJ 70, S5, section 4.9.9).
    The error of the sum follows the data through all three fits. The total is the mean of the four models by how likely
    they are, and its error holds what they differ by. Where the sum is clearly better than either profile, both sizes
    are fitted together with the fluxes. Richer models pay for their parameters: fluxes that cannot be negative would
    otherwise bias those of stars and of pure profiles high by half an error.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    start : ndarray, float64, shape (n, 6)
        First guess: flux, x, y [px], and ellipse xx, xy, yy [px**2] without the PSF.
    half : ndarray, int64, shape (n,)
        Half sides of the windows [px].
    disc, bulge : ndarray, float64, shape (k, 2)
        Profiles as sums of Gaussians.
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
    price : float
        By how much each parameter more must lower chi-square for a richer model to be as likely.
    inflation : float
        By how much correlated noise inflates differences of chi-square.
    first : int
        First source.

    Returns
    -------
    theta : ndarray, float64, shape (m, 3, 6)
        Flux, x, y [px] and ellipse xx, xy, yy [px**2] of point source, disc and bulge.
    covariance : ndarray, float64, shape (m, 3, 6, 6)
        Of these.
    chi2 : ndarray, float64, shape (m, 4)
        Chi-square of each, NaN where the fit did not settle; and the number of pixels.
    total : ndarray, float64, shape (m, 3)
        Mean flux of all models, its error, and the bulge's part of it.
    """
    m = stamps.shape[0]
    theta, covariance = np.full((m, 3, 6), np.nan), np.full((m, 3, 6, 6), np.nan)
    chi2, total = np.full((m, 4), np.nan), np.full((m, 3), np.nan)
    departure, guess = np.empty(stamps.shape[1:]), np.empty(6)
    for k in range(m):
        s = first + k
        if not np.isfinite(start[s]).all():
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
        guess[:] = start[s]
        guess[1], guess[2] = start[s, 1] - left, start[s, 2] - low
        _fit_one(
            data, weight, disc, bulge, psf, departure, stamp_x0[k] - left, stamp_y0[k] - low, held, correlation, price,
            inflation, guess, theta[k], covariance[k], chi2[k], total[k],
        )  # fmt: skip
        chi2[k, 3] = used
        for model in range(3):
            a, b, c = theta[k, model, 3], theta[k, model, 4], theta[k, model, 5]
            theta[k, model, 1] += left
            theta[k, model, 2] += low
            theta[k, model, 3], theta[k, model, 4], theta[k, model, 5] = a * a, a * b, b * b + c * c
    return theta, covariance, chi2, total
