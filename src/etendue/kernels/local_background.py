"""What is left of the background on a small scale: ghosts, haloes, vignetted rims; on plain arrays."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import BOOL_2D, F64_2D, I64

_CELLS = types.Array(types.float64, 2, "C")


@njit([_CELLS(F64_2D, BOOL_2D, I64)], cache=True, nogil=True, error_model="numpy")
def cell_medians(image, bad, cell):
    """Take the median of an image in square cells.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Image.
    bad : ndarray, bool, shape (ny, nx)
        Pixels left out.
    cell : int
        Cell side [px]; the last cells may be smaller.

    Returns
    -------
    ndarray, float64, shape (ceil(ny / cell), ceil(nx / cell))
        Medians; 0 where less than a quarter of a full cell is usable.
    """
    ny, nx = image.shape
    rows, cols = (ny + cell - 1) // cell, (nx + cell - 1) // cell
    medians = np.zeros((rows, cols))
    values = np.empty(cell * cell)
    for a in range(rows):
        for b in range(cols):
            n = 0
            for j in range(a * cell, min(ny, (a + 1) * cell)):
                for i in range(b * cell, min(nx, (b + 1) * cell)):
                    if not bad[j, i]:
                        values[n] = image[j, i]
                        n += 1
            if 4 * n >= cell * cell:
                medians[a, b] = np.median(values[:n])
    return medians


def local_background(image: NDArray[np.float64], bad: NDArray[np.bool_], cell: int) -> NDArray[np.float64]:
    """Interpolate cell medians bilinearly over an image.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Image, best with its sources subtracted.
    bad : ndarray, bool, shape (ny, nx)
        Pixels left out.
    cell : int
        Cell side [px].

    Returns
    -------
    ndarray, float64, shape (ny, nx)
        Background, constant beyond the outermost cell centres.
    """
    medians = cell_medians(np.ascontiguousarray(image), np.ascontiguousarray(bad), cell)
    rows, cols = (_hat_weights(n, m, cell) for n, m in zip(image.shape, medians.shape, strict=True))
    return np.asarray(rows @ medians @ cols.T)


def _hat_weights(n: int, m: int, cell: int) -> NDArray[np.float64]:
    """Return the linear-interpolation weights of m cell centres at n pixels, shape (n, m)."""
    place = np.clip((np.arange(n) - 0.5 * (cell - 1)) / cell, 0.0, m - 1.0)
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(m)))
