"""Significance of point sources at every pixel: a matched filter in separable parts, tile by tile, on plain arrays."""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import F32, F32_1D, F32_2D, F32_2D_OUT, F32_3D, F64_2D, I32, I32_2D, I64

TILE = 128  # px; a tile with its sums fits the second-level cache
_UNLIKE = np.float32(0.05)  # weights of a tile that differ by less: each pixel's own stands for those around it
_HUGE = np.float32(3e38)
_COVERED = np.float32(0.1)  # least share of the filter's square on usable pixels
_FLAT = types.Array(types.float32, 1, "C")


class FilterBank(NamedTuple):
    """Filters of the patches of an image, each a sum of products of a column and a row."""

    columns: NDArray[np.float32]  # (n_patches, rank, k)
    rows: NDArray[np.float32]  # (n_patches, rank, k)
    patch: int  # side of the patches [px], a multiple of TILE
    across: int  # patches along a row of the image

    def kernels(self) -> NDArray[np.float32]:
        """Return the filters as squares, shape (n_patches, k, k)."""
        return np.asarray(np.einsum("nrj,nri->nji", self.columns, self.rows))


def filter_bank(stamps: NDArray[np.float64], patch: int, across: int, loss: float) -> FilterBank:
    """Make the cheapest filters that lose at most a given share of the S/N.

    A filter f in place of the PSF p keeps ``(f . p) / (|f| |p|)`` of the S/N of white noise. The PSF's edge is cut, and
    of its singular value decomposition the leading terms are kept; each may cost half of the loss.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n_patches, size, size)
        PSF at the patches, centred on the middle pixel.
    patch, across : int
        Side of the patches [px] and their number along a row of the image.
    loss : float
        Share of the S/N that may be lost.

    Returns
    -------
    FilterBank
        Of equal size and rank for all patches.
    """
    middle = stamps.shape[1] // 2
    ring = np.maximum(*np.abs(np.indices(stamps.shape[1:]) - middle))
    power = np.stack([np.bincount(ring.ravel(), stamp.ravel() ** 2) for stamp in stamps])
    inside = np.cumsum(power, axis=1) / power.sum(axis=1, keepdims=True)
    half = max(1, int(np.argmax((inside >= 1.0 - loss).all(axis=0))))
    core = stamps[:, middle - half : middle + half + 1, middle - half : middle + half + 1]
    left, values, right = np.linalg.svd(core)
    kept = np.cumsum(values**2, axis=1) / np.sum(values**2, axis=1, keepdims=True)
    rank = 1 + int(np.argmax((kept >= 1.0 - loss).all(axis=0)))
    columns = np.swapaxes(left[:, :, :rank] * values[:, None, :rank], 1, 2)
    return FilterBank(
        np.ascontiguousarray(columns, np.float32), np.ascontiguousarray(right[:, :rank], np.float32), patch, across
    )


@njit(inline="always")
def _add_taps(total, source, start, stride, taps, n):
    """Add ``sum_i taps[i] source[start + i stride + x]`` to the first ``n`` of ``total``, eight taps at a time."""
    k, i = taps.size, 0
    while i + 8 <= k:
        a, b, c, d = taps[i], taps[i + 1], taps[i + 2], taps[i + 3]
        e, f, g, h = taps[i + 4], taps[i + 5], taps[i + 6], taps[i + 7]
        s0, s1 = source[start + i * stride :], source[start + (i + 1) * stride :]
        s2, s3 = source[start + (i + 2) * stride :], source[start + (i + 3) * stride :]
        s4, s5 = source[start + (i + 4) * stride :], source[start + (i + 5) * stride :]
        s6, s7 = source[start + (i + 6) * stride :], source[start + (i + 7) * stride :]
        for x in range(n):
            near = total[x] + a * s0[x] + b * s1[x] + c * s2[x] + d * s3[x]
            total[x] = near + e * s4[x] + f * s5[x] + g * s6[x] + h * s7[x]
        i += 8
    while i + 2 <= k:
        a, b = taps[i], taps[i + 1]
        s0, s1 = source[start + i * stride :], source[start + (i + 1) * stride :]
        for x in range(n):
            total[x] += a * s0[x] + b * s1[x]
        i += 2
    if i < k:
        a, s0 = taps[i], source[start + i * stride :]
        for x in range(n):
            total[x] += a * s0[x]


