"""Resampling of an image, its variance and its mask by six taps per axis, on a coarse coordinate grid."""

from functools import cache

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import F32, F32_2D, F64_2D, I32, I32_2D, I64

TAPS = 6
"""Pixels per axis under the kernel."""

TABLE_STEPS = 1024
"""Sub-pixel phases at which the kernel is tabulated; in between it is interpolated linearly."""

STAR_FWHM = (2.0, 2.5, 3.5, 5.0, 8.0)
"""Widths of the stars on which the kernel errs least [px]."""

FLUX_WEIGHT, SHIFT_WEIGHT = 6.0, 20.0
"""What the squares of a relative error of PSF fluxes and of a shift in sigmas count, relative to that of the pixels."""

MAX_LOST_WEIGHT = 0.1
"""Sum of absolute weights that may fall on unusable pixels before the output pixel has no data."""

_OUT = types.Tuple((types.Array(F32, 2, "C"), types.Array(F32, 2, "C"), types.Array(I32, 2, "C")))


@cache
def kernel_table(steps: int = TABLE_STEPS) -> NDArray[np.float32]:
    """Tabulate the six weights that resample stars best and reproduce parabolas exactly.

    Slow definition: for Gaussian stars ``g`` of every width in `STAR_FWHM`, at all places relative to the pixels, the
    weights ``w_k`` of the pixels ``k`` at phase ``p`` minimise the sum of ``|sum_k w_k g(x - k) - g(x - p)|^2`` over
    ``|g|^2``, of `FLUX_WEIGHT` times the squared relative error of the least-squares flux and of `SHIFT_WEIGHT` times
    that of the position in sigmas, subject to ``sum w_k (k - p)^m = 0^m`` for m = 0, 1, 2. With ``r`` the
    autocorrelation of ``g`` the flux is ``sum w_k r(k - p)`` and the shift ``sum w_k (k - p) r(k - p)``: a linear
    system per phase. Without the first two constraints (Lanczos kernels, normalised) centroids shift by up to
    0.02 px; without the third the fluxes of wide stars depend on the phase.

    Parameters
    ----------
    steps : int
        Number of phase intervals in one pixel.

    Returns
    -------
    ndarray, float32, shape (steps + 1, 6)
        Weights of pixels ``i - 2 .. i + 3`` for the point ``i + phase``, phase = row / steps; read-only.
    """
    offset = np.arange(-2.0, 4.0) - np.linspace(0.0, 1.0, steps + 1)[:, None]
    lag = np.arange(6.0)[:, None] - np.arange(6.0)
    system, right = np.zeros((steps + 1, TAPS + 3, TAPS + 3)), np.zeros((steps + 1, TAPS + 3))
    for fwhm in STAR_FWHM:
        sigma = fwhm / 2.3548
        flux = np.exp(-((offset / (2.0 * sigma)) ** 2))
        shift = flux * offset / sigma
        system[:, :TAPS, :TAPS] += np.exp(-((lag / (2.0 * sigma)) ** 2))
        system[:, :TAPS, :TAPS] += FLUX_WEIGHT * flux[:, :, None] * flux[:, None, :]
        system[:, :TAPS, :TAPS] += SHIFT_WEIGHT * shift[:, :, None] * shift[:, None, :]
        right[:, :TAPS] += (1.0 + FLUX_WEIGHT) * flux
    powers = np.stack([offset**0, offset, offset**2], axis=1)
    system[:, TAPS:, :TAPS], system[:, :TAPS, TAPS:] = powers, powers.transpose(0, 2, 1)
    right[:, TAPS] = 1.0
    weights = np.linalg.solve(system, right[:, :, None])[:, :TAPS, 0]
    table = np.ascontiguousarray(weights, dtype=np.float32)
    table.flags.writeable = False
    return table


@njit(inline="always")
def _row_sum(array, r, c, weights):
    """Return the sum of six neighbours in a row times their weights."""
    w0, w1, w2, w3, w4, w5 = weights
    left = w0 * array[r, c] + w1 * array[r, c + 1] + w2 * array[r, c + 2]
    return left + (w3 * array[r, c + 3] + w4 * array[r, c + 4] + w5 * array[r, c + 5])


@njit(inline="always")
def _weighted_sum(array, r, c, wy, wx):
    """Return the sum of a 6x6 neighbourhood times separable weights."""
    upper = wy[0] * _row_sum(array, r, c, wx) + wy[1] * _row_sum(array, r + 1, c, wx)
    middle = wy[2] * _row_sum(array, r + 2, c, wx) + wy[3] * _row_sum(array, r + 3, c, wx)
    return upper + middle + (wy[4] * _row_sum(array, r + 4, c, wx) + wy[5] * _row_sum(array, r + 5, c, wx))


