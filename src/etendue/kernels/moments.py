"""Adaptive moments: second moments under a matched elliptical Gaussian weight, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.adaptive_shape import gaussian_sums
from etendue.kernels.types import BOOL_2D, BOOL_3D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64

_COLUMN = types.Array(types.float64, 1, "C")
_MOMENTS = types.UniTuple(types.float64, 4)
_TOLERANCE = 1e-5  # of a step, relative to the size
_OVERSHOOT = 2.0  # a step goes this far: the fixed-point iteration of a Gaussian goes half of the way


@njit([types.void(F64_2D, BOOL_2D, F64_1D, F64_2D_OUT, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _smooth(stamp, bad, kernel, rows, out):
    """Convolve a stamp with a separable kernel; bad pixels count as zero and become zero, as the rim does."""
    size, half = stamp.shape[0], kernel.size // 2
    rows[:, :] = 0.0
    out[:, :] = 0.0
    for j in range(size):
        for i in range(size):
            if not bad[j, i]:
                out[j, i] = stamp[j, i]
        for t in range(kernel.size):
            for i in range(half, size - half):
                rows[j, i] += kernel[t] * out[j, i + t - half]
        for i in range(size):
            out[j, i] = 0.0
    for j in range(half, size - half):
        for t in range(kernel.size):
            for i in range(half, size - half):
                out[j, i] += kernel[t] * rows[j + t - half, i]
        for i in range(half, size - half):
            if bad[j, i]:
                out[j, i] = 0.0


@njit([_MOMENTS(F64_2D, F64, F64, F64, I64)], cache=True, nogil=True, error_model="numpy")
def _settled_moments(window, x, y, start, iterations):
    """Return (ixx, iyy, ixy, flux) of the matched Gaussian, NaN if it runs away or does not settle."""
    size = window.shape[0]
    largest = (0.5 * size) ** 2
    mxx, myy, mxy, before = start, start, 0.0, np.inf
    for _ in range(iterations):
        s, _sx, _sy, sxx, sxy, syy = gaussian_sums(window, x, y, mxx, mxy, myy)
        nxx, nyy, nxy = 2.0 * sxx / s, 2.0 * syy / s, 2.0 * sxy / s
        det = nxx * nyy - nxy * nxy
        if not (s > 0.0 and nxx > 0.05 and nyy > 0.05 and det > 0.02 and nxx + nyy < largest):
            break
        change = max(abs(nxx - mxx), abs(nyy - myy), abs(nxy - mxy))
        if change < _TOLERANCE * (nxx + nyy):
            return nxx, nyy, nxy, 2.0 * s
        far = _OVERSHOOT if change < before else 1.0
        wxx, wyy, wxy = mxx + far * (nxx - mxx), myy + far * (nyy - myy), mxy + far * (nxy - mxy)
        if not (wxx > 0.05 and wyy > 0.05 and wxx * wyy - wxy * wxy > 0.02 and wxx + wyy < largest):
            wxx, wyy, wxy = nxx, nyy, nxy
        mxx, myy, mxy, before = wxx, wyy, wxy, change
    return np.nan, np.nan, np.nan, np.nan


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
    lags = np.arange(-4.0, 5.0)
    kernel = np.exp(-0.5 * lags**2 / 0.8)
    kernel /= kernel.sum()
    added = np.sum(kernel * lags**2)
    rows, smooth = np.empty((size, size)), np.empty((size, size))
    for k in range(n):
        _smooth(stamps[k], bad[k], kernel, rows, smooth)
        mxx, myy, mxy, light = _settled_moments(smooth, x[k], y[k], sigma * sigma + added, iterations)
        ixx[k], iyy[k], ixy[k], flux[k] = mxx - added, myy - added, mxy, light
    return ixx, iyy, ixy, flux
