"""Kernels of the electronics: linearity and gain, crosstalk, bias, read noise and conversion; fringes of the sky."""

import numpy as np
from numba import njit, types, void

from etendue.kernels.random_numbers import U64_1D, normal
from etendue.kernels.types import F32_1D, F32_2D, F32_2D_OUT, F32_3D, F64, F64_1D, F64_2D, I64

F32_3D_OUT = types.Array(types.float32, 3, "C")
I32_2D_OUT = types.Array(types.int32, 2, "C")
_PHASES = 4096
_COSINE = np.cos(2.0 * np.pi * (np.arange(_PHASES) + 0.5) / _PHASES).astype(np.float32)


@njit([void(F32_2D_OUT, F64, F64_1D, F64)], cache=True, nogil=True, error_model="numpy")
def amplify(image, gain, table, step):
    """Turn electrons into ADU through a response that is not linear.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Electrons on entry, ADU on return.
    gain : float
        Gain [e/ADU].
    table : ndarray, float64, shape (n,)
        Output over input at ``0, step, ...`` electrons; linear in between, the last beyond. Empty: a linear amplifier.
    step : float
        Spacing of the table [e].
    """
    inverse = 1.0 / gain
    last = table.size - 2
    for row in range(image.shape[0]):
        line = image[row]
        if table.size == 0:
            for col in range(line.size):
                line[col] *= inverse
            continue
        for col in range(line.size):
            place = max(line[col] / step, 0.0)
            cell = min(int(place), last)
            part = min(place - cell, 1.0)
            line[col] *= inverse * (table[cell] + part * (table[cell + 1] - table[cell]))


@njit([void(F32_2D_OUT, F32_2D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def add_crosstalk(victim, aggressor, linear, quadratic):
    """Add ``linear * s + quadratic * s**2`` of another amplifier's signal, where both are read at the same time.

    Parameters
    ----------
    victim : ndarray, float32, shape (ny, nx)
        Signal in read order, changed in place [ADU].
    aggressor : ndarray, float32, shape (my, mx)
        Signal in read order, as it was before any crosstalk [ADU].
    linear : float
        Coefficient.
    quadratic : float
        Coefficient [1/ADU].
    """
    ny, nx = min(victim.shape[0], aggressor.shape[0]), min(victim.shape[1], aggressor.shape[1])
    a, b = np.float32(linear), np.float32(quadratic)
    for row in range(ny):
        target, source = victim[row], aggressor[row]
        for col in range(nx):
            target[col] += source[col] * (a + b * source[col])


@njit([void(F32_3D_OUT, F32_3D, F64_2D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def mix_amplifiers(out, signals, linear, quadratic):
    """Add the crosstalk of every amplifier to every other: `add_crosstalk` for all pairs, row by row in the cache.

    Parameters
    ----------
    out : ndarray, float32, shape (n, ny, nx)
        Signals plus crosstalk [ADU].
    signals : ndarray, float32, shape (n, ny, nx)
        Signals in read order [ADU].
    linear, quadratic : ndarray, float64, shape (n, n)
        Coefficients ``[victim, aggressor]`` [1, 1/ADU].
    """
    n, ny, nx = signals.shape
    for row in range(ny):
        for i in range(n):
            target = out[i, row]
            target[:] = signals[i, row]
            for j in range(n):
                a, b = np.float32(linear[i, j]), np.float32(quadratic[i, j])
                if a == np.float32(0.0) and b == np.float32(0.0):
                    continue
                source = signals[j, row]
                for col in range(nx):
                    target[col] += source[col] * (a + b * source[col])


@njit(
    [void(F32_2D, F32_1D, F32_1D, F64, U64_1D, F64, U64_1D, I64, I32_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def digitise(signal, row_level, column_level, pattern, fixed, noise, states, largest, out):
    """Add bias and read noise and convert to integers.

    Parameters
    ----------
    signal : ndarray, float32, shape (ny, nx)
        Signal in read order [ADU].
    row_level : ndarray, float32, shape (ny,)
        Bias of each row [ADU].
    column_level : ndarray, float32, shape (nx,)
        Bias of each column, on top [ADU].
    pattern : float
        Standard deviation of a fixed pattern of single pixels [ADU]; 0 for none.
    fixed : ndarray, uint64, shape (ny,)
        Random words of the fixed pattern.
    noise : float
        Read noise [ADU]; 0 for none.
    states : ndarray, uint64, shape (ny,)
        Random words of the noise.
    largest : int
        Highest number that the converter gives; the lowest is 0.
    out : ndarray, int32, shape (ny, nx)
        Rounded to the nearest integer.
    """
    ny, nx = signal.shape
    line = np.empty(nx, np.float32)
    top = np.float32(largest)
    for row in range(ny):
        level = row_level[row]
        for col in range(nx):
            line[col] = signal[row, col] + (level + column_level[col])
        if pattern > 0.0:
            state = fixed[row]
            for col in range(nx):
                value, state = normal(state)
                line[col] += pattern * value
        if noise > 0.0:
            state = states[row]
            for col in range(nx):
                value, state = normal(state)
                line[col] += noise * value
        for col in range(nx):
            out[row, col] = np.int32(min(max(np.floor(line[col] + np.float32(0.5)), np.float32(0.0)), top))


@njit([void(F32_2D_OUT, F32_2D, F64, F64_2D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def add_fringes(light, sky, uniform, phase, step, amplitude):
    """Add interference fringes to the light of the night sky: ``sky * amplitude * cos(2 pi phase)``.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Changed in place [e].
    sky : ndarray, float32, shape (ny, nx) or (0, 0)
        Night-sky light that is in ``light`` [e]; if empty, it is ``uniform``.
    uniform : float
        Night-sky light of every pixel [e].
    phase : ndarray, float64, shape (my, mx)
        Phase in turns at the pixels ``0, step, ...``; bilinear in between.
    step : float
        Spacing [px].
    amplitude : float
        Of the fringes, as a fraction of the sky.
    """
    ny, nx = light.shape
    my, mx = phase.shape
    turns = np.empty(mx)
    for row in range(ny):
        cell_y = min(int(row / step), my - 2)
        part_y = row / step - cell_y
        for k in range(mx):
            turns[k] = (1.0 - part_y) * phase[cell_y, k] + part_y * phase[cell_y + 1, k]
        for col in range(nx):
            cell = min(int(col / step), mx - 2)
            part = col / step - cell
            here = (1.0 - part) * turns[cell] + part * turns[cell + 1]
            index = int((here - np.floor(here)) * _PHASES) & (_PHASES - 1)
            base = sky[row, col] if sky.size > 0 else uniform
            light[row, col] += base * amplitude * _COSINE[index]