@njit(inline="always")
def _row_or(mask, r, c):
    """Return the union of six neighbours' mask bits in a row."""
    left = mask[r, c] | mask[r, c + 1] | mask[r, c + 2]
    return left | mask[r, c + 3] | mask[r, c + 4] | mask[r, c + 5]


@njit(inline="always")
def _window_or(mask, r, c):
    """Return the union of a 6x6 neighbourhood's mask bits."""
    upper = _row_or(mask, r, c) | _row_or(mask, r + 1, c) | _row_or(mask, r + 2, c)
    return upper | _row_or(mask, r + 3, c) | _row_or(mask, r + 4, c) | _row_or(mask, r + 5, c)


@njit(inline="always")
def _phase_weights(table, phase):
    """Interpolate the kernel table at one sub-pixel phase in [0, 1)."""
    scaled = phase * (table.shape[0] - 1)
    k = int(scaled) & 0xFFFF  # the mask proves to the compiler that the index is not negative
    f = np.float32(scaled - k)
    g = np.float32(1.0) - f
    return (
        g * table[k, 0] + f * table[k + 1, 0],
        g * table[k, 1] + f * table[k + 1, 1],
        g * table[k, 2] + f * table[k + 1, 2],
        g * table[k, 3] + f * table[k + 1, 3],
        g * table[k, 4] + f * table[k + 1, 4],
        g * table[k, 5] + f * table[k + 1, 5],
    )


@njit(inline="always")
def _squares(w):
    """Square six weights."""
    return (w[0] * w[0], w[1] * w[1], w[2] * w[2], w[3] * w[3], w[4] * w[4], w[5] * w[5])


