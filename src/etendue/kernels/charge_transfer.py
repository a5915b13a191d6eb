"""Kernels of charge on its way out: blooming over full pixels, deferred charge, local traps."""

import numpy as np
from numba import njit

from etendue.kernels.types import BOOL_1D, BOOL_2D_OUT, F32_2D_OUT, F64, F64_1D, F64_2D, I64_1D


@njit(cache=True, nogil=True, error_model="numpy")
def _absorb(column, row, well, excess):
    """Let a pixel take up charge to its full well, or give what it has above; return the charge left over."""
    room = well - column[row]
    taken = min(room, excess)  # negative where the pixel itself is over full
    column[row] += taken
    return excess - taken


@njit(cache=True, nogil=True, error_model="numpy")
def _bloom_column(column, bled, full_well, band, wall):
    """Bloom one column; return the charge that found no room."""
    ny = column.size
    lost = 0.0
    for row in range(ny):
        excess = float(column[row] - full_well[band[row]])
        if not excess > 0.0:
            continue
        column[row] = full_well[band[row]]
        bled[row] = True
        low, high = row, row + 1
        while excess > 0.0 and not (wall[low] and wall[high]):
            if not wall[low]:
                low -= 1
                excess = _absorb(column, low, full_well[band[low]], excess)
                bled[low] = True
            if excess > 0.0 and not wall[high]:
                excess = _absorb(column, high, full_well[band[high]], excess)
                bled[high] = True
                high += 1
        lost += excess
    return lost


@njit([F64(F32_2D_OUT, BOOL_2D_OUT, F64_2D, I64_1D, BOOL_1D)], cache=True, nogil=True, error_model="numpy")
def bloom(image, bled, full_well, band, wall):
    """Spread charge above full well along columns, pixel by pixel to both sides in turn, until walls stop it.

    Charge is conserved but for what finds no room between two walls, which is returned.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place [e].
    bled : ndarray, bool, shape (ny, nx)
        Set where pixels were above full well or took charge up.
    full_well : ndarray, float64, shape (n, nx)
        Full well of the columns in each band of rows [e].
    band : ndarray, int64, shape (ny,)
        Row of ``full_well`` that holds at each row.
    wall : ndarray, bool, shape (ny + 1,)
        Whether charge stops below each row; the first and the last are True.

    Returns
    -------
    float
        Charge lost [e].
    """
    ny, nx = image.shape
    over = np.zeros(nx, np.bool_)
    for row in range(ny):
        limit = full_well[band[row]]
        for col in range(nx):
            over[col] |= image[row, col] > limit[col]
    lost = 0.0
    column, flags = np.empty(ny, np.float32), np.empty(ny, np.bool_)
    for col in range(nx):
        if over[col]:
            column[:] = image[:, col]
            flags[:] = bled[:, col]
            lost += _bloom_column(column, flags, full_well[:, col].copy(), band, wall)
            image[:, col] = column
            bled[:, col] = flags
    return lost


@njit([(F32_2D_OUT, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def defer_rows(image, inefficiency, release, size, fill, size_release):
    """Shift rows out along the columns with losses to traps that give charge to later rows.

    Row ``n`` (counted from 1, next to the register) makes ``n`` transfers: it fills traps up to ``1 - (1 -
    inefficiency)**n`` of its charge, as far as they do not still hold charge of earlier rows; they give it to the rows
    behind with an exponential law. One more trap at the end of each column is filled to ``fill`` times the charge that
    passes, at most to ``size``, and empties likewise. So both a single bright row and a flat leave in all
    ``n * inefficiency`` of their charge behind. Proportional loss and a trap of fixed size are the two parts of the
    model of Snyder and Roodman (2019, SPIE 11447), here in one pass. Charge is conserved but for what is still held
    after the last row.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Rows in the order in which they are read, overscan rows last; changed in place [e].
    inefficiency : float
        Fraction of the charge left in each transfer.
    release : float
        Fraction of the charge held that is given to each row that follows.
    size : float
        Charge that the trap can hold [e].
    fill : float
        Share of a pixel's charge that the trap can take.
    size_release : float
        As ``release``, of the trap.
    """
    ny, nx = image.shape
    held, trapped = np.zeros(nx, np.float32), np.zeros(nx, np.float32)
    back, empty = np.float32(release), np.float32(size_release)
    limit, share = np.float32(size), np.float32(fill)
    for row in range(ny):
        lost = np.float32(1.0 - (1.0 - inefficiency) ** (row + 1))
        line = image[row]
        for col in range(nx):
            given = back * held[col]
            caught = max(lost * line[col] - (held[col] - given), np.float32(0.0))
            line[col] += given - caught
            held[col] += caught - given
        if size > 0.0:
            for col in range(nx):
                given = empty * trapped[col]
                caught = max(min(share * line[col], limit) - (trapped[col] - given), np.float32(0.0))
                line[col] += given - caught
                trapped[col] += caught - given


@njit([(F32_2D_OUT, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def defer_columns(image, inefficiency, release, size, fill, size_release):
    """Shift columns out along the rows with losses to traps: `defer_rows` in the serial register.

    The slow definition: ``defer_rows`` of the transposed image. Every row begins with empty traps.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Columns in the order in which they are read, prescan first, overscan last; changed in place [e].
    inefficiency, release, size, fill, size_release : float
        As in `defer_rows`.
    """
    ny, nx = image.shape
    lost = np.empty(nx, np.float32)
    for col in range(nx):
        lost[col] = 1.0 - (1.0 - inefficiency) ** (col + 1)
    back, empty = np.float32(release), np.float32(size_release)
    limit, share = np.float32(size), np.float32(fill)
    for row in range(ny):
        line = image[row]
        held, trapped = np.float32(0.0), np.float32(0.0)
        for col in range(nx):
            given = back * held
            caught = max(lost[col] * line[col] - (held - given), np.float32(0.0))
            value = line[col] + (given - caught)
            held += caught - given
            if size > 0.0:
                given = empty * trapped
                caught = max(min(share * value, limit) - (trapped - given), np.float32(0.0))
                value += given - caught
                trapped += caught - given
            line[col] = value


@njit([(F32_2D_OUT, I64_1D, I64_1D, F64_1D, F64)], cache=True, nogil=True, error_model="numpy")
def catch_in_traps(image, rows, cols, size, release):
    """Pass rows over single traps in the pixels: each takes charge until it is full and gives it to later rows.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Rows in the order in which they are read; changed in place [e].
    rows, cols : ndarray, int64, shape (n,)
        Pixels with a trap; rows at and beyond it pass over it.
    size : ndarray, float64, shape (n,)
        Charge that each holds [e].
    release : float
        Fraction of the charge held that is given to each row that follows.
    """
    for i in range(rows.size):
        held = 0.0
        for row in range(rows[i], image.shape[0]):
            charge = float(image[row, cols[i]])
            given = release * held
            caught = min(max(charge, 0.0), size[i] - (held - given))
            image[row, cols[i]] = charge + given - caught
            held += caught - given
