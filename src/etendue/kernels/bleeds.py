"""Charge that bleeds into the serial register and spills along the first rows."""

import numpy as np
from numba import njit

from etendue.kernels.types import BOOL_2D, F32_2D, F64, I64


@njit(cache=True, nogil=True, error_model="numpy")
def _widest_run(row):
    """Return the length of the longest run of true pixels."""
    longest = run = 0
    for value in row:
        run = run + 1 if value else 0
        longest = max(longest, run)
    return longest


@njit([BOOL_2D(F32_2D, BOOL_2D, F64, I64, I64)], cache=True, nogil=True, error_model="numpy")
def follow_spill(image, bled, level, rows, gap):
    """Follow charge from bleed trails that reach the register along the rows next to it.

    Slow definition: in each of the first ``rows`` rows, from the first on, a pixel above ``level`` belongs to the
    spill if, within ``gap`` pixels along its row, there is one that does or a trail's, or if the pixel below it does.
    Nothing is followed from trails that end before the first row.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Pixels of one amplifier in read order: row 0 is next to the register.
    bled : ndarray, bool, shape (ny, nx)
        Saturated pixels and their trails.
    level : float
        Least brightness of a spill.
    rows : int
        Rows that are looked at.
    gap : int
        Fainter pixels that a spill may skip.

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        The spill, without the trails.
    """
    ny, nx = image.shape
    out = np.zeros((ny, nx), dtype=np.bool_)
    if _widest_run(bled[0]) == 0:
        return out
    for row in range(min(rows, ny)):
        for forward in (True, False):
            since = gap + 1
            for i in range(nx):
                col = i if forward else nx - 1 - i
                source = bled[row, col] and (row == 0 or bled[0, col])
                if row > 0 and out[row - 1, col] and image[row, col] > level:
                    source = True
                if source or (since <= gap and image[row, col] > level):
                    since = 0
                    out[row, col] = True
                else:
                    since += 1
    for row in range(min(rows, ny)):
        for col in range(nx):
            out[row, col] = out[row, col] and not bled[row, col]
    return out
