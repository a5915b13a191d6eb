"""Adaptive moments: second moments under a matched elliptical Gaussian weight, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, BOOL_2D_OUT, BOOL_3D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64

_SUMS = types.UniTuple(types.float64, 6)
_COLUMN = types.Array(types.float64, 1, "C")


@njit([_SUMS(F64_2D, BOOL_2D, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _weighted_sums(stamp, bad, x, y, mxx, myy, mxy):
    """Return the sums of w I, w I dx, w I dy, w I dx^2, w I dy^2, w I dx dy over good pixels within 4 sigma."""
    det = mxx * myy - mxy * mxy
    qxx, qyy, qxy = myy / det, mxx / det, -mxy / det
    s = sx = sy = sxx = syy = sxy = 0.0
    reach_x, reach_y = 4.0 * np.sqrt(mxx), 4.0 * np.sqrt(myy)  # the ellipse of 4 sigma touches this box
    for j in range(max(0, int(np.floor(y - reach_y))), min(stamp.shape[0], int(np.ceil(y + reach_y)) + 1)):
        dy = j - y
        for i in range(max(0, int(np.floor(x - reach_x))), min(stamp.shape[1], int(np.ceil(x + reach_x)) + 1)):
            dx = i - x
            rho2 = qxx * dx * dx + 2.0 * qxy * dx * dy + qyy * dy * dy
            if rho2 < 16.0 and not bad[j, i]:
                w = np.exp(-0.5 * rho2) * stamp[j, i]
                s += w
                sx += w * dx
                sy += w * dy
                sxx += w * dx * dx
                syy += w * dy * dy
                sxy += w * dx * dy
    return s, sx, sy, sxx, syy, sxy


@njit([types.void(F64_2D, BOOL_2D, F64_1D, F64_2D_OUT, BOOL_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _smooth(stamp, bad, kernel, out, bad_out):
    """Convolve a stamp with a separable kernel; bad pixels count as zero and stay bad, the rim becomes bad."""
    size, half = stamp.shape[0], kernel.size // 2
    rows = np.zeros((size, size))
    for j in range(size):
        for i in range(half, size - half):
            for t in range(kernel.size):
                if not bad[j, i + t - half]:
                    rows[j, i] += kernel[t] * stamp[j, i + t - half]
    for j in range(size):
        for i in range(size):
            inside = half <= j < size - half and half <= i < size - half
            bad_out[j, i] = bad[j, i] or not inside
            out[j, i] = 0.0
            if inside:
                for t in range(kernel.size):
                    out[j, i] += kernel[t] * rows[j + t - half, i]


@njit(
    [types.UniTuple(_COLUMN, 4)(F64_3D, BOOL_3D, F64_1D, F64_1D, F64, I64)], cache=True, nogil=True, error_model="numpy"
)
def adaptive_moments(stamps, bad, x, y, sigma, iterations):
    """Measure adaptive second moments at fixed centres.

    The moments M solve ``M = 2 M_w(M)``, where M_w are the moments of the image times a Gaussian of covariance M
    (Bernstein & Jarvis 2002, eq. 3-6; Hirata & Seljak 2003): for a Gaussian image they are its covariance.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        Background- and neighbour-subtracted stamps.
    bad : ndarray, bool, shape (n, k, k)
        True where a pixel must not be used.
    x, y : ndarray, float64, shape (n,)
        Centres in stamp pixels.
    sigma : float
        First guess of the width [px].
    iterations : int
        Iterations allowed; convergence is 1e-5 of the size.

    Returns
    -------
    ixx, iyy, ixy : ndarray, float64, shape (n,)
        Second moments [px**2]; NaN where the iteration failed (negative flux, runaway or no convergence).
    flux : ndarray, float64, shape (n,)
        Flux of the matched Gaussian.
    """
    n, size = stamps.shape[0], stamps.shape[1]
    ixx, iyy, ixy, flux = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    largest = (0.5 * size) ** 2
    lags = np.arange(-4.0, 5.0)
    kernel = np.exp(-0.5 * lags**2 / 0.8)
    kernel /= kernel.sum()
    added = np.sum(kernel * lags**2)
    smooth, unusable = np.empty((size, size)), np.empty((size, size), np.bool_)
    for k in range(n):
        _smooth(stamps[k], bad[k], kernel, smooth, unusable)
        mxx, myy, mxy = sigma * sigma + added, sigma * sigma + added, 0.0
        for _ in range(iterations):
            s, _sx, _sy, sxx, syy, sxy = _weighted_sums(smooth, unusable, x[k], y[k], mxx, myy, mxy)
            nxx, nyy, nxy = 2.0 * sxx / s, 2.0 * syy / s, 2.0 * sxy / s
            det = nxx * nyy - nxy * nxy
            if not (s > 0.0 and nxx > 0.05 and nyy > 0.05 and det > 0.02 and nxx + nyy < largest):
                break
            change = max(abs(nxx - mxx), abs(nyy - myy), abs(nxy - mxy))
            mxx, myy, mxy = nxx, nyy, nxy
            if change < 1e-5 * (mxx + myy):
                ixx[k], iyy[k], ixy[k], flux[k] = mxx - added, myy - added, mxy, 2.0 * s
                break
    return ixx, iyy, ixy, flux
