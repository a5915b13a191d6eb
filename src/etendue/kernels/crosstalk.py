"""Kernels that take crosstalk out of what amplifiers read."""

import numpy as np
from numba import njit, void

from etendue.kernels.types import BOOL_3D_OUT, F32_3D, F32_3D_OUT, F64, F64_2D


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulate(delta, source, linear, quadratic):
    """Add ``sum_j source[j] * (linear[j] + quadratic[j] * source[j])``, row by row of the segments."""
    for j in range(linear.size):
        a, b = np.float32(linear[j]), np.float32(quadratic[j])
        if a == np.float32(0.0) and b == np.float32(0.0):
            continue
        line = source[j]
        if b == np.float32(0.0):
            for col in range(delta.size):
                delta[col] += a * line[col]
        else:
            for col in range(delta.size):
                delta[col] += line[col] * (a + b * line[col])


@njit(cache=True, nogil=True, error_model="numpy")
def _load(source, signals, row):
    """Copy one row of all segments; what is not finite talks to nobody."""
    for j in range(source.shape[0]):
        for col in range(source.shape[1]):
            value = signals[j, row, col]
            source[j, col] = value if np.isfinite(value) else np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _apply(target, delta, mark, threshold):
    for col in range(delta.size):
        target[col] += delta[col]
        mark[col] |= abs(delta[col]) > threshold


@njit([void(F32_3D_OUT, F64_2D, F64_2D, F64, BOOL_3D_OUT)], cache=True, nogil=True, error_model="numpy")
def unmix_amplifiers(signals, linear, quadratic, threshold, marked):
    """Solve ``m = s + A s + B s**2`` for the signals ``s`` before crosstalk, row by row in the cache.

    Slow definition: ``M = inv(1 + A)``, ``s1 = M m - (M B) m**2``, ``s = M m - (M B) s1**2``. The linear part is exact;
    what is left of the quadratic part is of third order in the coefficients.

    Parameters
    ----------
    signals : ndarray, float32, shape (n, ny, nx)
        Signals in read order [ADU], changed in place; a pixel that is not finite stays so and talks to nobody.
    linear : ndarray, float64, shape (n, n)
        ``M - 1``.
    quadratic : ndarray, float64, shape (n, n)
        ``-M B`` [1/ADU].
    threshold : float
        Pixels corrected by more than this are marked [ADU].
    marked : ndarray, bool, shape (n, ny, nx)
        Set there.
    """
    n, ny, nx = signals.shape
    source, better = np.empty((n, nx), np.float32), np.empty((n, nx), np.float32)
    delta = np.empty((n, nx), np.float32)
    nothing = np.zeros(n)
    bent = np.any(quadratic != 0.0)
    for row in range(ny):
        _load(source, signals, row)
        for i in range(n):
            delta[i] = np.float32(0.0)
            _accumulate(delta[i], source, linear[i], nothing if bent else quadratic[i])
        if bent:
            for i in range(n):
                better[i] = source[i] + delta[i]
                _accumulate(better[i], source, nothing, quadratic[i])
            for i in range(n):
                _accumulate(delta[i], better, nothing, quadratic[i])
        for i in range(n):
            _apply(signals[i, row], delta[i], marked[i, row], np.float32(threshold))


@njit([void(F32_3D_OUT, F32_3D, F64_2D, F64_2D, F64, BOOL_3D_OUT)], cache=True, nogil=True, error_model="numpy")
def subtract_foreign(signals, others, linear, quadratic, threshold, marked):
    """Subtract the crosstalk of another detector that is read at the same time.

    Slow definition: ``signals[i] -= sum_j others[j] * (linear[i, j] + quadratic[i, j] * others[j])`` where both have
    pixels.

    Parameters
    ----------
    signals : ndarray, float32, shape (n, ny, nx)
        Signals in read order [ADU], changed in place.
    others : ndarray, float32, shape (m, my, mx)
        Signals of the other detector in read order [ADU].
    linear, quadratic : ndarray, float64, shape (n, m)
        Coefficients ``[own amplifier, its amplifier]`` [1, 1/ADU].
    threshold, marked
        As in `unmix_amplifiers`.
    """
    n, ny, nx = signals.shape
    m, my, mx = others.shape
    width = min(nx, mx)
    source, delta = np.empty((m, mx), np.float32), np.empty(width, np.float32)
    for row in range(min(ny, my)):
        _load(source, others, row)
        for i in range(n):
            delta[:] = np.float32(0.0)
            _accumulate(delta, source, -linear[i], -quadratic[i])
            _apply(signals[i, row], delta, marked[i, row], np.float32(threshold))
