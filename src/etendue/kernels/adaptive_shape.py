"""Adaptive moments of many sources with free centres, and their covariances, on plain arrays.

The moments M and the centre solve ``sum w I d = 0`` and ``sum w I (d d^T - M / 2) = 0`` with ``d`` the offset from the
centre and w the Gaussian of covariance M: for a Gaussian image M is its covariance. Bernstein & Jarvis (2002, AJ 123,
583), section 3.1; steps, limits and the convergence criterion as in Hirata & Seljak (2003, MNRAS 343, 459), appendix C.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.noise_products import correlated_products
from etendue.kernels.small_matrix import invert
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_1D_OUT, F64_2D, F64_2D_OUT, I64, I64_1D

TOLERANCE = 1e-6  # of a step, relative to the minor axis or its square
STEP_LIMIT = 0.25  # largest change of an iteration, in minor axes
LARGEST_MOMENT = 8000.0  # px^2
LARGEST_SHIFT = 15.0  # px from the first centre
LARGEST_HALF = 300  # px, half of the largest window
ITERATIONS = 400
THIN = 0.8  # squared correlation of the axes above which weights are computed row by row
REACH2 = -2.0 * np.log(TOLERANCE)  # pixels within this squared radius in units of M count

_AX, _AY = (1, 0, 2, 1, 0), (0, 1, 0, 1, 2)  # powers of dx and dy in u

_SUMS = types.UniTuple(types.float64, 6)
_MATCH = types.Tuple((types.boolean, F64, F64, F64, F64, F64, F64))
_TABLE = types.Array(types.float64, 2, "C")
_CUBE = types.Array(types.float64, 3, "C")


@njit([types.UniTuple(I64, 2)(F64, F64, F64, F64, F64, I64)], cache=True, nogil=True, error_model="numpy")
def _span(x, qxx, qxy, rest, dy, width):
    """Return the first and one past the last column of the ellipse in one row; equal where there is none."""
    across = qxy * dy
    root = across * across - qxx * rest
    if root <= 0.0:
        return 0, 0
    root = np.sqrt(root)
    first = max(0, int(np.ceil(x + (-across - root) / qxx)))
    return first, max(first, min(width, int(np.floor(x + (-across + root) / qxx)) + 1))


@njit([_SUMS(F64_2D, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _weighted_sums(window, x, y, mxx, mxy, myy):
    """Return the sums of w I times 1, dx, dy, dx^2, dx dy, dy^2; weights run along rows by their ratio."""
    det = mxx * myy - mxy * mxy
    qxx, qxy, qyy = myy / det, -mxy / det, mxx / det
    total = tx = ty = txx = txy = tyy = 0.0
    reach, bend = np.sqrt(REACH2 * myy), np.exp(-qxx)
    for j in range(max(0, int(np.ceil(y - reach))), min(window.shape[0], int(np.floor(y + reach)) + 1)):
        dy = j - y
        first, stop = _span(x, qxx, qxy, qyy * dy * dy - REACH2, dy, window.shape[1])
        dx = first - x
        weight = np.exp(-0.5 * (qxx * dx * dx + 2.0 * qxy * dx * dy + qyy * dy * dy))
        ratio = np.exp(-qxx * (dx + 0.5) - qxy * dy)
        s0 = s1 = s2 = 0.0
        for i in range(first, stop):
            value = weight * window[j, i]
            s0 += value
            s1 += value * dx
            s2 += value * dx * dx
            weight *= ratio
            ratio *= bend
            dx += 1.0
        total, tx, txx = total + s0, tx + s1, txx + s2
        ty, txy, tyy = ty + dy * s0, txy + dy * s1, tyy + dy * dy * s0
    return total, tx, ty, txx, txy, tyy


@njit([F64(F64, F64)], cache=True, nogil=True, error_model="numpy")
def _limited(step, limit):
    return min(max(step, -limit), limit)


@njit([F64(F64_2D, F64, F64, F64, F64, F64, F64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _products(window, x, y, mxx, mxy, myy, power, out):
    """Fill the sums of w^power I u u^T, u = (dx, dy, dx^2, dx dy, dy^2), and in the last row of u; return that of 1."""
    det = mxx * myy - mxy * mxy
    qxx, qxy, qyy = myy / det, -mxy / det, mxx / det
    reach, bend = np.sqrt(REACH2 * myy), np.exp(-power * qxx)
    m = np.zeros((5, 5))
    for j in range(max(0, int(np.ceil(y - reach))), min(window.shape[0], int(np.floor(y + reach)) + 1)):
        dy = j - y
        first, stop = _span(x, qxx, qxy, qyy * dy * dy - REACH2, dy, window.shape[1])
        dx = first - x
        weight = np.exp(-0.5 * power * (qxx * dx * dx + 2.0 * qxy * dx * dy + qyy * dy * dy))
        ratio = np.exp(-power * (qxx * (dx + 0.5) + qxy * dy))
        s0 = s1 = s2 = s3 = s4 = 0.0
        for i in range(first, stop):
            value, dx2 = weight * window[j, i], dx * dx
            s0 += value
            s1 += value * dx
            s2 += value * dx2
            s3 += value * dx2 * dx
            s4 += value * dx2 * dx2
            weight *= ratio
            ratio *= bend
            dx += 1.0
        rise = 1.0
        for b in range(5):
            m[0, b], m[1, b], m[2, b] = m[0, b] + rise * s0, m[1, b] + rise * s1, m[2, b] + rise * s2
            m[3, b], m[4, b] = m[3, b] + rise * s3, m[4, b] + rise * s4
            rise *= dy
    for a in range(5):
        for b in range(5):
            out[a, b] = m[_AX[a] + _AX[b], _AY[a] + _AY[b]]
        out[5, a] = m[_AX[a], _AY[a]]
    return m[0, 0]


@njit([types.void(F64_2D, I64, I64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def cut_finite(image, x0, y0, out):
    """Copy what is finite of the part of a window that lies on the image; the rest stays as it is."""
    for j in range(max(0, -y0), min(out.shape[0], image.shape[0] - y0)):
        for i in range(max(0, -x0), min(out.shape[1], image.shape[1] - x0)):
            if image[y0 + j, x0 + i] < np.inf:
                out[j, i] = image[y0 + j, x0 + i]


@njit([types.void(F64, F64, F64, I64, I64, F64_1D_OUT)], cache=True, nogil=True, error_model="numpy")
def _curve(offset, curvature, slope, first, stop, out):
    """Fill ``exp(-curvature d^2 / 2 - slope d)`` for d = i - offset, from the middle outwards by ratios."""
    middle = min(max(int(np.rint(offset)), first), stop - 1)
    d, bend = middle - offset, np.exp(-curvature)
    peak = np.exp(-0.5 * curvature * d * d - slope * d)
    value, ratio = peak, np.exp(-curvature * (d + 0.5) - slope)
    for i in range(middle, stop):
        out[i - first] = value
        value *= ratio
        ratio *= bend
    value, ratio = peak, np.exp(curvature * (d - 0.5) + slope)
    for i in range(middle, first - 1, -1):
        out[i - first] = value
        value *= ratio
        ratio *= bend


@njit(
    [types.UniTuple(F64, 3)(F64_1D, F64_1D, F64_1D, F64_1D, F64_1D_OUT, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract"},
)
def _row_sums(pixels, dx, dx2, turn, line, factor):
    """Return the sums of w I times 1, dx, dx^2 in one row, and step the weights to the next."""
    s0 = s1 = s2 = 0.0
    for i in range(dx.size):
        weight = line[i]
        value = weight * pixels[i]
        s0 += value
        s1 += value * dx[i]
        s2 += value * dx2[i]
        line[i] = weight * factor * turn[i]
    return s0, s1, s2


@njit([_SUMS(F64_2D, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _box_sums(window, x, y, mxx, mxy, myy):
    """Return what `_weighted_sums` does, over the box around the ellipse: faster, for ellipses that are not thin."""
    det = mxx * myy - mxy * mxy
    qxx, qxy, qyy = myy / det, -mxy / det, mxx / det
    reach_x, reach_y = np.sqrt(REACH2 * mxx), np.sqrt(REACH2 * myy)
    left, right = max(0, int(np.ceil(x - reach_x))), min(window.shape[1], int(np.floor(x + reach_x)) + 1)
    low, high = max(0, int(np.ceil(y - reach_y))), min(window.shape[0], int(np.floor(y + reach_y)) + 1)
    total = tx = ty = txx = txy = tyy = 0.0
    if right <= left or high <= low:
        return total, tx, ty, txx, txy, tyy
    dx = np.arange(left, right) - x
    dx2, line, turn = dx * dx, np.empty(dx.size), np.empty(dx.size)
    middle = min(max(int(np.rint(y)), low), high - 1)
    for sign in (1, -1):
        j = middle if sign == 1 else middle - 1
        dy = j - y
        _curve(x, qxx, qxy * dy, left, right, line)
        _curve(x, 0.0, sign * qxy, left, right, turn)
        line *= np.exp(-0.5 * qyy * dy * dy)
        factor, bend = np.exp(-qyy * (0.5 + sign * dy)), np.exp(-qyy)
        while low <= j < high:
            s0, s1, s2 = _row_sums(window[j, left:right], dx, dx2, turn, line, factor)
            total, tx, txx = total + s0, tx + s1, txx + s2
            ty, txy, tyy = ty + dy * s0, txy + dy * s1, tyy + dy * dy * s0
            j, dy, factor = j + sign, dy + sign, factor * bend
    return total, tx, ty, txx, txy, tyy


@njit([_SUMS(F64_2D, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def gaussian_sums(window, x, y, mxx, mxy, myy):
    """Sum an image under an elliptical Gaussian weight.

    Parameters
    ----------
    window : ndarray, float64, shape (h, w)
        Image, 0 where a pixel does not count.
    x, y, mxx, mxy, myy : float
        Centre and covariance of the weight w [window px, px**2]; cut where it falls below `TOLERANCE`.

    Returns
    -------
    total, tx, ty, txx, txy, tyy : float
        Sums of w I times 1, dx, dy, dx^2, dx dy, dy^2.
    """
    if mxy * mxy > THIN * mxx * myy:
        return _weighted_sums(window, x, y, mxx, mxy, myy)
    return _box_sums(window, x, y, mxx, mxy, myy)


@njit([_MATCH(F64_2D, F64, F64, F64, F64, F64, I64)], cache=True, nogil=True, error_model="numpy")
def match_gaussian(window, x, y, mxx, mxy, myy, fixed):
    """Match an elliptical Gaussian to one source.

    Parameters
    ----------
    window : ndarray, float64, shape (h, w)
        The source alone.
    x, y, mxx, mxy, myy : float
        Where to start [window px, px**2].
    fixed : int
        1 to hold the centre.

    Returns
    -------
    settled : bool
        Whether the moments converged inside all limits; what follows is the last state if not.
    x, y, mxx, mxy, myy : float
        Centre and moments.
    amplitude : float
        Sum of w I, which is half the flux of the matched Gaussian.
    """
    x_start, y_start, total = x, y, 0.0
    for _ in range(ITERATIONS):
        total, tx, ty, txx, txy, tyy = gaussian_sums(window, x, y, mxx, mxy, myy)
        minor2 = 0.5 * (mxx + myy) - np.hypot(0.5 * (mxx - myy), mxy)
        if not (total > 0.0 and minor2 > 0.0):
            break
        scale, per_area = 2.0 / (total * np.sqrt(minor2)), 4.0 / minor2
        dx = dy = 0.0
        if fixed == 0:
            dx, dy = _limited(scale * tx, STEP_LIMIT), _limited(scale * ty, STEP_LIMIT)
        dxx = _limited(per_area * (txx / total - 0.5 * mxx), STEP_LIMIT)
        dxy = _limited(per_area * (txy / total - 0.5 * mxy), STEP_LIMIT)
        dyy = _limited(per_area * (tyy / total - 0.5 * myy), STEP_LIMIT)
        x, y = x + dx * np.sqrt(minor2), y + dy * np.sqrt(minor2)
        mxx, mxy, myy = mxx + dxx * minor2, mxy + dxy * minor2, myy + dyy * minor2
        too_large = max(abs(mxx), abs(mxy), abs(myy)) > LARGEST_MOMENT
        if too_large or max(abs(x - x_start), abs(y - y_start)) > LARGEST_SHIFT or not mxx * myy > mxy * mxy:
            break
        if max(abs(dx), abs(dy), abs(dxx), abs(dxy), abs(dyy)) < TOLERANCE:
            return True, x, y, mxx, mxy, myy, total
    return False, x, y, mxx, mxy, myy, total


@njit([types.void(F64, F64, F64, F64_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _slopes(mxx, mxy, myy, products, out):
    """Fill the derivatives of the five sums that vanish by (x, y, xx, xy, yy), on the data themselves."""
    det = mxx * myy - mxy * mxy
    qxx, qxy, qyy = myy / det, -mxy / det, mxx / det
    by = np.zeros((5, 5))  # d ln w by the parameters, in terms of u
    by[0, 0], by[0, 1], by[1, 0], by[1, 1] = qxx, qxy, qxy, qyy
    by[2, 2], by[2, 3], by[2, 4] = 0.5 * qxx * qxx, qxx * qxy, 0.5 * qxy * qxy
    by[3, 2], by[3, 3], by[3, 4] = qxx * qxy, qxx * qyy + qxy * qxy, qxy * qyy
    by[4, 2], by[4, 3], by[4, 4] = 0.5 * qxy * qxy, qxy * qyy, 0.5 * qyy * qyy
    half = (0.0, 0.0, 0.5 * mxx, 0.5 * mxy, 0.5 * myy)
    for a in range(5):
        for b in range(5):
            out[a, b] = 0.0
            for c in range(5):
                out[a, b] += (products[a, c] - half[a] * products[5, c]) * by[b, c]


@njit([types.void(F64_2D, F64_2D, F64, F64, F64, F64, F64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _noise(variance, correlation, x, y, mxx, mxy, myy, out):
    """Fill the covariance of the five sums that vanish: by white noise from products, else pixel by pixel."""
    half = (0.0, 0.0, 0.5 * mxx, 0.5 * mxy, 0.5 * myy)
    if correlation.size == 1:
        products = np.empty((6, 5))
        total = _products(variance, x, y, mxx, mxy, myy, 2.0, products)
        for a in range(5):
            for b in range(5):
                crossed = half[a] * products[5, b] + half[b] * products[5, a]
                out[a, b] = products[a, b] - crossed + half[a] * half[b] * total
        return
    det = mxx * myy - mxy * mxy
    reach_x, reach_y = np.sqrt(REACH2 * mxx), np.sqrt(REACH2 * myy)
    low, left = max(0, int(np.ceil(y - reach_y))), max(0, int(np.ceil(x - reach_x)))
    high, right = min(variance.shape[0], int(y + reach_y) + 1), min(variance.shape[1], int(x + reach_x) + 1)
    field = np.zeros((5, max(high - low, 0), max(right - left, 0)))
    for j in range(low, high):
        for i in range(left, right):
            dx, dy = i - x, j - y
            rho2 = (myy * dx * dx - 2.0 * mxy * dx * dy + mxx * dy * dy) / det
            if rho2 < REACH2:
                weight = np.exp(-0.5 * rho2) * np.sqrt(variance[j, i])
                field[0, j - low, i - left], field[1, j - low, i - left] = weight * dx, weight * dy
                field[2, j - low, i - left] = weight * (dx * dx - half[2])
                field[3, j - low, i - left] = weight * (dx * dy - half[3])
                field[4, j - low, i - left] = weight * (dy * dy - half[4])
    correlated_products(field, correlation, out)


@njit(
    [F64(F64_2D, F64_2D, F64_2D, F64, F64, F64, F64, F64, F64, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def propagate(window, variance, correlation, x, y, mxx, mxy, myy, total, covariance):
    """Fill the covariance of centre and moments: the noise of their equations through the slopes of these.

    Parameters
    ----------
    window, variance : ndarray, float64, shape (h, w)
        The source alone and its noise variance; 0 where a pixel is not noisy.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag.
    x, y, mxx, mxy, myy, total : float
        As `match_gaussian` returned them.
    covariance : ndarray, float64, shape (5, 5)
        Output.

    Returns
    -------
    float
        Mean of rho^4 under w I: 2 for a Gaussian.
    """
    det = mxx * myy - mxy * mxy
    products, slope, noise = np.empty((6, 5)), np.empty((5, 5)), np.empty((5, 5))
    _products(window, x, y, mxx, mxy, myy, 1.0, products)
    _slopes(mxx, mxy, myy, products, slope)
    for a in range(5):
        slope[a, a] -= total if a < 2 else 0.5 * total
    _noise(variance, correlation, x, y, mxx, mxy, myy, noise)
    inverse = np.empty((5, 5))
    invert(slope, inverse)
    covariance[:, :] = inverse @ noise @ inverse.T
    t = (myy / det, -2.0 * mxy / det, mxx / det)
    kurtosis = 0.0
    for a in range(3):
        for b in range(3):
            kurtosis += t[a] * t[b] * products[2 + a, 2 + b]
    return kurtosis / total


@njit(
    [
        types.Tuple((_TABLE, _CUBE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_1D, F64_1D, F64_1D, F64_2D, I64
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def adaptive_shapes(
    residual, weight_variance, bad, value, offset, x0, y0, width, height, x, y, sigma, correlation, fixed
):
    """Measure adaptive moments of all sources, each without the others.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    x, y : ndarray, float64, shape (n,)
        First centres [px].
    sigma : ndarray, float64, shape (n,)
        First guesses of the width [px]: the PSF's.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.
    fixed : int
        1 to hold the centres.

    Returns
    -------
    shape : ndarray, float64, shape (n, 7)
        x, y, ixx, ixy, iyy [px, px**2], the matched Gaussian's flux, and mean rho^4; NaN where the moments did not
        converge.
    covariance : ndarray, float64, shape (n, 5, 5)
        Of the first five.
    """
    n = x.size
    shape, covariance = np.full((n, 7), np.nan), np.full((n, 5, 5), np.nan)
    for s in range(n):
        if not (np.isfinite(x[s]) and np.isfinite(y[s])):
            continue
        start = sigma[s] * sigma[s]
        cx, cy, mxx, mxy, myy = x[s], y[s], start, 0.0, start
        half = int(1.5 * np.sqrt(REACH2 * start)) + 2
        for _ in range(8):
            left, low = int(np.rint(x[s])) - half, int(np.rint(y[s])) - half
            window = np.empty((2 * half + 1, 2 * half + 1))
            unusable = np.empty(window.shape, np.bool_)
            cut_alone(residual, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, window, unusable)
            settled, cx, cy, mxx, mxy, myy, total = match_gaussian(window, cx - left, cy - low, mxx, mxy, myy, fixed)
            cx, cy = cx + left, cy + low
            needed = np.sqrt(REACH2 * max(mxx, myy)) + max(abs(cx - x[s]), abs(cy - y[s])) + 1.0
            if needed <= half or half >= LARGEST_HALF:
                break
            half = int(min(LARGEST_HALF, max(needed + 2.0, 1.5 * half)))
            if not settled:
                cx, cy, mxx, mxy, myy = x[s], y[s], start, 0.0, start
        if settled:
            noise = np.zeros(window.shape)
            cut_finite(weight_variance, left, low, noise)
            shape[s, 6] = propagate(
                window, noise, correlation, cx - left, cy - low, mxx, mxy, myy, total, covariance[s]
            )
            shape[s, :6] = cx, cy, mxx, mxy, myy, 2.0 * total
    return shape, covariance
