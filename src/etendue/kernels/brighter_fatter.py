"""Kernels of the brighter-fatter correction: how far boundaries moved, and the charge put back across them."""

import numpy as np
from numba import njit, void

from etendue.kernels.types import F32_2D, F32_2D_OUT, F64, F64_2D

_SEVEN, _TWELFTH = np.float32(7.0), np.float32(1.0 / 12.0)
_STEEP, _MATTERS = np.float32(0.1), np.float32(1.0)  # contrast of neighbours; charge at stake [e]
_CALM = 30.0  # with the noise of the sky, keeps logarithms of dark pixels calm [e]
_BENT = (-3.0, 6.0)  # curvatures of logarithms that are believed [1/px**2]: a PSF is wider than 1 px FWHM
_FACTOR = 2.0  # light at a boundary is at most this times the brighter of the pixels beside it


@njit(cache=True, nogil=True, error_model="numpy")
def _add_right(padded, row, serial, line, pad, shift):
    """Add the shifts of the right boundaries of a row to ``shift``."""
    for dy in range(serial.shape[0]):
        above, below = padded[row + pad + dy], padded[row + pad - dy]
        half = np.float32(0.5) if dy == 0 else np.float32(1.0)
        for col in range(line.size):
            line[col] = half * (above[col] + below[col])
        for k in range(serial.shape[1]):
            weight = np.float32(serial[dy, k])
            left, right = line[pad - k :], line[pad + 1 + k :]  # slices: indices that are never negative vectorise
            for col in range(shift.size):
                shift[col] += weight * (right[col] - left[col])


@njit(cache=True, nogil=True, error_model="numpy")
def _add_up(padded, row, parallel, line, pad, shift):
    """Add the shifts of the upper boundaries of a row to ``shift``."""
    for k in range(parallel.shape[0]):
        above, below = padded[row + pad + 1 + k], padded[row + pad - k]
        for col in range(line.size):
            line[col] = above[col] - below[col]
        for dx in range(parallel.shape[1]):
            weight = np.float32(parallel[k, dx] * (0.5 if dx == 0 else 1.0))
            left, right = line[pad - dx :], line[pad + dx :]
            for col in range(shift.size):
                shift[col] += weight * (left[col] + right[col])


