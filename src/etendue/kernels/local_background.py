"""What is left of the background on a small scale: ghosts, haloes, vignetted rims; on plain arrays."""

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import BOOL_2D, F32_2D, F64, F64_1D, F64_1D_OUT, F64_2D, F64_2D_OUT, I32, I32_2D, I64

_CELLS = types.Array(types.float64, 2, "C")
_BINS = 64
_SKY_BINS = 256
_MEDIAN_SQUARE = 0.4549  # median of the square of a Gaussian variate


@njit([F64(F64_1D_OUT, I64)], cache=True, nogil=True, error_model="numpy")
def _smallest(values, k):
    """Return the k-th smallest of finite values (0: the smallest); their order is lost.

    Counts in equal bins tell which bin holds it; the values of that bin move to the front and are binned again.
    """
    n, counts = values.size, np.empty(_BINS, np.int64)
    while n > 0:
        low = high = values[0]
        for i in range(1, n):
            low, high = min(low, values[i]), max(high, values[i])
        if not high > low:
            break
        scale = _BINS / (high - low)
        if not scale < np.inf:  # they differ by the smallest numbers only
            values[:n].sort()
            return values[k]
        counts[:] = 0
        for i in range(n):
            counts[min(int((values[i] - low) * scale), _BINS - 1)] += 1
        chosen = 0
        while k >= counts[chosen]:
            k -= counts[chosen]
            chosen += 1
        kept = 0
        for i in range(n):
            if min(int((values[i] - low) * scale), _BINS - 1) == chosen:
                values[kept] = values[i]
                kept += 1
        n = kept
    return values[0]


