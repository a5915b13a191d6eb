"""Kernels that link detections into straight tracks; positions are on a tangent plane."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F64, F64_1D, I64, I64_1D


@njit(I64(F64_1D, F64_1D, I64, I64, F64, F64, F64), cache=True, nogil=True, error_model="numpy")
def nearest_in_frame(x, y, start, stop, px, py, radius):
    """Find the detection of one frame that is nearest to a prediction.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Positions of all frames; within ``start:stop`` they are sorted by ``x``.
    start, stop : int
        The frame's range.
    px, py : float
        Prediction.
    radius : float
        Search radius, inclusive.

    Returns
    -------
    int
        Index into ``x``, or -1 where nothing is inside the radius.
    """
    low, high = start, stop
    while low < high:
        middle = (low + high) // 2
        if x[middle] < px - radius:
            low = middle + 1
        else:
            high = middle
    best, best_square = -1, radius * radius
    while low < stop and x[low] <= px + radius:
        square = (x[low] - px) ** 2 + (y[low] - py) ** 2
        if square <= best_square:
            best, best_square = low, square
        low += 1
    return best


@njit(I64(F64_1D, F64_1D, F64_1D, I64_1D, I64, I64, I64, I64, F64, I64), cache=True, nogil=True, error_model="numpy")
def line_support(x, y, frame_time, frame_start, i, j, a, b, tolerance, min_support):
    """Count the frames that have a detection on the line through two detections.

    Parameters
    ----------
    x, y, frame_time, frame_start, tolerance, min_support
        As for `supported_pairs`.
    i, j : int
        Frames of the pair, in order of time.
    a, b : int
        The pair, indices into ``x``.

    Returns
    -------
    int
        Support of the line, both frames of the pair included; counting stops, with a number below
        ``min_support``, once that can no longer be reached.
    """
    gap = frame_time[j] - frame_time[i]
    vx, vy = (x[b] - x[a]) / gap, (y[b] - y[a]) / gap
    nf = frame_time.size
    count = 2
    for k in range(nf):
        if k in (i, j):
            continue
        if count + nf - k < min_support:
            break
        since = frame_time[k] - frame_time[i]
        outside = max(0.0, max(-since, since - gap))
        radius = tolerance * (1.0 + min(outside / gap, 3.0))
        px, py = x[a] + vx * since, y[a] + vy * since
        if nearest_in_frame(x, y, frame_start[k], frame_start[k + 1], px, py, radius) >= 0:
            count += 1
    return count


@njit(
    types.Tuple((I64_1D.copy(readonly=False), I64_1D.copy(readonly=False), I64_1D.copy(readonly=False)))(
        F64_1D, F64_1D, F64_1D, I64_1D, F64, F64, F64, F64, I64
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def supported_pairs(x, y, frame_time, frame_start, min_rate, max_rate, max_gap, tolerance, min_support):
    """Find pairs of detections whose straight line is followed by detections of other frames.

    Definition: for every detection ``a`` of frame i and ``b`` of frame j > i with
    ``frame_time[j] - frame_time[i] <= max_gap`` and a rate between the limits, the support is the
    number of frames (i and j included) with a detection within ``tolerance * (1 + lever)`` of the
    line, where ``lever`` is the distance in time outside the pair in units of the pair's own length.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Positions, frame after frame, sorted by ``x`` within a frame [arcsec].
    frame_time : ndarray, float64, shape (nf,)
        Times, increasing [h].
    frame_start : ndarray, int64, shape (nf + 1,)
        Detections of frame k are ``frame_start[k]:frame_start[k + 1]``.
    min_rate, max_rate : float
        Limits of the rate [arcsec/h].
    max_gap : float
        Longest time between the two detections of a pair [h].
    tolerance : float
        Half-width of the corridor at the pair itself [arcsec].
    min_support : int
        Fewest frames.

    Returns
    -------
    first, second, support : ndarray, int64, shape (m,)
        Indices of the pair and its support, in order of detection.
    """
    nf = frame_time.size
    first, second, support = [0 for _ in range(0)], [0 for _ in range(0)], [0 for _ in range(0)]
    for i in range(nf):
        for j in range(i + 1, nf):
            gap = frame_time[j] - frame_time[i]
            if gap <= 0.0 or gap > max_gap or nf < min_support:
                continue
            reach = max_rate * gap
            for a in range(frame_start[i], frame_start[i + 1]):
                begin = frame_start[j] + np.searchsorted(x[frame_start[j] : frame_start[j + 1]], x[a] - reach)
                for b in range(begin, frame_start[j + 1]):
                    if x[b] > x[a] + reach:
                        break
                    rate = np.hypot(x[b] - x[a], y[b] - y[a]) / gap
                    if rate < min_rate or rate > max_rate:
                        continue
                    count = line_support(x, y, frame_time, frame_start, i, j, a, b, tolerance, min_support)
                    if count >= min_support:
                        first.append(a)
                        second.append(b)
                        support.append(count)
    return np.array(first, np.int64), np.array(second, np.int64), np.array(support, np.int64)


@njit(
    I64_1D.copy(readonly=False)(F64_1D, F64_1D, I64_1D, F64_1D, F64_1D, F64_1D),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def members(x, y, frame_start, px, py, radius):
    """Find, in every frame, the detection nearest to a prediction.

    Parameters
    ----------
    x, y, frame_start
        As for `supported_pairs`.
    px, py, radius : ndarray, float64, shape (nf,)
        Predictions and search radii [arcsec].

    Returns
    -------
    ndarray, int64, shape (nf,)
        Indices into ``x``, -1 where a frame has none.
    """
    found = np.empty(px.size, np.int64)
    for k in range(px.size):
        found[k] = nearest_in_frame(x, y, frame_start[k], frame_start[k + 1], px[k], py[k], radius[k])
    return found


@njit(I64_1D.copy(readonly=False)(F64_1D, F64_1D, I64_1D, F64), cache=True, nogil=True, error_model="numpy")
def recurrence(x, y, frame_start, radius):
    """Count, for every detection, the other frames that have one at the same place.

    Parameters
    ----------
    x, y, frame_start
        As for `supported_pairs`.
    radius : float
        What counts as the same place [arcsec].

    Returns
    -------
    ndarray, int64, shape (n,)
        Number of other frames.
    """
    count = np.zeros(x.size, np.int64)
    for frame in range(frame_start.size - 1):
        for a in range(frame_start[frame], frame_start[frame + 1]):
            for k in range(frame_start.size - 1):
                if k != frame and nearest_in_frame(x, y, frame_start[k], frame_start[k + 1], x[a], y[a], radius) >= 0:
                    count[a] += 1
    return count
