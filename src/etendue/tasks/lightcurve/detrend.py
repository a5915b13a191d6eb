"""Take common trends off single stars, without eating what happened to one star only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.lightcurve import sysrem_component
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class DetrendConfig(TaskConfig):
    """How many trends, and when one is taken off a star."""

    max_trends: int = Field(3, ge=0, le=10)
    """Most trends that are looked for."""

    iterations: int = Field(10, ge=1)
    """Rounds of SysRem per trend."""

    n_blocks: int = Field(6, ge=3)
    """Blocks of successive frames that are held out in turn."""

    min_gain: float = Field(0.05, ge=0.0)
    """Relative fall of a star's squared residuals on the blocks held out, from which a trend is taken off it."""

    min_shared: float = Field(0.5, ge=0.0, le=1.0)
    """Fraction of the brighter half of the comparison stars that a trend must predict; else it is no common trend."""

    min_stars: int = Field(20, ge=3)
    """Fewest comparison stars from which trends are found."""


@dataclass(frozen=True, slots=True, eq=False)
class DetrendResult:
    """Trends and what is left.

    Parameters
    ----------
    residual : ndarray, float64, shape (n_frames, n_stars)
        Without the trends [mag]; NaN where the input is.
    trends : ndarray, float64, shape (n_trends, n_frames)
        Frame vectors of unit mean square.
    amplitude : ndarray, float64, shape (n_trends, n_stars)
        What was taken off each star [mag]; 0 where a trend predicts nothing.
    """

    residual: Real
    trends: Real
    amplitude: Real


class DetrendTask(Task[DetrendConfig]):
    """SysRem (Tamuz, Mazeh & Zucker 2005) with a cross-validated decision for every trend and every star.

    Trends are found on the comparison stars. A trend counts only if it is common: for most of the brighter comparison
    stars its amplitude, fitted to some blocks of time, must predict the blocks that were left out. It is taken off
    those stars only that pass the same test. Without the first condition the trends of a single night eat transits:
    any two slow curves of a few hours resemble each other.
    """

    def run(self, *, residual: Real, weight: Real, airmass: Real) -> DetrendResult:
        """Find trends and take them off.

        Parameters
        ----------
        residual : ndarray, float64, shape (n_frames, n_stars)
            Residuals of the ensemble [mag]; NaN where there is none.
        weight : ndarray, float64, shape (n_frames, n_stars)
            Weights in the ensemble; stars without any are not asked for trends.
        airmass : ndarray, float64, shape (n_frames,)
            First guess of the first trend; NaN allowed.

        Returns
        -------
        DetrendResult
        """
        n_frames, n_stars = residual.shape
        trends, amplitudes = np.zeros((0, n_frames)), np.zeros((0, n_stars))
        known = np.isfinite(residual)
        left = np.where(known, residual, 0.0)
        if (weight > 0.0).any(axis=0).sum() < self.config.min_stars or n_frames < 4 * self.config.n_blocks:
            return DetrendResult(residual, trends, amplitudes)
        total = weight.sum(axis=0)
        heavy = total >= np.median(total[total > 0.0])
        start = _standard(airmass)
        for _ in range(self.config.max_trends):
            trend, _ = sysrem_component(left, np.where(known, weight, 0.0), start, self.config.iterations)
            amplitude = self._amplitudes(left, known, trend)
            if np.mean(amplitude[heavy] != 0.0) < self.config.min_shared:
                break
            left = left - known * trend[:, None] * amplitude
            trends, amplitudes = np.vstack([trends, trend]), np.vstack([amplitudes, amplitude])
            start = _standard(np.arange(n_frames, dtype=float))
        return DetrendResult(np.where(known, left, np.nan), trends, amplitudes)

    def _amplitudes(self, left: Real, known: NDArray[np.bool_], trend: Real) -> Real:
        """Return the amplitude of a trend in each star, 0 where it predicts no held-out block."""
        block = np.arange(trend.size) * self.config.n_blocks // trend.size
        before = after = np.zeros(left.shape[1])
        for k in range(self.config.n_blocks):
            fitted, held = known & (block != k)[:, None], known & (block == k)[:, None]
            offset, amplitude = _line(left, fitted, trend)
            mean = _line(left, fitted, np.zeros_like(trend))[0]
            before = before + (held * (left - mean) ** 2).sum(axis=0)
            after = after + (held * (left - offset - amplitude * trend[:, None]) ** 2).sum(axis=0)
        predicts = (before > 0.0) & (after < (1.0 - self.config.min_gain) * before)
        return np.where(predicts, _line(left, known, trend)[1], 0.0)


def _line(value: Real, known: NDArray[np.bool_], trend: Real) -> tuple[Real, Real]:
    """Return offset and slope of each star against a trend, least squares; slope 0 for a constant trend."""
    count = np.maximum(known.sum(axis=0), 1)
    wide = np.broadcast_to(trend[:, None], value.shape)
    mean_t, mean_v = (known * wide).sum(axis=0) / count, (known * value).sum(axis=0) / count
    top = (known * (wide - mean_t) * (value - mean_v)).sum(axis=0)
    bottom = (known * (wide - mean_t) ** 2).sum(axis=0)
    slope = np.where(bottom > 0.0, top / np.where(bottom > 0.0, bottom, 1.0), 0.0)
    return mean_v - slope * mean_t, slope


def _standard(covariate: Real) -> Real:
    """Return a covariate of mean 0 and unit spread; a ramp where it is unknown or constant."""
    known = np.isfinite(covariate)
    spread = float(np.std(covariate[known])) if known.any() else 0.0
    if not spread > 0.0:
        covariate, known = np.arange(covariate.size, dtype=float), np.ones(covariate.size, bool)
        spread = float(np.std(covariate))
    return np.where(known, (covariate - np.mean(covariate[known])) / (spread or 1.0), 0.0)
