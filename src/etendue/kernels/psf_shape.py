"""Adaptive moments of well-sampled PSF images without noise."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import F32_3D, F64

_COLUMN = types.Array(types.float64, 1, "C")


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(image, x, y, mxx, myy, mxy):
    """Return the sums of w I, w I dx, w I dy, w I dx^2, w I dy^2, w I dx dy within 5 sigma."""
    det = mxx * myy - mxy * mxy
    qxx, qyy, qxy = myy / det, mxx / det, -mxy / det
    size = image.shape[0]
    reach_x, reach_y = 5.0 * np.sqrt(mxx), 5.0 * np.sqrt(myy)
    s = sx = sy = sxx = syy = sxy = 0.0
    for j in range(max(0, int(y - reach_y)), min(size, int(y + reach_y) + 2)):
        dy = j - y
        for i in range(max(0, int(x - reach_x)), min(size, int(x + reach_x) + 2)):
            dx = i - x
            w = np.exp(-0.5 * (qxx * dx * dx + 2.0 * qxy * dx * dy + qyy * dy * dy)) * image[j, i]
            s += w
            sx += w * dx
            sy += w * dy
            sxx += w * dx * dx
            syy += w * dy * dy
            sxy += w * dx * dy
    return s, sx, sy, sxx, syy, sxy


@njit([types.UniTuple(_COLUMN, 3)(F32_3D, F64)], cache=True, nogil=True, error_model="numpy")
def psf_moments(
    images: NDArray[np.float32], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Measure adaptive second moments about the adaptive centroid (Hirata & Seljak 2003; galsim's ``hsm``).

    Parameters
    ----------
    images : ndarray, float32, shape (n, size, size)
        PSFs near the middle of their images.
    sigma : float
        First guess of the width [samples].

    Returns
    -------
    ixx, iyy, ixy : ndarray, float64, shape (n,)
        Moments [samples**2]; NaN where a hundred iterations did not converge to 1e-7.
    """
    n, size = images.shape[0], images.shape[1]
    ixx, iyy, ixy = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    largest = (0.5 * size) ** 2
    for k in range(n):
        x = y = float(size // 2)
        mxx, myy, mxy = sigma * sigma, sigma * sigma, 0.0
        for _ in range(100):
            s, sx, sy, sxx, syy, sxy = _sums(images[k], x, y, mxx, myy, mxy)
            shift_x, shift_y = sx / s, sy / s
            nxx, nyy, nxy = 2.0 * sxx / s, 2.0 * syy / s, 2.0 * sxy / s
            if not (s > 0.0 and nxx > 0.05 and nyy > 0.05 and nxx * nyy > nxy * nxy and nxx + nyy < largest):
                break
            change = max(abs(nxx - mxx), abs(nyy - myy), abs(nxy - mxy), abs(shift_x), abs(shift_y))
            mxx, myy, mxy = nxx, nyy, nxy
            x += 2.0 * shift_x
            y += 2.0 * shift_y
            if change < 1e-7 * (mxx + myy):
                ixx[k], iyy[k], ixy[k] = mxx, myy, mxy
                break
    return ixx, iyy, ixy
