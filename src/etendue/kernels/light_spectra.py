"""Fourier transforms of what shines on a detector: a PSF times a sum of Sersic profiles times a trail."""

import numpy as np
from numba import njit, types, void
from numpy.typing import NDArray

from etendue.kernels.types import F32_2D, F32_3D, F64, F64_1D, F64_2D, I64_1D, I64_2D

_F32_4D = types.Array(types.float32, 4, "C", readonly=True)
_C64_3D_OUT = types.Array(types.complex64, 3, "C")
_ONE = 0x3F800000  # bits of 1.0 in float32
_SHIFT = 17  # leaves 64 nodes per octave
_POINT = 1e-8  # kappa**2 below which a part is a point
EXPONENTIAL = -1
"""Instead of a row of the table: an exponential disk, which needs none."""


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
def _places(sxx, syy, sxy, highest, place):
    """Fill ``1 + k S k`` over the half plane of ``place``, (rows, columns), at most ``highest``."""
    high = place.shape[1] - 1
    for row in range(place.shape[0]):
        ky, line = np.float32(row - high), place[row]
        start, slope = np.float32(1.0) + syy * ky * ky, np.float32(2.0) * sxy * ky
        for c in range(line.size):
            kx = np.float32(c)
            line[c] = min(highest, max(np.float32(1.0), start + kx * (slope + kx * sxx)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _look_up(profile, place, out):
    """Look a profile up linearly between its nodes.

    The bits of a float32 are the node (exponent and first 6 bits of the mantissa) and the place after it. Indices are
    unsigned, which leaves out a test of their sign.
    """
    bits, scale = place.view(np.int32), np.float32(1.0 / (1 << _SHIFT))
    for i in range(out.size):
        from_one = np.int32(bits[i] - np.int32(_ONE))
        node = np.uint32(from_one) >> np.uint32(_SHIFT)
        before = profile[node]
        part = np.float32(from_one & np.int32((1 << _SHIFT) - 1)) * scale
        out[i] = before + part * (profile[node + np.uint32(1)] - before)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _exponential(place, out):
    """Fill ``place**-1.5``, the transform of an exponential disk."""
    for i in range(out.size):
        root = np.float32(1.0) / np.sqrt(place[i])
        out[i] = root * root * root


@njit(cache=True, nogil=True, error_model="numpy")
def _waves(offset, step, height, waves):
    """Fill the real and imaginary parts of ``height exp(-i j step offset)``, j from 0, by turning on."""
    turn_re, turn_im = np.cos(step * offset), -np.sin(step * offset)
    re, im = height, 0.0
    for j in range(waves.shape[1]):
        waves[0, j], waves[1, j] = re, im
        re, im = re * turn_re - im * turn_im, re * turn_im + im * turn_re


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _fill_part(part, table, steepness, first, weight, cell, step, profile, place, out):
    """Fill the transform of one Sersic part, a row of ``parts`` [px], about its own centre."""
    slope = weight[0] if first == EXPONENTIAL else steepness
    scale = slope * step * step / cell**2
    sxx, syy, sxy = scale * part[3], scale * part[4], scale * part[5]
    largest = (sxx + syy + 2.0 * abs(sxy)) * (place.shape[1] - 1) ** 2
    if largest < _POINT * slope:
        out[:] = 1.0
        return
    limit = np.empty(1, np.float32)
    limit[0] = np.inf
    if first != EXPONENTIAL:
        last = _blend(table, first, weight, np.float32(1.0 + largest), profile)
        limit.view(np.int32)[0] = (last << _SHIFT) + _ONE - 1
    _places(np.float32(sxx), np.float32(syy), np.float32(sxy), limit[0], place)
    if first == EXPONENTIAL:
        _exponential(place.reshape(place.size), out)
    else:
        _look_up(profile, place.reshape(place.size), out)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_scaled(values, flux, out):
    """Add one plane times a number to another."""
    for i in range(out.size):
        out[i] += flux * values[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_moved(values, along_x, along_y, shape):
    """Add a plane times the waves of both axes to a complex one, (2, rows, columns)."""
    high = values.shape[1] - 1
    for row in range(values.shape[0]):
        up = row - high
        re, im = along_y[0, abs(up)], along_y[1, abs(up)] * np.float32(1 if up >= 0 else -1)
        for c in range(high + 1):
            shape[0, row, c] += values[row, c] * (re * along_x[0, c] - im * along_x[1, c])
            shape[1, row, c] += values[row, c] * (re * along_x[1, c] + im * along_x[0, c])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _mix(tables, rows, weights, out):
    """Mix the transforms of the PSF at some nodes, all wavenumbers in one line, four at a time."""
    used = np.flatnonzero(weights)
    count = (used.size + 3) // 4 * 4
    row, weight = np.full(count, rows[used[0]]), np.zeros(count, np.float32)
    row[: used.size], weight[: used.size] = rows[used], weights[used]
    for k in range(0, count, 4):
        a, b, c, d = tables[row[k]], tables[row[k + 1]], tables[row[k + 2]], tables[row[k + 3]]
        w_a, w_b, w_c, w_d = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        if k == 0:
            for i in range(out.size):
                out[i] = w_a * a[i] + w_b * b[i] + w_c * c[i] + w_d * d[i]
        else:
            for i in range(out.size):
                out[i] += w_a * a[i] + w_b * b[i] + w_c * c[i] + w_d * d[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _scale(light, by):
    """Multiply real and imaginary parts, (2, m), by one real plane."""
    real, imag = light[0], light[1]
    for i in range(by.size):
        real[i] *= by[i]
        imag[i] *= by[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _multiply(light, by):
    """Multiply one complex plane, (2, m), by another."""
    real, imag = light[0], light[1]
    by_re, by_im = by[0], by[1]
    for i in range(real.size):
        re = real[i] * by_re[i] - imag[i] * by_im[i]
        imag[i] = real[i] * by_im[i] + imag[i] * by_re[i]
        real[i] = re


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _multiply_shape(light, parts, table_first, table_weight, table, steepness, cell, step, scratch):
    """Multiply a transform, (2, rows, columns), by that of a sum of Sersic parts."""
    profile, place, values, shape, along_x, along_y = scratch
    size, centred = values.size, True
    shape[:] = 0.0
    for p in range(parts.shape[0]):
        _fill_part(parts[p], table, steepness, table_first[p], table_weight[p], cell, step, profile, place, values)
        if parts[p, 1] == 0.0 and parts[p, 2] == 0.0:
            _add_scaled(values, np.float32(parts[p, 0]), shape[0].reshape(size))
        else:
            centred = False
            _waves(parts[p, 1] / cell, step, parts[p, 0], along_x)
            _waves(parts[p, 2] / cell, step, 1.0, along_y)
            _add_moved(values.reshape(place.shape), along_x, along_y, shape)
    if centred:
        _scale(light.reshape(2, size), shape[0].reshape(size))
    else:
        _multiply(light.reshape(2, size), shape.reshape(2, size))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _smear(light, trail_x, trail_y, step):
    """Multiply by the transform of a uniform line, ``sin(a) / a`` with ``a = k . trail / 2``."""
    high = light.shape[2] - 1
    for row in range(light.shape[1]):
        for c in range(high + 1):
            a = 0.5 * step * ((row - high) * trail_y + c * trail_x)
            value = np.float32(1.0 - a * a / 6.0 if abs(a) < 1e-3 else np.sin(a) / a)
            light[0, row, c] *= value
            light[1, row, c] *= value


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _fold_rows(light, along_x, along_y, size, out):
    """Add the half plane, turned by the waves of both axes, to the stamp's, as far as Nyquist's wavenumber along x."""
    high = light.shape[2] - 1
    cos_x, sin_x = along_x[0], along_x[1]  # unpacking would forget that they are contiguous
    for row in range(light.shape[1]):
        up = row - high
        cos_y, sin_y = along_y[0, abs(up)], along_y[1, abs(up)] * np.float32(1 if up >= 0 else -1)
        real, imag, target = light[0, row], light[1, row], out[up % size]
        for c in range(min(size // 2, high + 1)):
            by_re = cos_y * cos_x[c] - sin_y * sin_x[c]
            by_im = cos_y * sin_x[c] + sin_y * cos_x[c]
            target[c] += complex(real[c] * by_re - imag[c] * by_im, real[c] * by_im + imag[c] * by_re)


@njit(cache=True, nogil=True, error_model="numpy")
def _fold_columns(light, along_x, along_y, size, out):
    """Add what `_fold_rows` leaves: columns from Nyquist's wavenumber on, which come back."""
    middle, high = size // 2, light.shape[2] - 1
    for c in range(middle, high + 1):
        here, mirrored = c % size, -c % size
        wave_x = complex(along_x[0, c], along_x[1, c])
        for row in range(2 * high + 1):
            up = row - high
            wave_y = complex(along_y[0, abs(up)], along_y[1, abs(up)] * np.float32(1 if up >= 0 else -1))
            value = complex(light[0, row, c], light[1, row, c]) * wave_x * wave_y
            if here <= middle:
                out[up % size, here] += value
            if mirrored <= middle:
                out[-up % size, mirrored] += value.conjugate()


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
        First of the four rows of ``table`` that make up the profile of a part, or `EXPONENTIAL`.
    table_weight : ndarray, float32, shape (p, 4)
        Their weights; of an exponential the first is the factor of kappa**2 in ``(1 + a kappa**2)**-1.5``.
    table : ndarray, float32, shape (q, octaves * 64 + 1)
        Transforms of Sersic profiles over ``1 + steepness kappa**2``, at nodes evenly spaced in each octave.
    steepness : float
        See ``table``.
    cell : float
        Pixels per cell.
    """
    size = out.shape[1]
    rows, columns = psf.shape[2:]
    step = 2.0 * np.pi / size
    scratch = (
        np.empty(table.shape[1], np.float32),
        np.empty((rows, columns), np.float32),
        np.empty(rows * columns, np.float32),
        np.empty((2, rows, columns), np.float32),
        np.empty((2, columns), np.float32),
        np.empty((2, columns), np.float32),
    )
    along_x, along_y = np.empty((2, columns), np.float32), np.empty((2, columns), np.float32)
    tables = psf.reshape(psf.shape[0], 2 * rows * columns)
    light = np.empty((2, rows, columns), np.float32)
    for i in range(out.shape[0]):
        out[i] = 0.0
        _mix(tables, psf_rows[i], psf_weights[i], light.reshape(light.size))
        if last[i] > first[i]:
            of = slice(first[i], last[i])
            _multiply_shape(light, parts[of], table_first[of], table_weight[of], table, steepness, cell, step, scratch)
        if trail_x[i] != 0.0 or trail_y[i] != 0.0:
            _smear(light, trail_x[i], trail_y[i], step)
        _waves(x[i], step, flux[i], along_x)
        _waves(y[i], step, 1.0, along_y)
        _fold_rows(light, along_x, along_y, size, out[i])
        _fold_columns(light, along_x, along_y, size, out[i])


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
        if left >= right:
            continue
        for row in range(max(0, -y[i]), min(size, ny - y[i])):
            target, source = image[y[i] + row, x[i] + left : x[i] + right], stamps[i, row, left:right]
            for column in range(target.size):
                target[column] += source[column]
