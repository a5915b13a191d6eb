"""Kernels of instrument signature removal: the fused calibration pass, saturation and bleeding."""

import numpy as np
from numba import njit

from etendue.kernels.types import BOOL_2D, F32_2D, F32_2D_OUT, F64, I64


@njit([(F32_2D_OUT, F32_2D_OUT, F32_2D)], cache=True, nogil=True, error_model="numpy")
def divide_by_response(image, variance, response):
    """Divide an image and its variance by the response, in one pass.

    Slow definition: ``image / response`` and ``variance / response**2``.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Changed in place [e-] and [e-**2]; NaN where the response is not positive.
    response : ndarray, float32, shape (ny, nx)
        About 1.
    """
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            inverse = np.float32(1.0) / response[row, col] if response[row, col] > 0.0 else np.float32(np.nan)
            image[row, col] *= inverse
            variance[row, col] *= inverse * inverse


@njit([(BOOL_2D, F32_2D, F64)], cache=True, nogil=True, error_model="numpy")
def follow_bleeds(saturated, image, level):
    """Extend saturated pixels along their columns while the pixels stay bright.

    Parameters
    ----------
    saturated : ndarray, bool, shape (ny, nx)
        Saturated pixels.
    image : ndarray, float32, shape (ny, nx)
        Raw pixels [ADU].
    level : float
        Charge trails are followed down to this value [ADU].

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        Saturated pixels and the trails connected to them along a column.
    """
    ny, nx = saturated.shape
    out = saturated.copy()
    for row in range(1, ny):
        for col in range(nx):
            out[row, col] = out[row, col] or (out[row - 1, col] and image[row, col] > level)
    for row in range(ny - 2, -1, -1):
        for col in range(nx):
            out[row, col] = out[row, col] or (out[row + 1, col] and image[row, col] > level)
    return out


@njit([(BOOL_2D, I64, I64)], cache=True, nogil=True, error_model="numpy")
def grow_mask(mask, rows, cols):
    """Grow a mask by a rectangle of ``2 rows + 1`` by ``2 cols + 1`` pixels.

    Slow definition: ``scipy.ndimage.binary_dilation(mask, np.ones((2 * rows + 1, 2 * cols + 1)))``.
    The cost follows the number of masked pixels: masks are sparse.

    Parameters
    ----------
    mask : ndarray, bool, shape (ny, nx)
        The mask.
    rows, cols : int
        Pixels to grow along a column and along a row.

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        The grown mask.
    """
    ny, nx = mask.shape
    out = mask.copy()
    for row in range(ny):
        for col in range(nx):
            if mask[row, col]:
                out[max(0, row - rows) : row + rows + 1, max(0, col - cols) : col + cols + 1] = True
    return out