@njit([F64(F64_1D, F64_1D_OUT)], cache=True, nogil=True, error_model="numpy")
def _median(values, work):
    """Return the median of finite values, with room for as many."""
    n = values.size
    work[:] = values
    lower = _smallest(work, (n - 1) // 2)
    if n % 2 == 1:
        return lower
    upper, count = np.inf, 0
    for i in range(n):
        if values[i] <= lower:
            count += 1
        else:
            upper = min(upper, values[i])
    return lower if count > n // 2 else 0.5 * (lower + upper)


@njit([F64(F64_1D, F64, types.Array(types.int64, 1, "C"))], cache=True, nogil=True, error_model="numpy")
def _near_median(values, width, counts):
    """Return the median by counting in bins of a width around 0, interpolated in its bin; NaN if it lies outside."""
    n, half = values.size, counts.size // 2
    counts[:] = 0
    for i in range(n):
        k = values[i] / width + half
        counts[int(min(max(k, 0.0), counts.size - 1.0))] += 1
    if 2 * counts[0] >= n or 2 * counts[counts.size - 1] >= n:
        return np.nan
    below = k = 0
    while 2 * (below + counts[k]) < n:
        below += counts[k]
        k += 1
    return width * (k - half + (0.5 * n - below) / counts[k])


@njit([_CELLS(F64_2D, BOOL_2D, I64)], cache=True, nogil=True, error_model="numpy")
def cell_medians(image, bad, cell):
    """Take the median of an image in square cells.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Image.
    bad : ndarray, bool, shape (ny, nx)
        Pixels left out; others that are not finite are too.
    cell : int
        Cell side [px]; the last cells may be smaller.

    Returns
    -------
    ndarray, float64, shape (ceil(ny / cell), ceil(nx / cell))
        Medians; 0 where less than a quarter of a full cell is usable.
    """
    ny, nx = image.shape
    rows, cols = (ny + cell - 1) // cell, (nx + cell - 1) // cell
    medians = np.zeros((rows, cols))
    values, work = np.empty(cell * cell), np.empty(cell * cell)
    for a in range(rows):
        for b in range(cols):
            n = 0
            for j in range(a * cell, min(ny, (a + 1) * cell)):
                for i in range(b * cell, min(nx, (b + 1) * cell)):
                    if not bad[j, i] and np.isfinite(image[j, i]):
                        values[n] = image[j, i]
                        n += 1
            if 4 * n >= cell * cell:
                medians[a, b] = _median(values[:n], work[:n])
    return medians


@njit([types.UniTuple(_CELLS, 2)(F64_2D, F64_2D, BOOL_2D, I64)], cache=True, nogil=True, error_model="numpy")
def cell_levels(image, variance, bad, cell):
    """Take the median of an image in square cells, and its error.

    Parameters
    ----------
    image, variance : ndarray, float64, shape (ny, nx)
        Image and its variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels left out; others that are not finite are too.
    cell : int
        Cell side [px]; the last cells may be smaller.

    Returns
    -------
    level, error : ndarray, float64, shape (ceil(ny / cell), ceil(nx / cell))
        Medians m and ``sqrt(pi / 2 V / n)``, for independent pixels; 0 and infinite where less than a quarter of a
        full cell is usable.
    """
    ny, nx = image.shape
    rows, cols = (ny + cell - 1) // cell, (nx + cell - 1) // cell
    level, error = np.zeros((rows, cols)), np.full((rows, cols), np.inf)
    values, work = np.empty(cell * cell), np.empty(cell * cell)
    for a in range(rows):
        for b in range(cols):
            n, weight = 0, 0.0
            for j in range(a * cell, min(ny, (a + 1) * cell)):
                for i in range(b * cell, min(nx, (b + 1) * cell)):
                    if not bad[j, i] and np.isfinite(image[j, i]) and 0.0 < variance[j, i] < np.inf:
                        values[n] = image[j, i]
                        weight += 1.0 / variance[j, i]
                        n += 1
            if 4 * n >= cell * cell:
                level[a, b], error[a, b] = _median(values[:n], work[:n]), np.sqrt(0.5 * np.pi / weight)
    return level, error


def significant_levels(
    level: NDArray[np.float64], error: NDArray[np.float64], least: float, block: int = 4
) -> NDArray[np.float64]:
    """Keep of the levels of cells what noise cannot have made: of blocks of cells first, then of each cell.

    Levels m of error e are shrunk to ``m max(0, 1 - least**2 e**2 / m**2)``, the positive part of James and Stein's
    estimator (1961), or to ``m S**2 / (S**2 + e**2)`` where levels vary by S all over the image. Where the sky is flat
    any estimate of it on a small scale only adds noise to fluxes, and takes light from galaxies.

    Parameters
    ----------
    level, error : ndarray, float64, shape (rows, cols)
        As from `cell_levels`.
    least : float
        Errors that a level must exceed.
    block : int
        Side of the blocks in cells.

    Returns
    -------
    ndarray, float64, shape (rows, cols)
    """
    (rows, cols), shape = level.shape, [-(-n // block) for n in level.shape]
    known = np.full((shape[0] * block, shape[1] * block), np.nan)
    known[:rows, :cols] = np.where(np.isfinite(error), level, np.nan)
    weight = np.zeros(known.shape)
    weight[:rows, :cols] = 1.0 / error**2
    known, weight = (
        part.reshape(shape[0], block, shape[1], block).swapaxes(1, 2).reshape(*shape, block * block)
        for part in (known, weight)
    )
    known[np.isnan(known).all(axis=2), 0] = 0.0
    with np.errstate(divide="ignore"):
        coarse = _shrunk(np.nanmedian(known, axis=2), np.sqrt(0.5 * np.pi / weight.sum(axis=2)), least)
    y, x = np.indices(level.shape)
    wide = cells_at(coarse, block, np.asarray(x), np.asarray(y))
    return wide + _shrunk(np.where(np.isfinite(error), level - wide, 0.0), error, least)


def _shrunk(level: NDArray[np.float64], error: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Shrink levels by their own significance, or by that of levels all over the image, whichever leaves more."""
    finite = np.isfinite(error)
    if not finite.any():
        return np.zeros(level.shape)
    square, noise = np.median(level[finite] ** 2) / _MEDIAN_SQUARE, np.median(error[finite] ** 2)
    common = max(0.0, square - noise * (1.0 + 5.0 / np.sqrt(np.count_nonzero(finite))))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.fmax(1.0 - (least * error / level) ** 2, common / (common + error**2))
    return np.where(finite, level * np.fmax(factor, 0.0), 0.0)


@njit([_CELLS(F32_2D, F32_2D, I32_2D, I32, I64, I64, F64)], cache=True, nogil=True, error_model="numpy")
def significant_sky(image, variance, mask, bits, cell, step, least):
    """Take the median of an image in square cells, as far as noise cannot have made it (to 0.02 of the noise).

    Where the sky is flat any estimate of it on a small scale only adds noise and takes light from sources. So medians m
    with the error ``e = sqrt(pi / 2 V / n)`` are shrunk to ``m max(0, 1 - least**2 e**2 / m**2)`` (the positive part of
    James and Stein's estimator, 1961): nothing is left below ``least`` errors, nearly all far above.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Background-subtracted image and its variance.
    mask : ndarray, int32, shape (ny, nx)
        Mask; pixels with any of ``bits``, and those that are not finite, are left out.
    bits : int
        Bits of unusable pixels.
    cell : int
        Cell side [px]; the last cells may be smaller.
    step : int
        Every so many rows and columns are looked at.
    least : float
        Errors that a median must exceed.

    Returns
    -------
    ndarray, float64, shape (ceil(ny / cell), ceil(nx / cell))
        Shrunk medians; 0 where less than a quarter of a full cell's sample is usable.
    """
    ny, nx = image.shape
    rows, cols = (ny + cell - 1) // cell, (nx + cell - 1) // cell
    full = ((cell + step - 1) // step) ** 2
    sky = np.zeros((rows, cols))
    values, work, counts = np.empty(full), np.empty(full), np.zeros(_SKY_BINS, np.int64)
    for a in range(rows):
        for b in range(cols):
            n, weight = 0, 0.0
            for j in range(a * cell, min(ny, (a + 1) * cell), step):
                for i in range(b * cell, min(nx, (b + 1) * cell), step):
                    value, v = image[j, i], variance[j, i]
                    if (mask[j, i] & bits) == 0 and abs(value) < np.inf and 0.0 < v < np.inf:
                        values[n] = value
                        weight += 1.0 / v
                        n += 1
            if 4 * n < full or n == 0:
                continue
            noise = np.sqrt(n / weight)  # sources, whose variance is large, hardly count
            median = _near_median(values[:n], 0.05 * noise, counts)
            if not np.isfinite(median):
                median = _median(values[:n], work[:n])
            error = 0.5 * np.pi / weight
            sky[a, b] = median * max(0.0, 1.0 - least * least * error / (median * median)) if median != 0.0 else 0.0
    return sky


@njit([types.void(F64_2D_OUT, F64_2D, I64)], cache=True, nogil=True, error_model="numpy")
def subtract_cells(image, medians, cell):
    """Subtract cell values, interpolated bilinearly, from an image in place.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Changed.
    medians : ndarray, float64, shape (rows, cols)
        Values at the cell centres; constant beyond the outermost ones.
    cell : int
        Cell side [px].
    """
    ny, nx = image.shape
    rows, cols = medians.shape
    line = np.empty(cols)
    for y in range(ny):
        v = min(max((y - 0.5 * (cell - 1)) / cell, 0.0), rows - 1.0)
        j = min(int(v), max(rows - 2, 0))
        below = min(j + 1, rows - 1)
        for i in range(cols):
            line[i] = medians[j, i] + (v - j) * (medians[below, i] - medians[j, i])
        for x in range(nx):
            u = min(max((x - 0.5 * (cell - 1)) / cell, 0.0), cols - 1.0)
            i = min(int(u), max(cols - 2, 0))
            image[y, x] -= line[i] + (u - i) * (line[min(i + 1, cols - 1)] - line[i])


def cells_at(medians: NDArray[np.float64], cell: int, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Interpolate cell values bilinearly at points.

    Parameters
    ----------
    medians : ndarray, float64, shape (rows, cols)
        Values at the cell centres; constant beyond the outermost ones.
    cell : int
        Cell side [px].
    x, y : ndarray, shape (n,)
        Points [px].

    Returns
    -------
    ndarray, float64, shape (n,)
        What `subtract_cells` takes off there.
    """
    place = [np.clip((p - 0.5 * (cell - 1)) / cell, 0.0, n - 1.0) for p, n in zip((y, x), medians.shape, strict=True)]
    low = [np.clip(p.astype(np.int64), 0, max(n - 2, 0)) for p, n in zip(place, medians.shape, strict=True)]
    high = [np.minimum(k + 1, n - 1) for k, n in zip(low, medians.shape, strict=True)]
    b, a = place[0] - low[0], place[1] - low[1]
    lower = (1.0 - a) * medians[low[0], low[1]] + a * medians[low[0], high[1]]
    upper = (1.0 - a) * medians[high[0], low[1]] + a * medians[high[0], high[1]]
    return np.asarray((1.0 - b) * lower + b * upper)


def local_background(image: NDArray[np.float64], bad: NDArray[np.bool_], cell: int) -> NDArray[np.float64]:
    """Interpolate cell medians bilinearly over an image.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Image, best with its sources subtracted.
    bad : ndarray, bool, shape (ny, nx)
        Pixels left out.
    cell : int
        Cell side [px].

    Returns
    -------
    ndarray, float64, shape (ny, nx)
        Background, constant beyond the outermost cell centres.
    """
    medians = cell_medians(np.ascontiguousarray(image), np.ascontiguousarray(bad), cell)
    negative = np.zeros(image.shape)
    subtract_cells(negative, medians, cell)
    return -negative
