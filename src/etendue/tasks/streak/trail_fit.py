"""Fit a trail: position, ends, width and brightness, and whether it is one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from etendue.kernels.streaks import strip_medians
from etendue.tasks.streak.trail_line import TrailLine

Vector = NDArray[np.float64]
_MEDIAN_ERROR = 1.2533  # of a median over that of a mean, for normal noise
_FWHM = 2.3548
_SIDE = 12  # columns at each border of a strip that measure the sky


@dataclass(frozen=True, slots=True)
class Pieces:
    """Medians along a trail, piece by piece, without sky.

    Parameters
    ----------
    profile : ndarray, float64, shape (n, w)
        Across the trail [image units]; NaN where nothing was left.
    rows : ndarray, float64, shape (n,)
        Middle row of each piece.
    significance : ndarray, float64, shape (n,)
        Of the light within ``core`` of the line [sigma]; NaN where nothing was left.
    sigma : float
        Noise of a pixel [image units].
    """

    profile: Vector
    rows: Vector
    significance: Vector
    sigma: float


def pieces_along(
    line: TrailLine,
    image: NDArray[np.float32],
    bad: NDArray[np.bool_],
    rows: tuple[int, int],
    count: int,
    half: int,
    core: float,
) -> Pieces:
    """Take medians along a line.

    Parameters
    ----------
    line : TrailLine
        Where.
    image : ndarray, float32, shape (ny, nx)
        Pixels.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that are left out.
    rows : tuple of int
        First row and the one behind the last.
    count : int
        Number of pieces.
    half : int
        Columns on each side.
    core : float
        Distance from the line that counts for the significance [px].

    Returns
    -------
    Pieces
    """
    strip = line.strip(image, bad, half, rows)
    medians = np.empty((count, 2 * half + 1), np.float32)
    strip_medians(strip, count, medians)
    sides = np.concatenate([strip[:, :_SIDE], strip[:, -_SIDE:]], axis=1)
    values = sides[np.isfinite(sides)]
    sigma = 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else np.nan
    profile = medians.astype(np.float64)
    profile -= _mean_of(np.concatenate([profile[:, :_SIDE], profile[:, -_SIDE:]], axis=1))[:, np.newaxis]
    across = np.abs(np.arange(-half, half + 1)) * line.foreshortening <= core
    left = np.isfinite(profile[:, across]).sum(axis=1)
    error = _MEDIAN_ERROR * sigma / np.sqrt(np.maximum(left, 1) * max(strip.shape[0] / count, 1.0))
    significance = np.where(left > 0, _mean_of(profile[:, across]) / (error + 1e-30), np.nan)
    edges = rows[0] + np.arange(count + 1) * strip.shape[0] / count
    return Pieces(profile, 0.5 * (edges[:-1] + edges[1:] - 1.0), significance, sigma)


def _mean_of(values: Vector) -> Vector:
    """Return the mean of each row's finite values; NaN where there is none."""
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(finite, values, 0.0).sum(axis=1) / finite.sum(axis=1))


def centre_line(line: TrailLine, pieces: Pieces, window: int, core: int) -> TrailLine:
    """Move a line onto the brightest path near it.

    Parameters
    ----------
    line : TrailLine
        First guess.
    pieces : Pieces
        Along it.
    window : int
        Columns to each side in which the trail is looked for.
    core : int
        Columns over which light is summed.

    Returns
    -------
    TrailLine
        The line itself where no piece shows a trail.
    """
    half = pieces.profile.shape[1] // 2
    profile = np.nan_to_num(pieces.profile)
    kernel = np.hanning(core + 2)[1:-1]
    smooth = np.apply_along_axis(np.convolve, 1, profile, kernel, mode="same")
    near = smooth[:, half - window : half + window + 1]
    peak = np.clip(near.argmax(axis=1), 1, 2 * window - 1)
    each = np.arange(peak.size)
    below, here, above = near[each, peak - 1], near[each, peak], near[each, peak + 1]
    bend = 2.0 * here - below - above
    offset = peak - window + np.where(bend > 0.0, 0.5 * (above - below) / np.where(bend > 0.0, bend, 1.0), 0.0)
    noise = 1.4826 * np.median(np.abs(smooth), axis=1) + 1e-30
    weights = np.clip(here / noise - 2.0, 0.0, 8.0)
    if not weights.any():
        return line
    moved = line.shifted(pieces.rows, offset, weights)
    residual = offset + line.offset + line.slope * pieces.rows - moved.offset - moved.slope * pieces.rows
    agreeing = np.where(np.abs(residual) <= max(1.5, 1.5 * float(np.median(np.abs(residual)))), weights, 0.0)
    return line.shifted(pieces.rows, offset, agreeing) if agreeing.any() else moved