@njit(
    [types.void(_FLAT, I64, I64, F32_1D, F32_1D, _FLAT, _FLAT)],
    cache=True, nogil=True, error_model="numpy", fastmath={"contract"},
)  # fmt: skip
def _add_product(source, height, width, column, row, line, total):
    """Add the correlation of a tile with the product of a column and a row; ``total`` is (height, width)."""
    k = row.size
    wide = width + k - 1
    for y in range(height + k - 1):
        part = line[y * width : (y + 1) * width]
        part[:] = np.float32(0.0)
        _add_taps(part, source, y * wide, 1, row, width)
    for y in range(height):
        _add_taps(total[y * width : (y + 1) * width], line, y * width, width, column, width)


@njit(inline="always")
def _sky_line(cells, cell, y, x0, n, sky):
    """Interpolate cell values bilinearly along a row; constant beyond the outermost centres."""
    rows, cols = cells.shape
    v = min(max((y - 0.5 * (cell - 1)) / cell, 0.0), rows - 1.0)
    j = min(int(v), max(rows - 2, 0))
    below, part = min(j + 1, rows - 1), v - j
    x = 0
    while x < n:
        u = min(max((x0 + x - 0.5 * (cell - 1)) / cell, 0.0), cols - 1.0)
        i = min(int(u), max(cols - 2, 0))
        near = cells[j, i] + part * (cells[below, i] - cells[j, i])
        i1 = min(i + 1, cols - 1)
        far = cells[j, i1] + part * (cells[below, i1] - cells[j, i1])
        # Up to the next centre the sky is a straight line.
        stop = min(n, max(x + 1, int(np.ceil((i + 1) * cell + 0.5 * (cell - 1))) - x0))
        inside = 0.0 < u < cols - 1.0
        step = (far - near) / cell if inside else 0.0
        first = near + (u - i) * (far - near)
        if not inside:
            stop = min(n, max(x + 1, int(np.ceil(0.5 * (cell - 1))) - x0)) if u == 0.0 else n
        for p in range(x, stop):
            sky[p] = np.float32(first + step * (p - x))
        x = stop


