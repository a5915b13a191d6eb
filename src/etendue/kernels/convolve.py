"""Correlate images with small kernels, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F32_2D

_IMAGE = types.Array(types.float32, 2, "C")


@njit([_IMAGE(F32_2D, F32_2D)], cache=True, nogil=True, error_model="numpy")
def correlate(image, kernel):
    """Correlate an image with a kernel; pixels outside the image count as zero.

    ``out[y, x] = sum_ji kernel[j, i] image[y + j - half, x + i - half]``; the inner loop runs along rows so that it
    vectorises, which beats an FFT up to kernels of about 21 pixels.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Image without NaN.
    kernel : ndarray, float32, shape (k, k)
        Kernel of odd side.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        The correlation.
    """
    ny, nx = image.shape
    half = kernel.shape[0] // 2
    out = np.zeros((ny, nx), np.float32)
    padded = np.zeros(nx + 2 * half, np.float32)
    for source in range(ny):
        padded[half : half + nx] = image[source]
        for j in range(kernel.shape[0]):
            row = source - j + half
            if row < 0 or row >= ny:
                continue
            for i in range(kernel.shape[1]):
                tap = kernel[j, i]
                for col in range(nx):
                    out[row, col] += tap * padded[col + i]
    return out