def bright_run(significance: Vector, typical: float) -> tuple[int, int]:
    """Return the run of pieces that are as bright as a trail, with gaps where more is gained than lost.

    Parameters
    ----------
    significance : ndarray, float64, shape (n,)
        Of the pieces, NaN where it is not known; counted up to ``typical``, so that stars beyond an end add no more
        than a piece.
    typical : float
        Significance of a piece of the trail; pieces below 40% of it count against the run [sigma].

    Returns
    -------
    tuple of int
        First piece, and the one behind the last.
    """
    gain = np.nan_to_num(np.clip(significance / typical, -1.0, 1.0) - 0.4, nan=0.0)
    sums = np.concatenate([[0.0], np.cumsum(gain)])
    low = np.minimum.accumulate(sums)
    end = int(np.argmax(sums - low))
    return int(np.argmin(sums[: end + 1])), end


def across_profile(pieces: Pieces, run: tuple[int, int]) -> tuple[Vector, float]:
    """Return the mean profile of a run of pieces and the error of one of its pixels.

    Parameters
    ----------
    pieces : Pieces
        Along the trail.
    run : tuple of int
        First piece, and the one behind the last.

    Returns
    -------
    profile : ndarray, float64, shape (w,)
        0 where nothing was left [image units].
    error : float
        From its borders [image units].
    """
    part = pieces.profile[slice(*run)]
    profile = np.nan_to_num(_mean_of(part.T))
    sides = np.concatenate([profile[:_SIDE], profile[-_SIDE:]])
    return profile, float(np.std(sides)) + 1e-30


def fit_gaussian(profile: Vector, step: float) -> tuple[float, float, float]:
    """Fit a Gaussian to a profile.

    Parameters
    ----------
    profile : ndarray, float64, shape (w,)
        The trail near the middle.
    step : float
        Distance between its samples [px].

    Returns
    -------
    peak, centre, fwhm : float
        Peak [image units], centre from the middle [px], width [px].
    """
    place = (np.arange(profile.size) - profile.size // 2) * step
    scale = max(float(profile.max()), 1e-30)

    def residual(p: Vector) -> Vector:
        return np.asarray(p[0] * np.exp(-0.5 * ((place - p[1]) / p[2]) ** 2) - profile / scale)

    widest = 0.25 * profile.size * step
    fit = least_squares(residual, [1.0, 0.0, 2.0], bounds=([0.0, -8.0, 0.5], [4.0, 8.0, max(widest, 1.0)]))
    return float(fit.x[0] * scale), float(fit.x[1]), float(_FWHM * fit.x[2])


def reach_of(profile: Vector, error: float, level: float, step: float) -> float:
    """Return how far from the axis a smoothed profile stays above a level.

    Parameters
    ----------
    profile : ndarray, float64, shape (w,)
        Around the axis.
    error : float
        Noise of a sample.
    level : float
        Least brightness.
    step : float
        Distance between samples [px].

    Returns
    -------
    float
        The smaller of both sides: beside it no star lies [px].
    """
    smooth = np.convolve(profile, np.ones(3) / 3.0, mode="same")
    faint = np.flatnonzero(smooth < max(level, 2.0 * error))
    half = profile.size // 2
    right, left = faint[faint >= half], faint[faint <= half]
    ends = (right[0] - half if right.size else half), (half - left[-1] if left.size else half)
    return float(min(ends) * step)
