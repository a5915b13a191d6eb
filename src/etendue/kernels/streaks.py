"""Straight trails: significance in cells, sums along all lines, a strip along one line.

Sums along all lines are the fast Radon transform (Brady 1998, SIAM J. Comput. 27, 107; for trails Nir, Zackay & Ofek
2018, AJ 156, 229): lines through blocks of rows are sums of lines through their halves, so every intermediate result
holds the segments of that length.
"""

import numpy as np
from numba import njit, types, void

from etendue.kernels.types import BOOL_2D, BOOL_2D_OUT, F32_2D, F32_2D_OUT, F64, F64_2D_OUT, I64

_F32_ANY = types.Array(types.float32, 2, "A", readonly=True)  # also a transposed image
_BOOL_ANY = types.Array(types.boolean, 2, "A", readonly=True)


@njit([void(F32_2D, F32_2D, BOOL_2D, I64, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def bin_significance(image, variance, bad, size, out):
    """Sum square cells of good pixels over their noise.

    Slow definition: for every cell ``sum(image) / sqrt(sum(variance))`` over its pixels that are neither bad nor
    NaN; NaN where fewer than half of them are left.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Image, of any sky, and its variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that are left out.
    size : int
        Side of a cell [px].
    out : ndarray, float32, shape (ny // size, nx // size)
        Filled; the rest of the last rows and columns is not used.
    """
    rows, columns = out.shape
    total, noise, count = np.empty(columns), np.empty(columns), np.empty(columns, np.int64)
    for row in range(rows):
        total[:], noise[:], count[:] = 0.0, 0.0, 0
        for y in range(row * size, (row + 1) * size):
            for cell in range(columns):
                for x in range(cell * size, (cell + 1) * size):
                    if not bad[y, x] and image[y, x] == image[y, x] and variance[y, x] > 0.0:
                        total[cell] += image[y, x]
                        noise[cell] += variance[y, x]
                        count[cell] += 1
        for cell in range(columns):
            enough = 2 * count[cell] >= size * size
            out[row, cell] = total[cell] / np.sqrt(noise[cell]) if enough else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _join(sums, joined, height):
    """Join blocks of rows in pairs: row ``b * 2h + s`` becomes the lines through block ``b`` that shift by ``s``."""
    rows, columns = sums.shape
    for first in range(0, rows, 2 * height):
        for shift in range(2 * height):
            half, jump = shift // 2, (shift + 1) // 2
            joined[first + shift] = sums[first + half]
            joined[first + shift, : columns - jump] += sums[first + height + half, jump:]


@njit(cache=True, nogil=True, error_model="numpy")
def _keep_best(sums, counts, height, covered, pad, found):
    """Keep the most significant lines of one length that begin in each bin of columns, if they beat what was found."""
    rows, columns = sums.shape
    least = np.float32(covered * height)
    for part in range(found.shape[0]):
        begin, end = part * columns // found.shape[0], (part + 1) * columns // found.shape[0]
        best = np.float32(found[part, 0] * found[part, 0])
        for row in range(rows):
            for column in range(begin, end):
                value, count = sums[row, column], counts[row, column]
                if value > 0.0 and count >= least and value * value > best * count:
                    best = value * value / count
                    first, shift = row - row % height, row % height
                    found[part, 0] = np.sqrt(best)
                    found[part, 1], found[part, 2] = first, column - pad
                    found[part, 3], found[part, 4] = first + height - 1, column - pad + shift


@njit([void(F32_2D, F32_2D, I64, F64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def best_lines(values, weights, shortest, covered, found):
    """Find the most significant lines that go down by at least one row per column to the right.

    Slow definition: for every block of ``h`` rows (``h`` a power of two from ``shortest`` on, blocks aligned), every
    start in its first row and every shift from 0 to ``h - 1`` columns until its last row, the sum of values along the
    line over the root of the sum of weights, if the weights sum to ``covered * h`` at least. The starts, from one
    power of two columns left of the array to its last column, are divided into equal bins; the largest of each counts.

    Parameters
    ----------
    values : ndarray, float32, shape (n, nx)
        Significance of cells, mean 0 and variance 1; 0 where there is none.
    weights : ndarray, float32, shape (n, nx)
        1, or 0 where there is none.
    shortest : int
        Fewest rows of a line.
    covered : float
        Least part of a line's cells that must have a value.
    found : ndarray, float64, shape (bins, 5)
        Significance, first row and column, last row and column; changed where a line is more significant than the
        first entry. Columns may lie outside.
    """
    ny, nx = values.shape
    rows = 1
    while rows < ny:
        rows *= 2
    pad = rows  # lines may begin left of the first column
    sums, counts = np.zeros((rows, pad + nx), np.float32), np.zeros((rows, pad + nx), np.float32)
    sums[:ny, pad:], counts[:ny, pad:] = values, weights
    joined, joined_counts = np.empty_like(sums), np.empty_like(counts)
    height = 1
    while height < rows:
        _join(sums, joined, height)
        _join(counts, joined_counts, height)
        sums, joined = joined, sums
        counts, joined_counts = joined_counts, counts
        height *= 2
        if height >= shortest:
            _keep_best(sums, counts, height, covered, pad, found)


@njit([void(_F32_ANY, _BOOL_ANY, F64, F64, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def straighten(image, bad, offset, slope, strip):
    """Copy the pixels along a line, shifted so that the line is straight.

    Slow definition: ``strip[y, k]`` is the image at row ``y`` and column ``offset + slope * y + k - half``, linearly
    interpolated; NaN where one of the two pixels is bad or outside.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Pixels; may be transposed.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that are left out.
    offset, slope : float
        Column of the line in row 0, and columns per row.
    strip : ndarray, float32, shape (ny, 2 half + 1)
        Filled.
    """
    ny, nx = image.shape
    half = strip.shape[1] // 2
    for y in range(ny):
        middle = offset + slope * y
        whole = int(np.floor(middle))
        part = np.float32(middle - whole)
        for k in range(strip.shape[1]):
            x = whole + k - half
            if x < 0 or x + 1 >= nx or bad[y, x] or bad[y, x + 1]:
                strip[y, k] = np.nan
            else:
                strip[y, k] = (1.0 - part) * image[y, x] + part * image[y, x + 1]


@njit([void(BOOL_2D_OUT, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def paint_line(mask, x0, y0, x1, y1, reach):
    """Set the pixels within a distance of a straight line between two points.

    Parameters
    ----------
    mask : ndarray, bool, shape (ny, nx)
        Changed in place.
    x0, y0, x1, y1 : float
        Ends [px].
    reach : float
        Half the width of the band [px]; its ends are cut square.
    """
    ny, nx = mask.shape
    length = np.hypot(x1 - x0, y1 - y0)
    if length == 0.0:
        return
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    for y in range(max(0, int(min(y0, y1) - reach)), min(ny, int(max(y0, y1) + reach) + 2)):
        low, high = 0.0, nx - 1.0
        if abs(uy) > 1e-9:  # |(x - x0) uy - (y - y0) ux| <= reach
            centre, width = x0 + (y - y0) * ux / uy, reach / abs(uy)
            low, high = max(low, centre - width), min(high, centre + width)
        for x in range(int(np.ceil(low)), int(np.floor(high)) + 1):
            along, across = (x - x0) * ux + (y - y0) * uy, (x - x0) * uy - (y - y0) * ux
            if abs(across) <= reach and 0.0 <= along <= length:
                mask[y, x] = True


@njit([void(F32_2D, I64, F32_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def strip_medians(strip, pieces, out):
    """Take the median along a strip in pieces of equal length.

    Parameters
    ----------
    strip : ndarray, float32, shape (n, w)
        From `straighten`; NaN is left out.
    pieces : int
        Number of pieces.
    out : ndarray, float32, shape (pieces, w)
        Filled; NaN where fewer than a quarter of a piece's pixels have a value.
    """
    n, width = strip.shape
    for piece in range(pieces):
        begin, end = piece * n // pieces, (piece + 1) * n // pieces
        values = np.empty(max(end - begin, 1), np.float32)
        for k in range(width):
            count = 0
            for y in range(begin, end):
                if strip[y, k] == strip[y, k]:
                    values[count] = strip[y, k]
                    count += 1
            out[piece, k] = np.median(values[:count]) if count > 0 and 4 * count >= end - begin else np.nan
