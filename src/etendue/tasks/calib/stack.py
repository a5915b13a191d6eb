"""Combine trimmed frames in tiles."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.combine import clipped_mean_stack, weighted_mean_stack

TILE_ROWS = 64
"""Rows of a stack that are combined at a time, so that stacks of big frames fit into the cache."""


class Combined(NamedTuple):
    """A clipped mean."""

    mean: NDArray[np.float32]
    """Shape (ny, nx)."""

    variance: NDArray[np.float32]
    """Variance of the mean, from the scatter."""

    n_used: NDArray[np.int32]
    """Values averaged."""


def combine_frames(frames: Sequence[NDArray[np.float32]], *, clip: float, sigma_floor: float) -> Combined:
    """Average frames pixel by pixel without outliers, a band of rows at a time.

    Parameters
    ----------
    frames : sequence of ndarray, float32, shape (ny, nx)
        Frames of one shape.
    clip : float
        Clipping radius [sigma].
    sigma_floor : float
        Smallest sigma used for clipping.

    Returns
    -------
    Combined
    """
    parts = [
        clipped_mean_stack(np.stack([frame[row : row + TILE_ROWS] for frame in frames]), clip, sigma_floor)
        for row in range(0, frames[0].shape[0], TILE_ROWS)
    ]
    mean, variance, count = (np.concatenate(planes) for planes in zip(*parts, strict=True))
    return Combined(mean, variance, count)


def combine_weighted(
    frames: Sequence[NDArray[np.float32]], *, sigma: NDArray[np.float64], clip: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average frames of different noise pixel by pixel without outliers, a band of rows at a time.

    Parameters
    ----------
    frames : sequence of ndarray, float32, shape (ny, nx)
        Frames of one shape.
    sigma : ndarray, float64, shape (n,)
        Noise of each.
    clip : float
        Clipping radius [sigma].

    Returns
    -------
    mean, variance : ndarray, float32, shape (ny, nx)
        Weighted mean, and the variance of that mean from the scatter.
    """
    parts = [
        weighted_mean_stack(np.stack([frame[row : row + TILE_ROWS] for frame in frames]), sigma, clip)
        for row in range(0, frames[0].shape[0], TILE_ROWS)
    ]
    mean, variance = (np.concatenate(planes) for planes in zip(*parts, strict=True))
    return mean, variance


def pair_noise(first: NDArray[np.float32], second: NDArray[np.float32], *, clip: float = 4.0) -> float:
    """Return the noise of one frame from the difference of two, without outliers.

    Counts are integers, so a standard deviation clipped at ``clip`` robust sigmas is used: percentiles
    of integers are too coarse.

    Parameters
    ----------
    first, second : ndarray, float32, shape (ny, nx)
        Frames of equal level.
    clip : float
        Clipping radius [sigma].

    Returns
    -------
    float
        Standard deviation of one frame, in its unit; NaN if nothing is finite.
    """
    difference = (first - second)[np.isfinite(first) & np.isfinite(second)].astype(np.float64)
    if difference.size == 0:
        return float("nan")
    return clipped_deviation(difference, clip=clip) / float(np.sqrt(2.0))


def clipped_deviation(values: NDArray[np.float64], *, clip: float) -> float:
    """Return the standard deviation within ``clip`` sigmas of the mean, clipped until it settles.

    Parameters
    ----------
    values : ndarray, float64, shape (n,)
        Values, at least one.
    clip : float
        Clipping radius [sigma].

    Returns
    -------
    float
    """
    low, center, high = np.percentile(values, [16.0, 50.0, 84.0])
    sigma = max(0.5 * float(high - low), 1e-12)
    for _ in range(5):
        kept = values[np.abs(values - center) <= clip * sigma]
        center, sigma = kept.mean(), max(float(kept.std()), 1e-12)
    return sigma