@njit(inline="always")
def _load(image, variance, mask, bits, cells, cell, slope, y0, x0, height, width, weighted, weight, sky):
    """Fill a tile with the weighted pixels and the weights, zero where unusable; tell whether the weights are alike."""
    ny, nx = image.shape
    outside = y0 < 0 or x0 < 0 or y0 + height > ny or x0 + width > nx
    if outside:
        weighted[: height * width] = np.float32(0.0)
        weight[: height * width] = np.float32(0.0)
    first, last = max(x0, 0), min(x0 + width, nx)
    n, unlike = last - first, 0
    low = high = np.float32(0.0)
    for y in range(max(y0, 0), min(y0 + height, ny)):
        if cell > 0:
            _sky_line(cells, cell, y, first, n, sky)
        start = (y - y0) * width + first - x0
        line_weighted, line_weight = weighted[start : start + n], weight[start : start + n]
        line_image, line_variance, line_mask = image[y, first:last], variance[y, first:last], mask[y, first:last]
        for x in range(n):
            value, v = line_image[x] - sky[x], line_variance[x]
            v = min(max(v - slope * value, np.float32(0.01) * v), np.float32(4.0) * v)
            usable = (line_mask[x] & bits) == 0 and v > np.float32(0.0) and v < _HUGE and abs(value) < _HUGE
            w = np.float32(1.0) / v if usable else np.float32(0.0)
            line_weight[x] = w
            line_weighted[x] = value * w if usable else np.float32(0.0)
        if high == np.float32(0.0):
            low, high = line_weight[n // 2] * (np.float32(1.0) - _UNLIKE), line_weight[n // 2] * (F32(1.0) + _UNLIKE)
        for x in range(n):
            w, signal = line_weight[x], line_weighted[x]
            # In the core of a bright source, of ten times the noise and more, the variance need not be as exact.
            core = signal * signal > np.float32(100.0) * w and F32(0.5) * low <= w <= F32(2.0) * high
            unlike += 0 if low <= w <= high or core else 1
    return not outside and high > np.float32(0.0) and unlike == 0


@njit(
    [types.void(_FLAT, I64, I64, types.Array(types.float32, 2, "C", readonly=True),
                types.Array(types.float32, 2, "C", readonly=True), _FLAT, _FLAT, _FLAT, _FLAT)],
    cache=True, nogil=True, error_model="numpy", fastmath={"contract"},
)  # fmt: skip
def _add_squares(weight, height, width, columns, rows, line, good, square, covered):
    """Sum weights and usable pixels under the filter's square, which is a sum of products too."""
    square[: height * width] = np.float32(0.0)
    covered[: height * width] = np.float32(0.0)
    for i in range(weight.size):
        good[i] = np.float32(1.0) if weight[i] > np.float32(0.0) else np.float32(0.0)
    for r in range(columns.shape[0]):
        for s in range(r + 1):
            twice = np.float32(1.0) if r == s else np.float32(2.0)
            column, row = columns[r] * columns[s] * twice, rows[r] * rows[s]
            _add_product(weight, height, width, column, row, line, square)
            _add_product(good, height, width, column, row, line, covered)


@njit(
    [types.void(F32_2D, F32_2D, I32_2D, I32, F64_2D, I64, F32, F32_3D, F32_3D, F32_1D, I64, I64, I64, F32_2D_OUT)],
    cache=True, nogil=True, error_model="numpy", fastmath={"contract"},
)  # fmt: skip
def significance_map(image, variance, mask, bits, cells, cell, slope, columns, rows, scatter, patch, across, top, out):
    """Compute the significance of a point source centred on every pixel.

    ``sum(f I / V) / sqrt(sum(f^2 / V)) / scatter`` over the usable pixels under the filter f: the S/N of a flux with
    the PSF f. V is the variance without the photon noise of what stands above the sky, ``V - slope I`` (between 0.01 V
    and 4 V): the noise of a source must not weigh down its own core. Where V is the same to 5% over a tile (but for
    the cores of bright sources) and no pixel is missing, the pixel's own V stands for all under the filter.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Image and its variance plane.
    mask : ndarray, int32, shape (ny, nx)
        Mask; pixels with any of ``bits``, without finite value or positive variance carry no weight.
    bits : int
        Bits of unusable pixels.
    cells : ndarray, float64, shape (rows, cols)
        Local sky at the centres of cells, subtracted first (bilinear); unused if ``cell`` is 0.
    cell : int
        Cell side [px], or 0.
    slope : float
        Rise of the variance with the pixel value.
    columns, rows : ndarray, float32, shape (n_patches, rank, k)
        Filters, as in `FilterBank`.
    scatter : ndarray, float32, shape (n_patches,)
        Noise of the filtered image over that of independent pixels.
    patch, across : int
        As in `FilterBank`; a tile takes the filter of the patch that holds the middle of its first column.
    top : int
        First row wanted.
    out : ndarray, float32, shape (n_rows, nx)
        Output: the significance of the rows from ``top`` on, 0 where less than a tenth of the filter's square is
        covered.
    """
    nx, last = image.shape[1], top + out.shape[0]
    k = columns.shape[2]
    half, wide = k // 2, TILE + k - 1
    weighted, weight, good = np.empty(wide * wide, F32), np.empty(wide * wide, F32), np.empty(wide * wide, F32)
    line, total = np.empty(wide * TILE, F32), np.empty(TILE * TILE, F32)
    square, covered, sky = np.empty(TILE * TILE, F32), np.empty(TILE * TILE, F32), np.zeros(wide, F32)
    for y0 in range(top, last, TILE):
        for x0 in range(0, nx, TILE):
            height, width = min(TILE, last - y0), min(TILE, nx - x0)
            tall, broad = height + k - 1, width + k - 1
            smooth = _load(
                image, variance, mask, bits, cells, cell, slope, y0 - half, x0 - half, tall, broad,
                weighted, weight, sky,
            )  # fmt: skip
            p = ((y0 + height // 2) // patch) * across + x0 // patch
            total[: height * width] = np.float32(0.0)
            norm = np.float32(0.0)
            for r in range(columns.shape[1]):
                _add_product(weighted, height, width, columns[p, r], rows[p, r], line, total)
                for s in range(columns.shape[1]):
                    norm += np.dot(columns[p, r], columns[p, s]) * np.dot(rows[p, r], rows[p, s])
            if not smooth:
                _add_squares(weight[: tall * broad], height, width, columns[p], rows[p], line, good, square, covered)
            least = _COVERED * norm
            for y in range(height):
                sums = total[y * width : (y + 1) * width]
                if smooth:
                    middle = weight[(y + half) * broad + half : (y + half) * broad + half + width]
                    for x in range(width):
                        out[y0 - top + y, x0 + x] = sums[x] / (np.sqrt(norm * middle[x]) * scatter[p])
                else:
                    for x in range(width):
                        i = y * width + x
                        enough = covered[i] > least and square[i] > np.float32(0.0)
                        out[y0 - top + y, x0 + x] = sums[x] / (np.sqrt(square[i]) * scatter[p]) if enough else F32(0.0)
