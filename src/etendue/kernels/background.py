"""Sky level in cells, robust against sources."""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, median_filter

from etendue.kernels.types import BOOL_2D, F32_2D, F64, I32, I32_2D, I64, I64_1D

_BINS = 256
_MIN_PIXELS = 16


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(image, bad, y0, y1, x0, x1, values):
    """Copy the usable pixels of a cell into ``values`` and return their number."""
    n = 0
    for row in range(y0, y1):
        for col in range(x0, x1):
            if not bad[row, col] and np.isfinite(image[row, col]):
                values[n] = image[row, col]
                n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _start(values, n, size):
    """Return median and robust sigma of a regular subsample of about a size: the start of the clipping."""
    step = max(1, n // size)
    sample = np.sort(values[:n:step])
    m = sample.size
    return np.float64(sample[m // 2]), 0.7413 * (sample[(3 * m) // 4] - sample[m // 4])


@njit(cache=True, nogil=True, error_model="numpy")
def _clip(values, n, center, sigma, clip, iterations):
    """Iterate mean and standard deviation inside ``clip`` sigmas; return them with the last limits."""
    low, high, kept = center - clip * sigma, center + clip * sigma, -1
    for _ in range(iterations):
        total = square = 0.0
        count = 0
        for i in range(n):
            if low <= values[i] <= high:
                offset = values[i] - center
                total += offset
                square += offset * offset
                count += 1
        if count == 0 or count == kept:
            break
        kept = count
        mean = center + total / count
        sigma = np.sqrt(max(square / count - (total / count) ** 2, 0.0))
        center, low, high = mean, mean - clip * sigma, mean + clip * sigma
    return center, sigma, low, high


@njit(cache=True, nogil=True, error_model="numpy")
def _histogram_median(values, n, low, high, counts):
    """Return the median of the values inside ``[low, high]`` from a histogram, interpolated in its bin."""
    width = (high - low) / _BINS
    if not width > 0.0:
        return low
    counts[:] = 0
    total = 0
    for i in range(n):
        if low <= values[i] <= high:
            counts[min(_BINS - 1, int((values[i] - low) / width))] += 1
            total += 1
    below = 0
    for i in range(_BINS):
        if 2 * (below + counts[i]) >= total:
            return low + width * (i + (0.5 * total - below) / max(counts[i], 1))
        below += counts[i]
    return high


@njit([(F32_2D, BOOL_2D, I64_1D, I64_1D, F64, I64)], cache=True, nogil=True, error_model="numpy")
def cell_background(image, bad, y_edges, x_edges, clip, iterations):
    """Measure the sky level and its noise in each cell of a grid.

    Slow definition: iterate mean and standard deviation of the usable pixels within ``clip``
    standard deviations; then with the median of the pixels left take the mode
    ``2.5 median - 1.5 mean`` (Bertin & Arnouts 1996, section 3), or the median itself where the two
    differ by more than 0.3 sigma (a crowded cell). The median comes from a histogram of 256 bins,
    interpolated, so that each pixel is read a few times and never sorted.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Image; NaN pixels are not used.
    bad : ndarray, bool, shape (ny, nx)
        Pixels not to use: sources, defects.
    y_edges, x_edges : ndarray, int64, shape (gy + 1,) and (gx + 1,)
        Rows and columns where cells begin and end.
    clip : float
        Clipping radius [sigma].
    iterations : int
        Largest number of clipping passes.

    Returns
    -------
    level, sigma : ndarray, float64, shape (gy, gx)
        Sky level and pixel noise; NaN in a cell with fewer than 16 usable pixels or 5% of its area.
    """
    gy, gx = y_edges.size - 1, x_edges.size - 1
    level = np.full((gy, gx), np.nan)
    sigma = np.full((gy, gx), np.nan)
    values = np.empty(np.max(np.diff(y_edges)) * np.max(np.diff(x_edges)), dtype=np.float32)
    counts = np.empty(_BINS, dtype=np.int64)
    for j in range(gy):
        for i in range(gx):
            n = _gather(image, bad, y_edges[j], y_edges[j + 1], x_edges[i], x_edges[i + 1], values)
            area = (y_edges[j + 1] - y_edges[j]) * (x_edges[i + 1] - x_edges[i])
            if n < max(_MIN_PIXELS, area // 20):
                continue
            center, spread = _start(values, n, 512)
            mean, spread, low, high = _clip(values, n, center, spread, clip, iterations)
            median = _histogram_median(values, n, low, high, counts)
            crowded = abs(mean - median) > 0.3 * spread
            level[j, i] = median if crowded else 2.5 * median - 1.5 * mean
            sigma[j, i] = spread
    return level, sigma


@njit([(F32_2D, I32_2D, I32, I64_1D, I64_1D, F64, I64, I64)], cache=True, nogil=True, error_model="numpy")
def sampled_background(image, mask, bits, y_edges, x_edges, clip, iterations, step):
    """Measure sky level and noise in each cell of a grid from every so many rows and columns.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Image; NaN pixels are not used.
    mask : ndarray, int32, shape (ny, nx)
        Mask; pixels with any of ``bits`` are not used.
    bits : int
        Bits of unusable pixels.
    y_edges, x_edges, clip, iterations
        As of `cell_background`, whose definition holds for the pixels looked at.
    step : int
        Distance of the rows and columns looked at [px].

    Returns
    -------
    level, sigma : ndarray, float64, shape (gy, gx)
        Sky level and pixel noise; NaN in a cell with fewer than 16 usable pixels or 5% of its sample.
    """
    gy, gx = y_edges.size - 1, x_edges.size - 1
    level = np.full((gy, gx), np.nan)
    sigma = np.full((gy, gx), np.nan)
    values = np.empty(np.max(np.diff(y_edges)) * np.max(np.diff(x_edges)), dtype=np.float32)
    counts = np.empty(_BINS, dtype=np.int64)
    for j in range(gy):
        for i in range(gx):
            n = total = 0
            for row in range(y_edges[j], y_edges[j + 1], step):
                for col in range(x_edges[i], x_edges[i + 1], step):
                    total += 1
                    if (mask[row, col] & bits) == 0 and abs(image[row, col]) < np.inf:
                        values[n] = image[row, col]
                        n += 1
            if n < max(_MIN_PIXELS, total // 20):
                continue
            center, spread = _start(values, n, 128)
            mean, spread, low, high = _clip(values, n, center, spread, clip, iterations)
            median = _histogram_median(values, n, low, high, counts)
            crowded = abs(mean - median) > 0.3 * spread
            level[j, i] = median if crowded else 2.5 * median - 1.5 * mean
            sigma[j, i] = spread
    return level, sigma


def cell_edges(n: int, size: int) -> NDArray[np.int64]:
    """Divide an axis into cells of ``size`` pixels; the last one takes what is left.

    Parameters
    ----------
    n : int
        Pixels.
    size : int
        Cell size [px].

    Returns
    -------
    ndarray, int64, shape (ceil(n / size) + 1,)
        Edges from 0 to ``n``.
    """
    return np.append(np.arange(0, n, size, dtype=np.int64), np.int64(n))


def smooth_cells(level: NDArray[np.float64], *, size: int, tolerance: float) -> NDArray[np.float64]:
    """Fill empty cells and replace lone deviating ones by the median of their neighbours.

    Both are done on the residuals of a quadratic surface fitted to the cells, so that gradients
    survive at the edges.

    Parameters
    ----------
    level : ndarray, float64, shape (gy, gx)
        Cell levels; NaN where a cell is empty, at least one is not.
    size : int
        Side of the median filter [cells]; 1 replaces nothing.
    tolerance : float
        A cell further than this from the median around it is replaced, in the unit of the image.

    Returns
    -------
    ndarray, float64, shape (gy, gx)
        Levels without NaN.
    """
    trend = _quadratic_trend(level)
    residual = level - trend
    nearest = distance_transform_edt(~np.isfinite(residual), return_distances=False, return_indices=True)
    residual = residual[tuple(nearest)]
    around = median_filter(residual, size=size, mode="nearest")
    return trend + np.where(np.abs(residual - around) > tolerance, around, residual)


def _quadratic_trend(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a quadratic surface through the finite cells; constant if they are fewer than 12."""
    known = np.isfinite(level)
    if known.sum() < 12 or min(level.shape) < 3:
        return np.full(level.shape, np.median(level[known]))
    y, x = (axis / (max(level.shape) - 1.0) for axis in np.indices(level.shape, dtype=np.float64))
    design = np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], axis=-1)
    use = known.copy()
    for _ in range(3):  # the second and third fit leave out cells that stand out
        coefficients = np.linalg.lstsq(design[use], level[use], rcond=None)[0]
        residual = np.where(known, level - design @ coefficients, np.inf)
        spread = 1.4826 * np.median(np.abs(residual[known]))
        use = np.abs(residual) <= max(4.0 * spread, 1e-9 * float(np.abs(level[known]).max()))
    trend: NDArray[np.float64] = design @ coefficients
    return trend


@njit([(F32_2D, F32_2D, BOOL_2D, F64, I64)], cache=True, nogil=True, error_model="numpy")
def source_pixels(image, surface, bad, threshold, margin):
    """Mark where a 3 x 3 mean departs from the sky: the pixels that would bias its level.

    Departures of both signs are marked, so that noise alone does not shift the level.

    Parameters
    ----------
    image, surface : ndarray, float32, shape (ny, nx)
        Image and a first estimate of its sky.
    bad : ndarray, bool, shape (ny, nx)
        Pixels not to use.
    threshold : float
        Departure of the mean, in the unit of the image.
    margin : int
        Pixels to mark around each, in both directions [px].

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        ``bad`` and the pixels of sources.
    """
    ny, nx = image.shape
    out = bad.copy()
    columns = np.zeros(nx)
    for row in range(1, ny - 1):
        for col in range(nx):
            total = 0.0
            for y in range(row - 1, row + 2):
                if not bad[y, col]:
                    total += image[y, col] - surface[y, col]
            columns[col] = total
        for col in range(1, nx - 1):
            if abs(columns[col - 1] + columns[col] + columns[col + 1]) > 9.0 * threshold:
                top, left = max(0, row - margin), max(0, col - margin)
                out[top : row + margin + 1, left : col + margin + 1] = True
    return out
