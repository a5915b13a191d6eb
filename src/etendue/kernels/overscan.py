"""Kernels of overscan: the level of each line of a region, and what smooth curve the levels follow."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray
from scipy.interpolate import make_lsq_spline
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d

from etendue.kernels.types import F32_2D, F64, F64_1D_OUT, I64

_FALLBACK_LINES, _LOCAL_LINES = 31, 15
_LEVELS = types.Tuple((F64_1D_OUT, F64_1D_OUT, types.Array(types.int64, 1, "C")))


@njit([_LEVELS(F32_2D, F64, I64)], cache=True, nogil=True, error_model="numpy")
def line_levels(pixels, clip, iterations):
    """Measure the level of each line of an overscan region by a mean clipped around the median.

    A plain median of integer counts is quantised to 0.5 ADU; the clipped mean is not.

    Parameters
    ----------
    pixels : ndarray, float32, shape (n, m)
        Overscan pixels [ADU]; those that are not finite are left out.
    clip : float
        Clipping radius in robust sigmas of the line, at least 1 ADU wide.
    iterations : int
        Number of clipping passes.

    Returns
    -------
    level, scatter : ndarray, float64, shape (n,)
        Levels, and standard deviations of the pixels kept [ADU]; NaN where no pixel is finite.
    used : ndarray, int64, shape (n,)
        Pixels kept.
    """
    n, m = pixels.shape
    level, scatter, used = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int64)
    finite = np.empty(m, np.float32)
    for line in range(n):
        count = 0
        for k in range(m):
            if np.isfinite(pixels[line, k]):
                finite[count] = pixels[line, k]
                count += 1
        if count == 0:
            continue
        values = np.sort(finite[:count])
        center = float(values[count // 2])
        sigma = max(1.0, 0.7413 * (values[(3 * count) // 4] - values[count // 4]))
        for _ in range(iterations):
            total, squares, kept = 0.0, 0.0, 0
            for k in range(count):
                if abs(values[k] - center) <= clip * sigma:
                    total += values[k] - center
                    squares += (values[k] - center) ** 2
                    kept += 1
            if kept > 0:
                shift = total / kept
                center += shift
                scatter[line] = np.sqrt(max(squares - kept * shift * shift, 0.0) / max(kept - 1, 1))
                used[line] = kept
        level[line] = center
    return level, scatter, used


def running_median(level: NDArray[np.float64], *, width: int, error: float, clip: float) -> NDArray[np.float64]:
    """Smooth levels by a running median where lines agree with their neighbours.

    Levels of single lines carry the read noise of a few dozen pixels, which would be stamped on the image as stripes.
    A running median removes it; where a line truly differs (the transient of the first rows, a jump) its own level is
    kept.

    Parameters
    ----------
    level : ndarray, float64, shape (n,)
        Levels [ADU].
    width : int
        Lines of the running median; 1 changes nothing.
    error : float
        1-sigma error of one level [ADU].
    clip : float
        A line further than ``clip * error`` from the running median keeps its level.

    Returns
    -------
    ndarray, float64, shape (n,)
        Smoothed levels [ADU].
    """
    if width <= 1 or level.size == 0:
        return level.copy()
    smooth = median_filter(level, size=min(width, level.size), mode="reflect")
    return np.where(np.abs(level - smooth) > clip * error, level, smooth)


def spline_levels(level: NDArray[np.float64], *, spacing: int, error: float, clip: float) -> NDArray[np.float64]:
    """Smooth levels by a cubic spline with even knots where it follows them, else by `running_median`.

    A spline is less noisy than a running median, but rings at jumps and misses steep transients: where the mean of 15
    lines differs from it by more than 3.5 errors, and 7 lines around, the running median is taken.

    Parameters
    ----------
    level : ndarray, float64, shape (n,)
        Levels [ADU].
    spacing : int
        Lines between knots.
    error : float
        1-sigma error of one level [ADU].
    clip : float
        Lines further than ``clip * error`` from the smooth curve do not pull it.

    Returns
    -------
    ndarray, float64, shape (n,)
        Smoothed levels [ADU].
    """
    fallback = running_median(level, width=_FALLBACK_LINES, error=error, clip=clip)
    if level.size < _FALLBACK_LINES:
        return fallback
    place = np.arange(level.size, dtype=np.float64)
    inner = np.linspace(0.0, place[-1], max(2, round(level.size / spacing) + 1))[1:-1]
    knots = np.concatenate([np.zeros(4), inner, np.full(4, place[-1])])
    smooth, off = fallback, np.zeros(level.size, np.bool_)
    for _ in range(3):
        weight = np.where(off | (np.abs(level - smooth) > clip * error), 1e-3, 1.0)
        smooth = np.asarray(make_lsq_spline(place, level, knots, w=weight)(place))
        left = np.clip(level - smooth, -2.0 * clip * error, 2.0 * clip * error)
        off = np.abs(uniform_filter1d(left, _LOCAL_LINES, mode="reflect")) > 3.5 * error / np.sqrt(_LOCAL_LINES)
        off = maximum_filter1d(off.astype(np.uint8), _LOCAL_LINES) > 0
    return np.where(off | (np.abs(level - smooth) > clip * error), fallback, smooth)
