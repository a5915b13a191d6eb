"""Kernels of charge on its way into the pixels: displaced pixel boundaries, diffusion, accumulation with shot noise."""

import numpy as np
from numba import njit, void

from etendue.kernels.random_numbers import U64_1D, poisson
from etendue.kernels.types import BOOL, F32_2D, F32_2D_OUT, F64, F64_1D, F64_2D, I64

_ZERO, _SEVEN, _TWELFTH = np.float32(0.0), np.float32(7.0), np.float32(1.0 / 12.0)
_SHARE = np.float32(0.24)  # most of a pixel's light that one boundary may hand over: four boundaries never empty it


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _hand_over(shift, before, after, far_before, far_after):
    """Return the light that crosses a boundary which moves by ``shift`` towards the pixel after it.

    The light at the boundary is the cubic that has the four pixels' integrals (Colella and Woodward 1984, eq. 1.9).
    """
    density = (_SEVEN * (before + after) - far_before - far_after) * _TWELFTH
    moved = shift * density
    most = max(_SHARE * (after if moved > _ZERO else before), _ZERO)
    return min(max(moved, -most), most)


@njit(cache=True, nogil=True, error_model="numpy")
def _cross_columns(light, shift, moved):
    """Write the light that crosses the right boundary of every pixel of a row into its left pixel."""
    nx = light.size
    moved[nx - 1] = _ZERO
    if nx < 4:  # too narrow for the cubic
        for col in range(nx - 1):
            moved[col] = _hand_over(shift[col], light[col], light[col + 1], light[col], light[col + 1])
        return
    moved[0] = _hand_over(shift[0], light[0], light[1], light[0], light[2])
    for col in range(1, nx - 2):
        moved[col] = _hand_over(shift[col], light[col], light[col + 1], light[col - 1], light[col + 2])
    moved[nx - 2] = _hand_over(shift[nx - 2], light[nx - 2], light[nx - 1], light[nx - 3], light[nx - 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _cross_rows(before, after, far_before, far_after, shift, moved):
    """Write the light that crosses the upper boundary of every pixel of a row into its lower pixel."""
    for col in range(moved.size):
        moved[col] = _hand_over(shift[col], before[col], after[col], far_before[col], far_after[col])


@njit(cache=True, nogil=True, error_model="numpy")
def _radial_shift(x, y, x0, y0, table, step):
    """Return the displacement along x and y at a point, from a table of the radial displacement."""
    dx, dy = x - x0, y - y0
    radius = np.sqrt(dx * dx + dy * dy)
    place = radius / step
    cell = min(int(place), table.size - 2)
    part = min(place - cell, 1.0)
    value = (1.0 - part) * table[cell] + part * table[cell + 1]
    scale = value / max(radius, 1e-6)
    return dx * scale, dy * scale


@njit([void(F32_2D_OUT, F64, F64, F64_1D, F64)], cache=True, nogil=True, error_model="numpy")
def displace_radially(light, x0, y0, table, step):
    """Move light by a radial displacement field: each pixel boundary hands over what crosses it.

    The slow definition: light that fell at ``r`` is collected at ``r + f(|r - r0|)``; to first order a boundary hands
    ``-f * (light at the boundary)`` to the pixel before it. Light is conserved; none crosses the image's edge.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Changed in place.
    x0, y0 : float
        Centre of the rings [px].
    table : ndarray, float64, shape (n,)
        Displacement outwards at the radii ``0, step, ...`` [px]; beyond them the last holds.
    step : float
        Spacing of the table [px].
    """
    ny, nx = light.shape
    right, shift_x, shift_y = np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32)
    below, above = np.zeros(nx, np.float32), np.empty(nx, np.float32)
    old = np.empty((4, nx), np.float32)  # rows before they were changed: row - 1, row, row + 1, row + 2
    old[0], old[1] = light[0], light[0]
    old[2], old[3] = light[min(1, ny - 1)], light[min(2, ny - 1)]
    for row in range(ny):
        for col in range(nx):
            shift_x[col] = -_radial_shift(col + 0.5, row, x0, y0, table, step)[0]
            shift_y[col] = -_radial_shift(col, row + 0.5, x0, y0, table, step)[1]
        _cross_columns(old[1], shift_x, right)
        _cross_rows(old[1], old[2], old[0], old[3], shift_y, above)
        if row == ny - 1:
            above[:] = 0.0
        light[row, 0] += right[0] + above[0] - below[0]
        for col in range(1, nx):
            light[row, col] += right[col] - right[col - 1] + above[col] - below[col]
        below[:] = above
        for k in range(3):
            old[k] = old[k + 1]
        old[3] = light[min(row + 3, ny - 1)]


@njit([void(F32_2D_OUT, F64, F64)], cache=True, nogil=True, error_model="numpy")
def diffuse(light, near, far):
    """Convolve with a separable symmetric kernel of five samples; light at the edges is kept inside.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Changed in place.
    near, far : float
        Weights of the samples one and two pixels away; the middle one makes the sum 1.
    """
    ny, nx = light.shape
    middle = 1.0 - 2.0 * (near + far)
    a, b, m = np.float32(near), np.float32(far), np.float32(middle)
    line = np.empty(nx + 4, np.float32)
    for row in range(ny):
        for k in range(2):  # reflection about the edge conserves light
            line[1 - k], line[nx + 2 + k] = light[row, min(k, nx - 1)], light[row, max(nx - 1 - k, 0)]
        line[2 : nx + 2] = light[row]
        for col in range(nx):
            light[row, col] = m * line[col + 2] + a * (line[col + 1] + line[col + 3]) + b * (line[col] + line[col + 4])
    rows = np.empty((5, nx), np.float32)
    for k in range(2):
        rows[1 - k], rows[3 + k] = light[min(k, ny - 1)], light[min(k + 1, ny - 1)]
    rows[2] = light[0]
    for row in range(ny):
        below, above = light[row], rows  # `light[row]` is overwritten only after the window holds its old value
        for col in range(nx):
            below[col] = m * above[2, col] + a * (above[1, col] + above[3, col]) + b * (above[0, col] + above[4, col])
        for k in range(4):
            rows[k] = rows[k + 1]
        ahead = row + 3
        rows[4] = light[ahead] if ahead < ny else rows[max(0, 2 - 2 * (ahead - ny)) + 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _shift_right(charge, row, serial, line, shift):
    """Write the shifts of the right boundaries of a row; ``charge`` is padded by the stencil's reach + 1."""
    reach = serial.shape[0]
    pad = reach + 1
    shift[:] = 0.0
    for dy in range(reach):
        if dy == 0:
            line[:] = charge[row + pad]
        else:
            line[:] = charge[row + pad - dy] + charge[row + pad + dy]
        for k in range(reach):
            weight = np.float32(serial[dy, k])
            left, right = line[pad - k :], line[pad + 1 + k :]  # slices: indices that are never negative vectorise
            for col in range(shift.size):
                shift[col] -= weight * (left[col] - right[col])


@njit(cache=True, nogil=True, error_model="numpy")
def _shift_up(charge, row, parallel, line, shift):
    """Write the shifts of the upper boundaries of a row; ``charge`` is padded by the stencil's reach + 1."""
    reach = parallel.shape[0]
    pad = reach + 1
    shift[:] = 0.0
    for k in range(reach):
        line[:] = charge[row + pad - k] - charge[row + pad + 1 + k]
        weight = np.float32(parallel[k, 0])
        middle = line[pad:]
        for col in range(shift.size):
            shift[col] -= weight * middle[col]
        for dx in range(1, reach):
            weight = np.float32(parallel[k, dx])
            left, right = line[pad - dx :], line[pad + dx :]
            for col in range(shift.size):
                shift[col] -= weight * (left[col] + right[col])


@njit(cache=True, nogil=True, error_model="numpy")
def _padded_charge(collected, light, noise, mean, most, charge, pad):
    """Fill the padded charge that moves the boundaries during one step."""
    ny, nx = collected.shape
    a, b, top = np.float32(noise), np.float32(mean), np.float32(most)
    for row in range(ny + 2 * pad):
        inside = min(max(row - pad, 0), ny - 1)
        for col in range(nx):
            charge[row, col + pad] = min(a * collected[inside, col] + b * light[inside, col], top)
        charge[row, :pad] = charge[row, pad]
        charge[row, nx + pad :] = charge[row, nx + pad - 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _count(mean, state, collected):
    """Add Poisson deviates to a row; a function of its own, which compiles to a loop six times faster."""
    for col in range(mean.size):
        count, state = poisson(state, float(mean[col]))
        collected[col] += count


@njit([void(F32_2D, F32_2D_OUT, F64_2D, F64_2D, I64, F64, BOOL, U64_1D)], cache=True, nogil=True, error_model="numpy")
def collect(light, collected, serial, parallel, steps, most, noisy, states):
    """Expose in steps: boundaries shifted by the charge collected so far, shot noise in each step.

    The model of Antilogus et al. (2014, JINST 9, C03048) and Guyonnet et al. (2015, A&A 575, A41): a boundary shifts
    by a sum of stencil times charge, and hands over the light between its old and its new place. The slow definition
    of step ``k`` of ``n``: the charge that moves boundaries is ``q = (collected - light k / n) n / (n - 1) + light
    (k + 1/2) / n``: that of the middle of the step; the factor makes up for the noise of a step's charge, which does
    not move that step's boundaries, so that covariances of flats are exact to first order in the stencil for any
    ``n > 1``. Means are ``light / n`` with each boundary's share handed over; ``collected`` grows by their Poisson
    deviates. Light is conserved. Beyond the edges charge is as in the outermost pixel.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Expected electrons of the exposure [e].
    collected : ndarray, float32, shape (ny, nx)
        Zero on entry; the charge on return [e].
    serial : ndarray, float64, shape (r, r)
        Shift of a right boundary towards a positive charge ``dy`` rows away and ``k + 1/2`` columns from the boundary,
        ``[dy, k]`` [px/e].
    parallel : ndarray, float64, shape (r, r)
        The same of an upper boundary, ``[k, dx]`` [px/e].
    steps : int
        Number of steps, at least 2.
    most : float
        Charge above which a pixel does not act more [e].
    noisy : bool
        Whether there is shot noise; without it ``collected`` grows by the means.
    states : ndarray, uint64, shape (steps * ny,)
        One random word for each step and row.
    """
    ny, nx = light.shape
    pad = serial.shape[0] + 1
    charge = np.empty((ny + 2 * pad, nx + 2 * pad), np.float32)
    line = np.empty(nx + 2 * pad, np.float32)
    shift = np.empty(nx, np.float32)
    right, below, above = np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32)
    mean = np.empty(nx, np.float32)
    share = np.float32(1.0 / steps)
    for step in range(steps):
        noise = steps / (steps - 1.0)
        _padded_charge(collected, light, noise, (step + 0.5) / steps - step / (steps - 1.0), most, charge, pad)
        below[:] = 0.0
        for row in range(ny):
            _shift_right(charge, row, serial, line, shift)
            _cross_columns(light[row], shift, right)
            _shift_up(charge, row, parallel, line, shift)
            if row < ny - 1:
                _cross_rows(
                    light[row], light[row + 1], light[max(row - 1, 0)], light[min(row + 2, ny - 1)], shift, above
                )
            else:
                above[:] = _ZERO
            mean[0] = share * (light[row, 0] + right[0] + above[0] - below[0])
            for col in range(1, nx):
                mean[col] = share * (light[row, col] + right[col] - right[col - 1] + above[col] - below[col])
            below[:] = above
            if not noisy:
                collected[row] += mean
                continue
            _count(mean, states[step * ny + row], collected[row])
