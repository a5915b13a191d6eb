"""Stamps, mask bits and fit statistics of many sources, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, F64, F64_1D, F64_2D, F64_3D, I32_2D, I64, I64_1D

_REAL = types.Array(types.float64, 1, "C")
_STAMPS = types.Array(types.float64, 3, "C")
_FLAGS = types.Array(types.boolean, 3, "C")
_BITS = types.Array(types.int32, 1, "C")


@njit(
    [types.Tuple((_STAMPS, _FLAGS))(F64_2D, BOOL_2D, F64_3D, I64_1D, I64_1D, F64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def isolated_stamps(residual, bad, stamps, x0, y0, flux):
    """Cut a stamp of each source with all other sources subtracted.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus every fitted source.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    stamps : ndarray, float64, shape (n, k, k)
        PSF at each source.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each stamp's first sample.
    flux : ndarray, float64, shape (n,)
        Fitted fluxes.

    Returns
    -------
    data : ndarray, float64, shape (n, k, k)
        ``residual + flux * stamp``; zero outside the image.
    unusable : ndarray, bool, shape (n, k, k)
        Bad or outside the image.
    """
    ny, nx = residual.shape
    data, unusable = np.zeros(stamps.shape), np.ones(stamps.shape, np.bool_)
    size = stamps.shape[1]
    for s in range(flux.size):
        for j in range(max(0, -y0[s]), min(size, ny - y0[s])):
            for i in range(max(0, -x0[s]), min(size, nx - x0[s])):
                data[s, j, i] = residual[y0[s] + j, x0[s] + i] + flux[s] * stamps[s, j, i]
                unusable[s, j, i] = bad[y0[s] + j, x0[s] + i]
    return data, unusable


@njit([_BITS(I32_2D, I64_1D, I64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def mask_bits(mask, x, y, half):
    """Collect the mask bits set anywhere in a square around each source.

    Parameters
    ----------
    mask : ndarray, int32, shape (ny, nx)
        Bit planes.
    x, y : ndarray, int64, shape (n,)
        Middle pixels.
    half : int
        Half side of the square [px].

    Returns
    -------
    ndarray, int32, shape (n,)
        Bitwise or; 0 where the square misses the image.
    """
    ny, nx = mask.shape
    bits = np.zeros(x.size, np.int32)
    for s in range(x.size):
        for j in range(max(0, y[s] - half), min(ny, y[s] + half + 1)):
            for i in range(max(0, x[s] - half), min(nx, x[s] + half + 1)):
                bits[s] |= mask[j, i]
    return bits


@njit([_REAL(F64_2D, F64_2D, I64_1D, I64_1D, I64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def stamp_chi2(residual, variance, x0, y0, size, radius, parameters):
    """Compute the reduced chi-square of each source's fit.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus every fitted source; variance, infinite where unusable.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each stamp's first sample.
    size : int
        Stamp side, odd.
    radius : float
        Radius of the pixels used [px].
    parameters : float
        Fitted parameters per source.

    Returns
    -------
    ndarray, float64, shape (n,)
        Chi-square per degree of freedom; NaN with no degree of freedom.
    """
    ny, nx = residual.shape
    half = size // 2
    chi2 = np.full(x0.size, np.nan)
    for s in range(x0.size):
        total, count = 0.0, -parameters
        for j in range(max(0, -y0[s]), min(size, ny - y0[s])):
            for i in range(max(0, -x0[s]), min(size, nx - x0[s])):
                v = variance[y0[s] + j, x0[s] + i]
                if (j - half) ** 2 + (i - half) ** 2 <= radius * radius and v < np.inf:
                    total += residual[y0[s] + j, x0[s] + i] ** 2 / v
                    count += 1.0
        if count > 0.0:
            chi2[s] = total / count
    return chi2
