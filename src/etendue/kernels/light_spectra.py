"""Fourier transforms of what shines on a detector: a PSF times a sum of Sersic profiles times a trail."""

import numpy as np
from numba import njit, types, void
from numpy.typing import NDArray

from etendue.kernels.types import F32_2D, F32_3D, F64, F64_1D, F64_2D, I64_1D, I64_2D

_F32_4D = types.Array(types.float32, 4, "C", readonly=True)
_C64_3D_OUT = types.Array(types.complex64, 3, "C")
_ONE = 0x3F800000  # bits of 1.0 in float32
_SHIFT = 17  # leaves 64 nodes per octave


@njit(cache=True, nogil=True, error_model="numpy")
def _blend(table, first, weight, highest, out):
    """Combine four rows of the table of profiles up to the node above ``highest``; return the last node."""
    bits = np.empty(1, np.float32)
    bits[0] = highest
    last = min(((bits.view(np.int32)[0] - _ONE) >> _SHIFT) + 1, table.shape[1] - 1)
    a, b, c, d = weight[0], weight[1], weight[2], weight[3]
    for i in range(last + 1):
        out[i] = a * table[first, i] + b * table[first + 1, i] + c * table[first + 2, i] + d * table[first + 3, i]
    return last


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _profile_row(profile, last, start, slope, curve, place, out):
    """Look a profile up at ``start + slope c + curve c**2``, linearly between nodes.

    The bits of a float32 are the node (exponent and first 6 bits of the mantissa) and the place after it.
    """
    limit = np.empty(1, np.int32)
    limit[0] = (last << _SHIFT) + _ONE - 1
    highest = limit.view(np.float32)[0]
    for c in range(out.size):
        fc = np.float32(c)
        place[c] = min(highest, max(np.float32(1.0), start + fc * (slope + fc * curve)))
    bits = place.view(np.int32)
    scale = np.float32(1.0 / (1 << _SHIFT))
    for c in range(out.size):
        node = (bits[c] - _ONE) >> _SHIFT
        part = np.float32(bits[c] & ((1 << _SHIFT) - 1)) * scale
        out[c] = profile[node] + part * (profile[node + 1] - profile[node])


