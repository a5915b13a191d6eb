"""Shapes corrected for the PSF by re-Gaussianisation (Hirata & Seljak 2003, MNRAS 343, 459), on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.adaptive_shape import LARGEST_HALF, REACH2, cut_finite, match_gaussian, propagate
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64, I64_1D

F0_REACH = 3.5  # sigmas of the galaxy before the PSF that are drawn
SMALLEST = 0.04  # px^2, least moment of the galaxy before the PSF
SAMPLING = 0.9  # least width of it in steps of the grid on which it is convolved: shapes are right to 3e-4

_TABLE = types.Array(types.float64, 2, "C")
_TRIPLE = types.UniTuple(types.float64, 3)


@njit([types.UniTuple(F64, 2)(F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _sheared(e1, e2, s1, s2):
    """Return the distortion (e1, e2) after a shear of distortion (s1, s2) (Bernstein & Jarvis 2002, eq. 2-13)."""
    square = s1 * s1 + s2 * s2
    part = 0.5 if square < 1e-12 else (1.0 - np.sqrt(1.0 - square)) / square
    turn, scale = part * (s1 * e2 - s2 * e1), 1.0 + e1 * s1 + e2 * s2
    return (e1 + s1 + s2 * turn) / scale, (e2 + s2 - s1 * turn) / scale


@njit([_TRIPLE(F64, F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _corrected(mxx, mxy, myy, excess, pxx, pxy, pyy):
    """Return the distortion without the PSF's dilution, and the resolution (Bernstein & Jarvis 2002, section 7).

    ``excess`` is the fourth-moment coefficient of the image, ``mean rho^4 / 2 - 1``; the PSF is a Gaussian.
    """
    trace, psf_trace = mxx + myy, pxx + pyy
    p1, p2 = (pxx - pyy) / psf_trace, 2.0 * pxy / psf_trace
    o1, o2 = (mxx - myy) / trace, 2.0 * mxy / trace
    r1, r2 = _sheared(o1, o2, -p1, -p2)  # as seen where the PSF is round
    areas = psf_trace / trace * np.sqrt((1.0 - p1 * p1 - p2 * p2) / (1.0 - o1 * o1 - o2 * o2))
    dilution = 1.0 - areas * (1.0 + excess) / (1.0 - excess) * np.sqrt(1.0 - r1 * r1 - r2 * r2)
    e1, e2 = _sheared(r1 / dilution, r2 / dilution, p1, p2)
    return e1, e2, 1.0 - psf_trace / trace


@njit([_TRIPLE(F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _positive(mxx, mxy, myy):
    """Return moments whose axes are at least the smallest allowed."""
    mean, size = 0.5 * (mxx + myy), np.hypot(0.5 * (mxx - myy), mxy)
    major, minor = max(mean + size, SMALLEST), max(mean - size, SMALLEST)
    if size == 0.0:
        return major, 0.0, minor
    c, s = 0.5 * (mxx - myy) / size, mxy / size
    mean, half = 0.5 * (major + minor), 0.5 * (major - minor)
    return mean + half * c, half * s, mean - half * c


@njit([types.void(F64, F64, F64, F64, F64, F64, I64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _gaussian(flux, x, y, mxx, mxy, myy, stride, out):
    """Fill an array, whose samples lie ``stride`` pixels apart and stand for that many squared, with a Gaussian."""
    det = mxx * myy - mxy * mxy
    peak = flux * stride * stride / (2.0 * np.pi * np.sqrt(det))
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            dx, dy = i * stride - x, j * stride - y
            rho2 = (myy * dx * dx - 2.0 * mxy * dx * dy + mxx * dy * dy) / det
            out[j, i] = peak * np.exp(-0.5 * rho2)


@njit([types.void(F64_2D_OUT, F64_2D, F64_2D, I64, I64, I64)], cache=True, nogil=True, error_model="numpy")
def _subtract_convolved(window, small, stamp, left, low, stride):
    """Subtract ``small``, whose samples lie on every so manieth pixel from (left, low), convolved with a stamp."""
    half, (h, w) = stamp.shape[0] // 2, window.shape
    for b in range(small.shape[0]):
        for a in range(small.shape[1]):
            x0, y0, factor = left + a * stride - half, low + b * stride - half, small[b, a]
            first, stop = max(0, -x0), min(stamp.shape[1], w - x0)
            if factor == 0.0 or stop <= first:
                continue
            for j in range(max(0, -y0), min(stamp.shape[0], h - y0)):
                line, target = stamp[j, first:stop], window[y0 + j, x0 + first : x0 + stop]
                for i in range(line.size):
                    target[i] -= factor * line[i]


@njit([F64(F64_2D, F64, F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _shape_error(covariance, mxx, mxy, myy, excess, pxx, pxy, pyy):
    """Return the error of a component of the corrected distortion: rms of both, slopes by differences."""
    step = 1e-4 * (mxx + myy)
    slope = np.empty((2, 3))
    base1, base2, _ = _corrected(mxx, mxy, myy, excess, pxx, pxy, pyy)
    for k in range(3):
        d = (step if k == 0 else 0.0, step if k == 1 else 0.0, step if k == 2 else 0.0)
        moved1, moved2, _ = _corrected(mxx + d[0], mxy + d[1], myy + d[2], excess, pxx, pxy, pyy)
        slope[0, k], slope[1, k] = (moved1 - base1) / step, (moved2 - base2) / step
    total = 0.0
    for component in range(2):
        for a in range(3):
            for b in range(3):
                total += slope[component, a] * slope[component, b] * covariance[2 + a, 2 + b]
    return np.sqrt(0.5 * total)


@njit(
    [types.boolean(F64_2D_OUT, F64_2D, F64_2D, F64, F64, F64_1D, F64_2D, F64, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _regauss_one(window, variance, correlation, left, low, shape, psf, sigma, result):
    """Correct one source; fill (e1, e2, sigma, resolution) and the PSF's (xx, xy, yy); False where it failed."""
    middle, start = float(psf.shape[0] // 2), sigma * sigma
    settled, px, py, pxx, pxy, pyy, _ = match_gaussian(psf, middle, middle, start, 0.0, start, 0)
    if not settled:
        return False
    result[0, 4], result[0, 5], result[0, 6] = pxx, pxy, pyy
    x, y, mxx, mxy, myy = shape[0] - left, shape[1] - low, shape[2], shape[3], shape[4]
    if not np.isfinite(mxx):
        return False
    departure = np.empty(psf.shape)  # of the PSF from a Gaussian
    _gaussian(-1.0, px, py, pxx, pxy, pyy, 1, departure)
    departure += psf / psf.sum()
    fxx, fxy, fyy = _positive(mxx - pxx, mxy - pxy, myy - pyy)
    lower = 0.5 * (fxx + fyy) - np.hypot(0.5 * (fxx - fyy), fxy)
    stride = max(1, int(np.sqrt(lower) / SAMPLING))
    half = int(np.ceil((F0_REACH * np.sqrt(max(fxx, fyy)) + 1.0) / stride))
    small = np.empty((2 * half + 1, 2 * half + 1))
    first_x, first_y = int(np.rint(x)) - half * stride, int(np.rint(y)) - half * stride
    flux = 0.5 * shape[5] * shape[6]  # 2 (1 + a4) times the sum of w I
    _gaussian(flux, x - first_x, y - first_y, fxx, fxy, fyy, stride, small)
    _subtract_convolved(window, small, departure, first_x, first_y, stride)
    settled, x, y, mxx, mxy, myy, total = match_gaussian(window, x, y, mxx, mxy, myy, 0)
    if not settled:
        return False
    covariance = np.empty((5, 5))
    excess = 0.5 * propagate(window, variance, correlation, x, y, mxx, mxy, myy, total, covariance) - 1.0
    e1, e2, resolution = _corrected(mxx, mxy, myy, excess, pxx, pxy, pyy)
    result[0, 0], result[0, 1], result[0, 3] = e1, e2, resolution
    result[0, 2] = _shape_error(covariance, mxx, mxy, myy, excess, pxx, pxy, pyy)
    if lower > 2.0 * SMALLEST:  # otherwise the galaxy before the PSF does not follow the moments
        step = 0.05 * lower
        turned = np.empty(small.shape)
        _gaussian(flux, x - first_x, y - first_y, fxx + step, fxy, fyy - step, stride, turned)
        _gaussian(flux, x - first_x, y - first_y, fxx, fxy, fyy, stride, small)
        _subtract_convolved(window, turned - small, departure, first_x, first_y, stride)
        settled, _, _, txx, _txy, tyy, _ = match_gaussian(window, x, y, mxx, mxy, myy, 0)
        if settled:
            result[0, 2] *= abs(1.0 + (txx - tyy - mxx + myy) / (2.0 * step))
    return np.isfinite(e1) and np.isfinite(e2)


@njit(
    [_TABLE(F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_2D, F64_3D, F64, F64_2D, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def regauss_shapes(
    residual, weight_variance, bad, value, offset, x0, y0, width, height, shape, psf, sigma, correlation, first
):
    """Correct the shapes of some sources for the PSF.

    A Gaussian galaxy of the deconvolved moments, convolved with the departure of the PSF from its own matched
    Gaussian, is taken from the image; moments of the rest are undiluted as if the PSF were that Gaussian.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    shape : ndarray, float64, shape (n, 7)
        What `adaptive_shapes` measured.
    psf : ndarray, float64, shape (m, k, k)
        Centred PSF of the sources ``first`` to ``first + m - 1``.
    sigma : float
        First guess of the PSF's width [px].
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.
    first : int
        First source.

    Returns
    -------
    ndarray, float64, shape (m, 7)
        Distortions e1, e2, the error of either, resolution; and the PSF's xx, xy, yy [px**2]. The first four are NaN
        where the moments of image, PSF or corrected image did not converge, or where the PSF is no smaller.
    """
    out = np.full((psf.shape[0], 7), np.nan)
    for k in range(psf.shape[0]):
        s = first + k
        half = 1
        if np.isfinite(shape[s, 2]):
            half = min(int(np.sqrt(REACH2 * max(shape[s, 2], shape[s, 4]))) + 4, LARGEST_HALF)
        cx, cy = (shape[s, 0], shape[s, 1]) if np.isfinite(shape[s, 0]) else (0.0, 0.0)
        left, low = int(np.rint(cx)) - half, int(np.rint(cy)) - half
        window = np.empty((2 * half + 1, 2 * half + 1))
        unusable = np.empty(window.shape, np.bool_)
        cut_alone(residual, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, window, unusable)
        variance = np.zeros(window.shape)
        cut_finite(weight_variance, left, low, variance)
        row = out[k : k + 1]
        if not _regauss_one(window, variance, correlation, left, low, shape[s], psf[k], sigma, row):
            row[0, :4] = np.nan
    return out
