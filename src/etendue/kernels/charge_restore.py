"""Kernels that give pixels back the charge that they deferred on their way out: the inverse of `charge_transfer`."""

import numpy as np
from numba import njit, void

from etendue.kernels.types import F32_2D_OUT, F64

_LANES = 16  # rows restored side by side: what one pixel gives depends on the one before it
_FOLLOW = 0.1
_MOST = 0.9  # a trap that takes all charge cannot be undone


@njit(cache=True, nogil=True, error_model="numpy")
def _refill(line, trapped, calm, size, fill, release, quiet):
    """Give one line back what the trap of fixed size took of it, and take what it gave."""
    empty, limit, follow = np.float32(release), np.float32(size), np.float32(_FOLLOW)
    share, threshold = np.float32(min(fill, _MOST)), np.float32(quiet)
    inverse = np.float32(1.0) / (np.float32(1.0) - share)
    for col in range(line.size):
        value = line[col] if np.isfinite(line[col]) else calm[col]
        step = value - calm[col]
        level = value if abs(step) > threshold else calm[col] + follow * step
        calm[col] = level
        given = empty * trapped[col]
        remaining = trapped[col] - given
        free = level - given  # before, if nothing was caught
        partly = (level - trapped[col]) * inverse  # if a share of it was
        caught = partly if share * partly < limit else free + limit - remaining
        change = (free if min(share * free, limit) <= remaining else caught) - level
        trapped[col] += change
        line[col] += change


@njit(cache=True, nogil=True, error_model="numpy")
def _restore(image, inefficiency, release, size, fill, size_release, quiet):
    """Restore rows that were read one after the other."""
    ny, nx = image.shape
    held, trapped, calm = np.zeros(nx, np.float32), np.zeros(nx, np.float32), np.zeros(nx, np.float32)
    back, kept = np.float32(release), np.float32(1.0 - release)
    for row in range(ny):
        line = image[row]
        if size > 0.0:
            _refill(line, trapped, calm, size, fill, size_release, quiet)
        lost = np.float32(1.0 - (1.0 - inefficiency) ** (row + 1))
        whole = np.float32(1.0) / (np.float32(1.0) - lost)
        for col in range(nx):
            value = line[col] if np.isfinite(line[col]) else np.float32(0.0)
            free = value - back * held[col]
            change = (free if lost * free <= kept * held[col] else (value - held[col]) * whole) - value
            held[col] += change
            line[col] += change


@njit([void(F32_2D_OUT, F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def restore_rows(image, inefficiency, release, size, fill, size_release, quiet):
    """Undo `charge_transfer.defer_rows`: give rows back what they lost on their way along the columns.

    Each pixel was changed by charge of those read before it only, so one pass in the order of reading inverts the
    losses exactly. What is added to a pixel was in the traps, and is taken from the pixels behind: charge is conserved
    with the overscan and with what the traps hold at the end. A pixel that is not finite stays so.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Rows in the order in which they are read, overscan rows last; changed in place [e].
    inefficiency, release, size, fill, size_release : float
        As in `charge_transfer.defer_rows`; of ``fill`` at most 0.9 is taken.
    quiet : float
        The trap of fixed size follows changes below this only slowly, so that it is not filled by read noise that came
        after it, which would raise the noise of faint sky by up to ``1 / (1 - fill)``; 0 for the exact inverse [e].
    """
    _restore(image, inefficiency, release, size, fill, size_release, quiet)


@njit([void(F32_2D_OUT, F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def restore_columns(image, inefficiency, release, size, fill, size_release, quiet):
    """Undo `charge_transfer.defer_columns`: `restore_rows` in the serial register.

    The slow definition: ``restore_rows`` of the transposed image.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Columns in the order in which they are read, prescan first, overscan last; changed in place [e].
    inefficiency, release, size, fill, size_release, quiet : float
        As in `restore_rows`.
    """
    ny, nx = image.shape
    turned = np.zeros((nx, _LANES), np.float32)
    for start in range(0, ny, _LANES):
        count = min(_LANES, ny - start)
        for k in range(count):
            for col in range(nx):
                turned[col, k] = image[start + k, col]
        _restore(turned, inefficiency, release, size, fill, size_release, quiet)
        for k in range(count):
            for col in range(nx):
                image[start + k, col] = turned[col, k]
