"""Levels of the lines of an overscan region: rows of the serial overscan, columns of the parallel one."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.kernels.overscan import line_levels, running_median, spline_levels
from etendue.tasks.task import TaskConfig

Levels = NDArray[np.float64]
Method = Literal["spline", "running_median", "line", "mean", "median"]
_STUCK = 0.5  # ADU: in a region of more noise a line without any is not an overscan


class LevelsConfig(TaskConfig):
    """What the overscan tasks share."""

    clip: float = Field(4.0, gt=0.0)
    """Clipping radius within a line and between lines [sigma]."""

    iterations: int = Field(3, ge=1)
    """Clipping passes within a line."""

    smoothing: int = Field(31, ge=1)
    """Lines of the running median."""

    knot_spacing: int = Field(50, ge=4)
    """Lines between the knots of a spline. On simulated biases it leaves 0.7 of a running median's error."""

    noisy_line: float = Field(3.0, gt=1.0)
    """A line above its neighbours whose pixels scatter more than this times the typical line is not used: charge bled
    into it."""


@dataclass(frozen=True, slots=True)
class OverscanLevel:
    """What was subtracted from one amplifier.

    Parameters
    ----------
    name : str
        Amplifier.
    method : str
        How it was measured.
    level : float
        Mean over the lines [ADU].
    drift : float
        Standard deviation of what was subtracted along the lines [ADU].
    noise : float
        Typical standard deviation of the pixels of a line: the read noise [ADU].
    rejected : float
        Fraction of the overscan's pixels that was not used.
    lines_filled : int
        Lines without a usable level, whose neighbours' was taken.
    """

    name: str
    method: str
    level: float
    drift: float
    noise: float
    rejected: float
    lines_filled: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return asdict(self)


def measure_levels(
    region: NDArray[np.float32],
    hit: NDArray[np.bool_],
    name: str,
    method: Method,
    config: LevelsConfig,
) -> tuple[Levels, OverscanLevel]:
    """Measure the level of each line of a region.

    Lines are not used, and get the level of their neighbours, if they have no finite pixel, if their pixels are all
    equal in a region that is noisy (it was not read), or if charge bled along them: they lie above their neighbours,
    and scatter much more than others or are next to saturated light.

    Parameters
    ----------
    region : ndarray, float32, shape (n, m)
        Overscan pixels, a line in each row [ADU].
    hit : ndarray, bool, shape (n,)
        Lines next to saturated light.
    name : str
        Amplifier.
    method : str
        ``line``: each line's own; ``running_median`` and ``spline`` smooth along the lines; ``mean`` and ``median`` are
        one level for all.
    config : LevelsConfig
        Radii and widths.

    Returns
    -------
    levels : ndarray, float64, shape (n,)
        [ADU].
    OverscanLevel
        For the record.

    Raises
    ------
    AlgorithmError
        If no line is usable.
    """
    level, scatter, used = line_levels(np.ascontiguousarray(region), config.clip, config.iterations)
    if not (used > 0).any():
        raise AlgorithmError("No pixel of the overscan has a value", amplifier=name)
    noise = float(np.median(scatter[used > 0]))  # of a typical line: some may be odd
    error = max(noise, 0.5) / float(np.sqrt(max(region.shape[1], 1)))
    odd = (used == 0) | ((scatter == 0.0) & (noise > _STUCK) & (region.shape[1] > 3))
    suspect = hit | (scatter > config.noisy_line * max(noise, 0.5))
    if suspect.any() and not (odd | suspect).all():
        calm = running_median(_filled(level, odd | suspect), width=config.smoothing, error=error, clip=np.inf)
        odd |= suspect & (level > calm + config.clip * error)
    if odd.all():
        raise AlgorithmError("No line of the overscan is like the others", amplifier=name)
    level = _filled(level, odd)
    smooth = _smooth(level, region[~odd], method, error, config)
    rejected = 1.0 - float(used[~odd].sum()) / region.size
    drift = float(np.std(smooth))
    noise = float(np.sqrt(np.mean(scatter[~odd] ** 2)))
    return smooth, OverscanLevel(name, method, float(smooth.mean()), drift, noise, rejected, int(odd.sum()))


def _smooth(level: Levels, region: NDArray[np.float32], method: Method, error: float, config: LevelsConfig) -> Levels:
    if method == "running_median":
        return running_median(level, width=config.smoothing, error=error, clip=config.clip)
    if method == "spline":
        return spline_levels(level, spacing=config.knot_spacing, error=error, clip=config.clip)
    if method == "median":
        return np.full(level.size, float(np.median(region[np.isfinite(region)])))
    if method == "mean":
        everything = region.reshape(1, -1)
        return np.full(level.size, line_levels(everything, config.clip, config.iterations)[0][0])
    return level


def _filled(level: Levels, odd: NDArray[np.bool_]) -> Levels:
    """Return levels with those of odd lines interpolated."""
    if not odd.any() or odd.all():
        return level
    place = np.arange(level.size)
    filled = level.copy()
    filled[odd] = np.interp(place[odd], place[~odd], level[~odd])
    return filled