@njit([void(F32_2D, F64_2D, F64_2D, F64, F32_2D_OUT, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def add_shifts(charge, serial, parallel, factor, right, up):
    """Add how far charge moves the boundaries of pixels.

    The slow definition: the boundary between two columns moves by ``serial[dy, k]`` towards every unit of charge ``dy``
    rows away and ``k + 1/2`` columns from it; the boundary between two rows by ``parallel[k, dx]`` towards charge
    ``k + 1/2`` rows and ``dx`` columns away. Beyond the edges charge is as in the outermost pixel.

    Parameters
    ----------
    charge : ndarray, float32, shape (ny, nx)
        Charge, finite [e].
    serial, parallel : ndarray, float64, shape (n, n)
        Shifts for each electron [px/e].
    factor : float
        Multiplies the charge.
    right, up : ndarray, float32, shape (ny, nx)
        Shifts of the right and the upper boundary of each pixel, towards higher columns and rows; added to [px].
    """
    ny, nx = charge.shape
    pad = max(serial.shape[0], serial.shape[1], parallel.shape[0], parallel.shape[1]) + 1
    padded = np.empty((ny + 2 * pad, nx + 2 * pad), np.float32)
    scale = np.float32(factor)
    for row in range(ny + 2 * pad):
        source = charge[min(max(row - pad, 0), ny - 1)]
        line = padded[row]
        for col in range(nx):
            line[col + pad] = scale * source[col]
        line[:pad], line[nx + pad :] = line[pad], line[nx + pad - 1]
    work = np.empty(nx + 2 * pad, np.float32)
    for row in range(ny):
        _add_right(padded, row, serial, work, pad, right[row])
        _add_up(padded, row, parallel, work, pad, up[row])


@njit(cache=True, nogil=True, error_model="numpy")
def _across_columns(light, shift, moved):
    """Write the light that crosses the right boundary of each pixel of a row into the pixel itself."""
    nx = light.size
    moved[nx - 1] = 0.0
    for col in range(1, nx - 2):
        at = (_SEVEN * (light[col] + light[col + 1]) - light[col - 1] - light[col + 2]) * _TWELFTH
        moved[col] = shift[col] * at
    for col in (0, nx - 2):
        if 0 <= col < nx - 1:
            moved[col] = shift[col] * np.float32(0.5) * (light[col] + light[col + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _across_rows(below, above, far_below, far_above, shift, moved):
    """Write the light that crosses the upper boundary of each pixel of a row into the pixel itself."""
    for col in range(moved.size):
        at = (_SEVEN * (below[col] + above[col]) - far_below[col] - far_above[col]) * _TWELFTH
        moved[col] = shift[col] * at


@njit([F64(F32_2D, F32_2D, F32_2D, F32_2D, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def put_back(collected, light, right, up, out):
    """Take from each pixel the charge that it owes to the shifts of its boundaries.

    The slow definition: a boundary that moved by ``s`` gave ``s * d`` to the pixel that grew, ``d`` the density of
    light at the boundary by the cubic that has the integrals of the four pixels next to it (Colella and Woodward 1984,
    J. Comput. Phys. 54, 174, eq. 1.9). What one pixel gives the other gets: charge is conserved.

    Parameters
    ----------
    collected : ndarray, float32, shape (ny, nx)
        Charge with its boundaries shifted [e].
    light : ndarray, float32, shape (ny, nx)
        The best guess of what fell [e].
    right, up : ndarray, float32, shape (ny, nx)
        Mean shifts during the exposure, from `add_shifts` [px].
    out : ndarray, float32, shape (ny, nx)
        The next guess [e].

    Returns
    -------
    float
        Mean absolute difference between the two guesses [e].
    """
    ny, nx = collected.shape
    moved, below, above = np.empty(nx, np.float32), np.zeros(nx, np.float32), np.zeros(nx, np.float32)
    change = 0.0
    for row in range(ny):
        _across_columns(light[row], right[row], moved)
        if row < ny - 1:
            before, after = light[max(row - 1, 0)], light[min(row + 2, ny - 1)]
            _across_rows(light[row], light[row + 1], before, after, up[row], above)
        else:
            above[:] = 0.0
        line, source, old = out[row], collected[row], light[row]
        line[0] = source[0] - moved[0] - above[0] + below[0]
        for col in range(1, nx):
            line[col] = source[col] - moved[col] + moved[col - 1] - above[col] + below[col]
        total = np.float32(0.0)
        for col in range(nx):
            total += abs(line[col] - old[col])
        change += float(total)
        below[:] = above
    return change / (ny * nx)


@njit(cache=True, nogil=True, error_model="numpy")
def _steep_excess(pixels, ground):
    """Return how much the light in the middle of six steep pixels exceeds that of the cubic through four.

    Of a Gaussian with variance ``v``, the integrals of pixels are samples of one with ``v + 1/12``; logarithm and slope
    in the middle come from the polynomial through all six above the ground, curvature through four, which is calmer.
    """
    before, after = pixels[2], pixels[3]
    cubic = (7.0 * (before + after) - pixels[1] - pixels[4]) / 12.0
    even, odd = np.empty(3), np.empty(3)
    for k in range(3):
        left = np.log(max(pixels[2 - k] - ground, 0.5 * _CALM))
        right = np.log(max(pixels[3 + k] - ground, 0.5 * _CALM))
        even[k], odd[k] = right + left, right - left
    height = (150.0 * even[0] - 25.0 * even[1] + 3.0 * even[2]) / 256.0
    slope = (2250.0 * odd[0] - 125.0 * odd[1] + 9.0 * odd[2]) / 1920.0
    bend = 0.5 * (even[0] - even[1])
    sharp = 1.0 - min(max(bend, _BENT[0]), _BENT[1]) / 12.0
    value = np.exp(height - slope * slope / (24.0 * sharp)) / np.sqrt(sharp) + ground
    return min(max(value, 0.5 * min(before, after)), _FACTOR * max(before, after)) - cubic


@njit(cache=True, nogil=True, error_model="numpy")
def _is_steep(shift, before, after):
    step = abs(after - before)
    return abs(shift) * step > _MATTERS and step > _STEEP * (before + after)


@njit([void(F32_2D, F32_2D, F32_2D, F64, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def put_back_steep(light, right, up, sky, collected):
    """Take what `put_back` misses where light is steep: the cubic knows little about a star two pixels wide.

    The slow definition: wherever neighbours differ by a tenth of their sum, and the charge at stake is above 1 e, the
    light at the boundary is that of a Gaussian on the sky whose pixel integrals have the logarithms of the six pixels
    next to it; its excess over the cubic, times the shift, is moved.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        A good guess of what fell [e].
    right, up : ndarray, float32, shape (ny, nx)
        Mean shifts during the exposure, from `add_shifts` [px].
    sky : float
        Level on which stars stand [e].
    collected : ndarray, float32, shape (ny, nx)
        Charge with its boundaries shifted, changed in place to what shifts of a cubic's light would have left [e].
    """
    ny, nx = light.shape
    ground = sky - np.sqrt(max(sky, 0.0)) - _CALM
    for row in range(ny):
        line = light[row]
        for col in range(2, nx - 3):
            if _is_steep(right[row, col], line[col], line[col + 1]):
                moved = np.float32(right[row, col] * _steep_excess(line[col - 2 : col + 4], ground))
                collected[row, col] -= moved
                collected[row, col + 1] += moved
        if 2 <= row < ny - 3:
            for col in range(nx):
                if _is_steep(up[row, col], line[col], light[row + 1, col]):
                    moved = np.float32(up[row, col] * _steep_excess(light[row - 2 : row + 4, col], ground))
                    collected[row, col] -= moved
                    collected[row + 1, col] += moved


@njit([void(F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def bridge_unknown(image):
    """Replace NaN by linear interpolation along the row; rows without any number become 0.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place.
    """
    ny, nx = image.shape
    for row in range(ny):
        line = image[row]
        last = -1
        for col in range(nx):
            if np.isfinite(line[col]):
                if last < col - 1:
                    start = line[last] if last >= 0 else line[col]
                    step = (line[col] - start) / np.float32(col - last)
                    for k in range(last + 1, col):
                        line[k] = start + step * np.float32(k - last)
                last = col
        for k in range(last + 1, nx):
            line[k] = line[last] if last >= 0 else np.float32(0.0)