@njit(
    types.Tuple((F32, F32, I32))(
        F32_2D, F32_2D, I32_2D, I64, I64, types.UniTuple(F32, 6), types.UniTuple(F32, 6), I32, I32, F32
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _guarded_pixel(image, variance, mask, r, c, wy, wx, exclude, no_data, significant):
    """Resample one pixel near masked pixels or the border: leave out what must not be used."""
    ny, nx = image.shape
    value = np.float32(0.0)
    noise = np.float32(0.0)
    weight = np.float32(0.0)
    lost = np.float32(0.0)
    bits = np.int32(0)
    for j in range(TAPS):
        for i in range(TAPS):
            w = wy[j] * wx[i]
            inside = 0 <= r + j < ny and 0 <= c + i < nx
            if not inside or mask[r + j, c + i] & exclude:
                lost += abs(w)
                continue
            value += w * image[r + j, c + i]
            noise += w * w * variance[r + j, c + i]
            weight += w
            if abs(w) > significant:
                bits |= mask[r + j, c + i]
    if lost > MAX_LOST_WEIGHT or weight <= 0.0:
        return np.float32(np.nan), np.float32(np.nan), no_data
    return value / weight, noise / (weight * weight), bits


@njit(
    _OUT(F32_2D, F32_2D, I32_2D, F64_2D, F64_2D, F64_2D, I64, I64, I64, F32_2D, I32, I32, F32),
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract"},
)
def warp_separable(image, variance, mask, grid_x, grid_y, area, step, ny, nx, table, exclude, no_data, significant):
    """Resample image, variance and mask with a 6x6 separable kernel.

    Slow definition: output pixel ``(y, x)`` lies at source pixel ``(xs, ys)``, bilinear in the grid;
    with weights ``w_k`` of the table at the fractional parts of ``xs, ys`` its value is
    ``A sum w_k I_k / sum w_k``, its variance ``A^2 sum w_k^2 V_k / (sum w_k)^2`` over the usable taps
    and its mask the union of the taps with ``|w_k| > significant``. ``A`` is the interpolated area.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (sy, sx)
        Source planes, any flux unit and its square.
    mask : ndarray, int32, shape (sy, sx)
        Source mask bits.
    grid_x, grid_y : ndarray, float64, shape (gy, gx)
        Source pixel of output pixels ``(j * step, i * step)``; the grid must reach past the output.
    area : ndarray, float64, shape (gy, gx)
        Area of an output pixel in source pixels at the same nodes.
    step : int
        Grid spacing [output px].
    ny, nx : int
        Output shape [px].
    table : ndarray, float32, shape (n + 1, 6)
        Kernel weights by phase, see `kernel_table`.
    exclude : int
        Mask bits of source pixels that must not be used.
    no_data : int
        Mask bits given to output pixels without value.
    significant : float
        Weight above which a tap passes its mask bits on.

    Returns
    -------
    image, variance : ndarray, float32, shape (ny, nx)
        NaN where unusable taps carry more than `MAX_LOST_WEIGHT`.
    mask : ndarray, int32, shape (ny, nx)
    """
    sy, sx = image.shape
    out = np.empty((ny, nx), np.float32)
    out_variance = np.empty((ny, nx), np.float32)
    out_mask = np.zeros((ny, nx), np.int32)
    for y in range(ny):
        j = y // step
        fy = (y - j * step) / step
        for i in range((nx + step - 1) // step):
            x0 = grid_x[j, i] + fy * (grid_x[j + 1, i] - grid_x[j, i])
            x1 = grid_x[j, i + 1] + fy * (grid_x[j + 1, i + 1] - grid_x[j, i + 1])
            y0 = grid_y[j, i] + fy * (grid_y[j + 1, i] - grid_y[j, i])
            y1 = grid_y[j, i + 1] + fy * (grid_y[j + 1, i + 1] - grid_y[j, i + 1])
            a0 = area[j, i] + fy * (area[j + 1, i] - area[j, i])
            a1 = area[j, i + 1] + fy * (area[j + 1, i + 1] - area[j, i + 1])
            for x in range(i * step, min(nx, (i + 1) * step)):
                fx = (x - i * step) / step
                xs = x0 + fx * (x1 - x0)
                ys = y0 + fx * (y1 - y0)
                if not (-3.0 < xs < sx + 3.0 and -3.0 < ys < sy + 3.0):
                    out[y, x] = out_variance[y, x] = np.nan
                    out_mask[y, x] = no_data
                    continue
                scale = np.float32(a0 + fx * (a1 - a0))
                c = int(np.floor(xs)) - 2
                r = int(np.floor(ys)) - 2
                wx = _phase_weights(table, xs - (c + 2))
                wy = _phase_weights(table, ys - (r + 2))
                guarded = r < 0 or c < 0 or r + TAPS > sy or c + TAPS > sx
                if not guarded:
                    r = r & 0xFFFFFF
                    c = c & 0xFFFFFF
                    guarded = _window_or(mask, r, c) != 0
                if guarded:
                    value, noise, bits = _guarded_pixel(
                        image, variance, mask, r, c, wy, wx, exclude, no_data, significant
                    )
                    out_mask[y, x] = bits
                else:
                    value = _weighted_sum(image, r, c, wy, wx)
                    noise = _weighted_sum(variance, r, c, _squares(wy), _squares(wx))
                out[y, x] = scale * value
                out_variance[y, x] = scale * scale * noise
    return out, out_variance, out_mask


@njit(inline="always")
def _overlap(table, first, second, lag):
    """Return ``sum_k w_first(k) w_second(k + lag)`` for the kernels at two positions on one axis."""
    i = int(np.floor(first))
    k = int(np.floor(second))
    total = 0.0
    if abs(i - k + lag) < TAPS:
        a = _phase_weights(table, first - i)
        b = _phase_weights(table, second - k)
        for tap in range(TAPS):
            other = tap + i - k + lag
            if 0 <= other < TAPS:
                total += a[tap] * b[other]
    return total


@njit(
    [types.Array(types.float64, 2, "C")(F64_2D, F64_2D, F64_2D, F32_2D, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def warp_noise_covariance(corners_x, corners_y, source, table, half):
    """Average the covariance of resampled noise over sampled output pixels.

    Slow definition: for output pixels ``p`` and ``p + d`` the covariance is
    ``sum_kl w_p(k) w_{p+d}(l) rho(l - k)`` over source pixels ``k``, ``l`` of unit variance; this is its
    mean over the sampled ``p`` with a locally affine mapping.

    Parameters
    ----------
    corners_x, corners_y : ndarray, float64, shape (n, 3)
        Source pixel of ``p``, of ``p`` + one output pixel in x, and of ``p`` + one in y.
    source : ndarray, float64, shape (m, m)
        Noise autocorrelation of the source, m odd; ``[[1.0]]`` for white noise.
    table : ndarray, float32, shape (steps + 1, 6)
        Kernel weights by phase.
    half : int
        Largest offset ``d`` in x and y [px].

    Returns
    -------
    ndarray, float64, shape (2 * half + 1, 2 * half + 1)
        Covariance at offset ``(dy, dx)``; the middle is the variance.
    """
    covariance = np.zeros((2 * half + 1, 2 * half + 1))
    reach = source.shape[0] // 2
    along_x = np.empty(source.shape[1])
    for p in range(corners_x.shape[0]):
        x, y = corners_x[p, 0], corners_y[p, 0]
        for dy in range(-half, half + 1):
            for dx in range(-half, half + 1):
                other_x = x + dx * (corners_x[p, 1] - x) + dy * (corners_x[p, 2] - x)
                other_y = y + dx * (corners_y[p, 1] - y) + dy * (corners_y[p, 2] - y)
                for i in range(source.shape[1]):
                    along_x[i] = _overlap(table, x, other_x, i - reach)
                for j in range(source.shape[0]):
                    along_y = _overlap(table, y, other_y, j - reach)
                    for i in range(source.shape[1]):
                        covariance[dy + half, dx + half] += source[j, i] * along_y * along_x[i]
    return covariance / corners_x.shape[0]
