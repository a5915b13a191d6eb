"""Kernel of linearity: one pass with a table."""

import numpy as np
from numba import njit, void

from etendue.kernels.types import F32_1D, F32_2D_OUT, F64


@njit([void(F32_2D_OUT, F32_1D, F64)], cache=True, nogil=True, error_model="numpy")
def apply_factors(image, factors, step):
    """Multiply every pixel by a factor that depends on its value.

    The slow definition: ``image * np.interp(image, step * np.arange(n), factors)``.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place; NaN stays.
    factors : ndarray, float32, shape (n,)
        Factors at ``0, step, ...``, at least two; linear in between, the first below and the last beyond.
    step : float
        Spacing of the table, in the unit of the image.
    """
    inverse = np.float32(1.0 / step)
    last = factors.size - 2
    zero, end = np.float32(0.0), np.float32(factors.size - 1)
    for row in range(image.shape[0]):
        line = image[row]
        for col in range(line.size):
            place = min(max(zero, line[col] * inverse), end)  # 0 for NaN, whose product stays NaN
            cell = min(int(place), last)
            part = place - np.float32(cell)
            line[col] *= factors[cell] + part * (factors[cell + 1] - factors[cell])
