"""Rendering of elliptical Gaussians."""

import numpy as np
from numba import njit, void
from numpy.typing import NDArray

from etendue.kernels.types import F64, F64_1D, F64_2D_OUT


@njit(
    [void(F64_2D_OUT, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def add_gaussians(
    image: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    ixx: NDArray[np.float64],
    iyy: NDArray[np.float64],
    ixy: NDArray[np.float64],
    floor: float,
) -> None:
    """Add elliptical Gaussians, evaluated at pixel centres, to an image.

    The slow definition: ``image += flux / (2 pi sqrt(det C)) exp(-d^T C^-1 d / 2)`` with
    ``C = [[ixx, ixy], [ixy, iyy]]`` and ``d`` the offset from ``(x, y)``, summed over the Gaussians;
    each is cut where it is below ``floor``.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Changed in place.
    x, y : ndarray, float64, shape (n,)
        Centres [px]; they may lie outside.
    flux : ndarray, float64, shape (n,)
        Integrals [image unit].
    ixx, iyy, ixy : ndarray, float64, shape (n,)
        Second moments [px**2], positive definite and at least about 0.5, so that the sum over pixels
        is the integral.
    floor : float
        Pixel value below which a Gaussian is not drawn.
    """
    ny, nx = image.shape
    for i in range(x.size):
        det = ixx[i] * iyy[i] - ixy[i] * ixy[i]
        peak = flux[i] / (2.0 * np.pi * np.sqrt(det))
        if not abs(peak) > floor:
            continue
        reach = 2.0 * np.log(abs(peak) / floor)
        half_x, half_y = np.sqrt(reach * ixx[i]), np.sqrt(reach * iyy[i])
        x0, x1 = max(0, int(np.ceil(x[i] - half_x))), min(nx, int(np.floor(x[i] + half_x)) + 1)
        y0, y1 = max(0, int(np.ceil(y[i] - half_y))), min(ny, int(np.floor(y[i] + half_y)) + 1)
        axx, ayy, axy = iyy[i] / det, ixx[i] / det, -ixy[i] / det
        for row in range(y0, y1):
            dy = row - y[i]
            for col in range(x0, x1):
                dx = col - x[i]
                distance = axx * dx * dx + 2.0 * axy * dx * dy + ayy * dy * dy
                if distance < reach:
                    image[row, col] += peak * np.exp(-0.5 * distance)