@njit(cache=True, nogil=True, error_model="numpy")
def _waves(offset, step, lowest, real, imag):
    """Fill ``exp(-i k offset)`` for ``k = (lowest + i) step``."""
    for i in range(real.size):
        angle = (lowest + i) * step * offset
        real[i] = np.cos(angle)
        imag[i] = -np.sin(angle)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_part(part, table, steepness, first, weight, cell, step, scratch, shape_re, shape_im):
    """Add one Sersic part, a row of ``parts`` [px], to the shape's transform over wavenumbers per cell."""
    profile, place, values, cos_x, sin_x, cos_y, sin_y = scratch
    flux, x, y = part[0], part[1] / cell, part[2] / cell
    sxx, syy, sxy = part[3] / cell**2, part[4] / cell**2, part[5] / cell**2
    rows, columns = shape_re.shape
    high = columns - 1
    largest = (sxx + syy + 2.0 * abs(sxy)) * (high * step) ** 2
    point = largest < 1e-8
    last = 1 if point else _blend(table, first, weight, np.float32(1.0 + steepness * largest), profile)
    centred = x == 0.0 and y == 0.0
    if not centred:
        _waves(x, step, 0, cos_x, sin_x)
        _waves(y, step, -high, cos_y, sin_y)
    values[:] = 1.0
    for row in range(rows):
        ky = (row - high) * step
        if not point:
            start, slope = np.float32(1.0 + steepness * ky * ky * syy), np.float32(2.0 * steepness * ky * sxy * step)
            _profile_row(profile, last, start, slope, np.float32(steepness * sxx * step * step), place, values)
        if centred:
            for c in range(columns):
                shape_re[row, c] += flux * values[c]
        else:
            re, im = np.float32(flux * cos_y[row]), np.float32(flux * sin_y[row])
            for c in range(columns):
                shape_re[row, c] += values[c] * (re * cos_x[c] - im * sin_x[c])
                shape_im[row, c] += values[c] * (re * sin_x[c] + im * cos_x[c])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _mix(tables, rows, weights, out):
    """Mix the transforms of the PSF at some nodes, all wavenumbers in one line."""
    out[:] = 0.0
    for k in range(rows.size):
        weight, source = weights[k], tables[rows[k]]
        if weight != 0.0:
            for c in range(out.size):
                out[c] += weight * source[c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _multiply(real, imag, by_re, by_im):
    """Multiply one row of complex numbers by another."""
    for c in range(real.size):
        re = real[c] * by_re[c] - imag[c] * by_im[c]
        imag[c] = real[c] * by_im[c] + imag[c] * by_re[c]
        real[c] = re


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _turn(real, imag, cos_x, sin_x, cos_y, sin_y):
    """Multiply a row by the waves along x and one number of the waves along y."""
    for c in range(real.size):
        by_re = cos_y * cos_x[c] - sin_y * sin_x[c]
        by_im = cos_y * sin_x[c] + sin_y * cos_x[c]
        re = real[c] * by_re - imag[c] * by_im
        imag[c] = real[c] * by_im + imag[c] * by_re
        real[c] = re


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _trail_row(ky_dy, dx_step, real, imag):
    """Multiply by the transform of a uniform line, ``sin(a) / a`` with ``a = k . trail / 2``."""
    for c in range(real.size):
        a = 0.5 * (ky_dy + c * dx_step)
        value = np.float32(1.0 - a * a / 6.0 if abs(a) < 1e-3 else np.sin(a) / a)
        real[c] *= value
        imag[c] *= value


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(real, imag, row, size, out):
    """Add a row of the half plane to the transform of the sampled stamp: what lies beyond Nyquist comes back."""
    middle = size // 2
    target = out[row % size]
    for c in range(min(middle, real.size)):
        target[c] += complex(real[c], imag[c])
    for c in range(middle, real.size):
        here, mirrored = c % size, -c % size
        if here <= middle:
            target[here] += complex(real[c], imag[c])
        if mirrored <= middle:
            out[-row % size, mirrored] += complex(real[c], -imag[c])


@njit(
    [
        void(
            _C64_3D_OUT, _F32_4D, I64_2D, F32_2D, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, I64_1D, I64_1D,
            F64_2D, I64_1D, F32_2D, F32_2D, F64, F64
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract"},
)  # fmt: skip
def light_spectra(
    out: NDArray[np.complex64],
    psf: NDArray[np.float32],
    psf_rows: NDArray[np.int64],
    psf_weights: NDArray[np.float32],
    flux: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    trail_x: NDArray[np.float64],
    trail_y: NDArray[np.float64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    parts: NDArray[np.float64],
    table_first: NDArray[np.int64],
    table_weight: NDArray[np.float32],
    table: NDArray[np.float32],
    steepness: float,
    cell: float,
) -> None:
    """Compute the half-plane transforms of stamps, ready for an inverse real FFT.

    The slow definition: with ``k = 2 pi (j, c) / size`` [rad/cell], ``out`` is the sum over all ``k`` of the PSF's
    table that fall on the same sample, of
    ``flux exp(-i k r) sinc(k t / 2) PSF(k) sum_p f_p exp(-i k r_p) F_n(kappa_p)``,
    with ``kappa_p**2 = k S_p k`` and ``sinc(a) = sin(a) / a``.

    Parameters
    ----------
    out : ndarray, complex64, shape (n, size, size // 2 + 1)
        Overwritten.
    psf : ndarray, float32, shape (m, 2, 2 h + 1, h + 1)
        Real and imaginary parts of the transforms of the PSF, pixel included, at wavenumbers from ``-h`` (rows) and 0
        (columns) to ``h``.
    psf_rows : ndarray, int64, shape (n, k)
        Rows of ``psf`` that are mixed for each stamp.
    psf_weights : ndarray, float32, shape (n, k)
        Their weights.
    flux : ndarray, float64, shape (n,)
        Integrals.
    x, y : ndarray, float64, shape (n,)
        Positions in the stamp [cells].
    trail_x, trail_y : ndarray, float64, shape (n,)
        Vectors from the beginning to the end of a uniform trail centred on the position [cells].
    first, last : ndarray, int64, shape (n,)
        Rows of ``parts`` from ``first`` to before ``last``; a point has none.
    parts : ndarray, float64, shape (p, 6)
        Flux fraction, offset x and y [px], and xx, yy and xy of the ellipse matrix S [px**2]: the half-light ellipse is
        ``r S**-1 r = 1``.
    table_first : ndarray, int64, shape (p,)
        First of the four rows of ``table`` that make up the profile of a part.
    table_weight : ndarray, float32, shape (p, 4)
        Their weights.
    table : ndarray, float32, shape (q, octaves * 64 + 1)
        Transforms of Sersic profiles over ``1 + steepness kappa**2``, at nodes evenly spaced in each octave.
    steepness : float
        See ``table``.
    cell : float
        Pixels per cell.
    """
    size = out.shape[1]
    rows, columns = psf.shape[2:]
    high, step = columns - 1, 2.0 * np.pi / size
    profile = np.empty(table.shape[1], np.float32)
    place, values = np.empty(columns, np.float32), np.empty(columns, np.float32)
    cos_x, sin_x = np.empty(columns, np.float32), np.empty(columns, np.float32)
    cos_y, sin_y = np.empty(rows, np.float32), np.empty(rows, np.float32)
    scratch = (profile, place, values, cos_x, sin_x, cos_y, sin_y)
    shape_re, shape_im = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    tables = psf.reshape(psf.shape[0], 2 * rows * columns)
    mixed = np.empty(2 * rows * columns, np.float32)
    light = mixed.reshape(2, rows, columns)
    for i in range(out.shape[0]):
        out[i] = 0.0
        shape_re[:] = 0.0
        shape_im[:] = 0.0
        for p in range(first[i], last[i]):
            row, weight = table_first[p], table_weight[p]
            _add_part(parts[p], table, steepness, row, weight, cell, step, scratch, shape_re, shape_im)
        _waves(x[i], step, 0, cos_x, sin_x)
        _waves(y[i], step, -high, cos_y, sin_y)
        _mix(tables, psf_rows[i], psf_weights[i], mixed)
        for row in range(rows):
            real, imag = light[0, row], light[1, row]
            re, im = np.float32(flux[i] * cos_y[row]), np.float32(flux[i] * sin_y[row])
            _turn(real, imag, cos_x, sin_x, re, im)
            if last[i] > first[i]:
                _multiply(real, imag, shape_re[row], shape_im[row])
            if trail_x[i] != 0.0 or trail_y[i] != 0.0:
                _trail_row((row - high) * step * trail_y[i], step * trail_x[i], real, imag)
            _fold(real, imag, row - high, size, out[i])


@njit(
    [void(types.Array(types.float32, 2, "C"), F32_3D, I64_1D, I64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def add_stamps(
    image: NDArray[np.float32], stamps: NDArray[np.float32], x: NDArray[np.int64], y: NDArray[np.int64]
) -> None:
    """Add square stamps to an image; what hangs over the edges is lost.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place.
    stamps : ndarray, float32, shape (n, size, size)
        Stamps.
    x, y : ndarray, int64, shape (n,)
        Image pixels of the stamps' first samples; may lie outside.
    """
    ny, nx = image.shape
    size = stamps.shape[1]
    for i in range(x.size):
        left, right = max(0, -x[i]), min(size, nx - x[i])
        for row in range(max(0, -y[i]), min(size, ny - y[i])):
            target, source = image[y[i] + row], stamps[i, row]
            for column in range(left, right):
                target[x[i] + column] += source[column]
