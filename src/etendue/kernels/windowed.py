"""Gaussian-windowed centroids: positions without a PSF model."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, F32_2D, F64, F64_1D, I64

_COLUMN = types.Array(types.float64, 1, "C")


@njit(
    [types.UniTuple(_COLUMN, 3)(F32_2D, BOOL_2D, F64_1D, F64_1D, F64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def windowed_centroids(image, bad, x, y, sigma, iterations):
    """Move positions to the centroid under a circular Gaussian window.

    Each step is twice the weighted mean offset, which for a Gaussian star of the window's width is exact to first
    order (SExtractor's XWIN_IMAGE); a step that leaves the first position by more than 2 sigma is given up.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Background-subtracted pixels.
    bad : ndarray, bool, shape (ny, nx)
        True where a pixel must not be used.
    x, y : ndarray, float64, shape (n,)
        First positions [px].
    sigma : float
        Width of the window [px].
    iterations : int
        Steps allowed; they end below 0.001 px.

    Returns
    -------
    x, y : ndarray, float64, shape (n,)
        Centroids [px]; the first position where the iteration failed.
    flux : ndarray, float64, shape (n,)
        Sum under the window over that of the squared window: the flux of a Gaussian star of that width.
    """
    ny, nx = image.shape
    new_x, new_y, flux = x.copy(), y.copy(), np.full(x.size, np.nan)
    reach = int(np.ceil(4.0 * sigma))
    for k in range(x.size):
        for _ in range(iterations):
            s = sx = sy = norm = 0.0
            col, row = int(np.rint(new_x[k])), int(np.rint(new_y[k]))
            for j in range(max(0, row - reach), min(ny, row + reach + 1)):
                for i in range(max(0, col - reach), min(nx, col + reach + 1)):
                    dx, dy = i - new_x[k], j - new_y[k]
                    rho = (dx * dx + dy * dy) / (sigma * sigma)
                    if rho > 16.0 or bad[j, i]:
                        continue
                    w = np.exp(-0.5 * rho)
                    s += w * image[j, i]
                    sx += w * image[j, i] * dx
                    sy += w * image[j, i] * dy
                    norm += w * w
            if not s > 0.0:
                new_x[k], new_y[k] = x[k], y[k]
                break
            flux[k] = s / norm * 2.0 * np.pi * sigma * sigma
            step_x, step_y = 2.0 * sx / s, 2.0 * sy / s
            new_x[k] += step_x
            new_y[k] += step_y
            if np.hypot(new_x[k] - x[k], new_y[k] - y[k]) > 2.0 * sigma:
                new_x[k], new_y[k] = x[k], y[k]
                break
            if np.hypot(step_x, step_y) < 0.001:
                break
    return new_x, new_y, flux
