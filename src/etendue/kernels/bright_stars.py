"""The light around one bright star in polar coordinates."""

import numpy as np
from numba import njit, void

from etendue.kernels.types import BOOL_2D, F32_2D, F32_2D_OUT, F64


@njit([void(F32_2D, BOOL_2D, F64, F64, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def polar_map(image, bad, x, y, out):
    """Sample the pixels around a star on rings.

    Slow definition: ``out[r, k]`` is the pixel nearest to the point at distance ``r`` and angle ``2 pi k / n`` from
    the x axis towards the y axis; NaN where that pixel is bad or outside.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Pixels.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that are left out.
    x, y : float
        The star [px].
    out : ndarray, float32, shape (radii, n)
        Filled.
    """
    ny, nx = image.shape
    radii, count = out.shape
    for k in range(count):
        cosine, sine = np.cos(2.0 * np.pi * k / count), np.sin(2.0 * np.pi * k / count)
        for radius in range(radii):
            col, row = int(np.rint(x + radius * cosine)), int(np.rint(y + radius * sine))
            if 0 <= row < ny and 0 <= col < nx and not bad[row, col]:
                out[radius, k] = image[row, col]
            else:
                out[radius, k] = np.nan


@njit([void(F32_2D, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def ring_medians(rings, out):
    """Take the median of each ring and how many of its samples are known.

    Parameters
    ----------
    rings : ndarray, float32, shape (radii, n)
        From `polar_map`.
    out : ndarray, float32, shape (2, radii)
        Filled with medians (NaN where fewer than an eighth is known) and known parts.
    """
    values = np.empty(rings.shape[1], np.float32)
    for radius in range(rings.shape[0]):
        count = 0
        for k in range(rings.shape[1]):
            if rings[radius, k] == rings[radius, k]:
                values[count] = rings[radius, k]
                count += 1
        out[0, radius] = np.median(values[:count]) if 8 * count >= rings.shape[1] else np.nan
        out[1, radius] = count / rings.shape[1]
