"""From a series of aperture fluxes to light curves of all its stars."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.tasks.lightcurve.columns import reduce_frames
from etendue.tasks.lightcurve.detrend import DetrendConfig, DetrendResult, DetrendTask
from etendue.tasks.lightcurve.ensemble import EnsembleConfig, EnsembleResult, EnsembleTask
from etendue.tasks.lightcurve.series import Series
from etendue.tasks.lightcurve.systematics import SystematicsConfig, SystematicsResult, SystematicsTask
from etendue.tasks.lightcurve.variability import VariabilityConfig, VariabilityResult, VariabilityTask
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class LightCurvesConfig(TaskConfig):
    """The algorithms in the order in which they run."""

    ensemble: EnsembleConfig = EnsembleConfig()
    """Differential photometry, once per aperture."""

    aperture_gain: float = Field(0.05, ge=0.0)
    """A star has another aperture than stars of like brightness if that scatters less by this fraction."""

    aperture_group: int = Field(40, ge=1)
    """Number of stars of like brightness that choose an aperture together."""

    systematics: SystematicsConfig = SystematicsConfig()
    """What all stars share."""

    rounds: int = Field(2, ge=0)
    """Rounds of ensemble and systematics."""

    detrend: DetrendConfig = DetrendConfig()
    """Trends that single stars follow."""

    variability: VariabilityConfig = VariabilityConfig()
    """Statistics and claims."""


@dataclass(frozen=True, slots=True, eq=False)
class LightCurves:
    """Light curves of one series.

    Parameters
    ----------
    series : Series
        What was measured.
    aperture : ndarray, int64, shape (n_stars,)
        Aperture chosen for each star.
    raw, detrended, error : ndarray, float64, shape (n_frames, n_stars)
        Magnitudes against the ensemble minus the star's mean, before and after detrending, and the 1-sigma error of
        both [mag]; NaN where not usable.
    mean_mag : ndarray, float64, shape (n_stars,)
        Mean instrumental magnitudes, corrected to the largest aperture.
    weight : ndarray, float64, shape (n_frames, n_stars)
        Weights in the ensemble.
    systematics : dict of int to SystematicsResult
        Common effects in each aperture that some star has.
    trends : DetrendResult
        Trends of single stars.
    variability : VariabilityResult
        Statistics of the detrended curves.
    """

    series: Series
    aperture: NDArray[np.int64]
    raw: Real
    detrended: Real
    error: Real
    mean_mag: Real
    weight: Real
    systematics: dict[int, SystematicsResult]
    trends: DetrendResult
    variability: VariabilityResult


class LightCurvesTask(Task[LightCurvesConfig]):
    """Ensemble photometry in every aperture, choice of the aperture, common effects, trends, statistics."""

    def run(self, *, series: Series) -> LightCurves:
        """Make the light curves of one series.

        Parameters
        ----------
        series : Series
            Measurements of one band and detector.

        Returns
        -------
        LightCurves

        Raises
        ------
        AlgorithmError
            If too few stars can compare.
        """
        none = np.zeros(series.shape)
        plain = [self._ensemble(series, k, none) for k in range(series.radii.size)]
        aperture = self._choose(series, plain)
        shared = {int(k): self._shared(series, int(k)) for k in np.unique(aperture)}
        flat = {k: solved for k, (solved, _) in shared.items()}
        residual, weight = _pick(flat, aperture, "residual"), _pick(flat, aperture, "weight")
        detrended = DetrendTask(self.config.detrend).run(residual=residual, weight=weight, airmass=series.airmass)
        by_aperture = dict(enumerate(plain))
        raw, error = _pick(by_aperture, aperture, "residual"), _pick(flat, aperture, "residual_err")
        raw, final = (
            raw - reduce_frames(np.nanmedian, raw),
            detrended.residual - reduce_frames(np.nanmedian, detrended.residual),
        )
        mean = _total_magnitudes(plain, aperture)
        variability = VariabilityTask(self.config.variability).run(
            time_d=series.mjd_tai, residual=final, mag=mean, mag_err=error
        )
        return LightCurves(
            series, aperture, raw, final, np.where(np.isfinite(raw), error, np.nan), mean, weight,
            {k: found for k, (_, found) in shared.items()}, detrended, variability,
        )  # fmt: skip

    def _ensemble(self, series: Series, aperture: int, correction: Real) -> EnsembleResult:
        mag, mag_err, usable = series.magnitudes(aperture)
        mag = np.where(usable, mag - correction, 0.0)
        return EnsembleTask(self.config.ensemble).run(mag=mag, mag_err=mag_err, usable=usable, x=series.x, y=series.y)

    def _shared(self, series: Series, aperture: int) -> tuple[EnsembleResult, SystematicsResult]:
        """Solve one aperture together with what all its stars share."""
        systematics = SystematicsResult((), np.zeros(series.shape))
        solved = self._ensemble(series, aperture, systematics.correction)
        for _ in range(self.config.rounds):
            whole = replace(solved, residual=solved.residual + systematics.correction)  # left over, and found before
            systematics = SystematicsTask(self.config.systematics).run(series=series, ensemble=whole)
            solved = self._ensemble(series, aperture, systematics.correction)
        return solved, systematics

    def _choose(self, series: Series, plain: list[EnsembleResult]) -> NDArray[np.int64]:
        """Return the aperture of least scatter: that of like stars, or the star's own where it is clearly better."""
        scatter = np.stack([np.where(np.isfinite(e.scatter), e.scatter, np.inf) for e in plain])
        own = scatter.argmin(axis=0)
        mag = plain[len(plain) // 2].mean_mag
        order = np.argsort(np.where(np.isfinite(mag), mag, np.inf), kind="stable")
        shared = np.zeros(order.size, np.int64)
        finite = np.where(np.isfinite(scatter), scatter, np.nan)
        for first in range(0, order.size, self.config.aperture_group):
            group = order[first : first + self.config.aperture_group]
            with np.errstate(invalid="ignore", divide="ignore"):
                relative = np.log(finite[:, group] / finite[:, group].min(axis=0))
            seen = np.isfinite(relative).all(axis=0)
            shared[group] = np.median(relative[:, seen], axis=1).argmin() if seen.any() else len(plain) // 2
        stars = np.arange(order.size)
        better = scatter[own, stars] < (1.0 - self.config.aperture_gain) * scatter[shared, stars]
        return np.where(better, own, shared)


def _pick(results: dict[int, EnsembleResult], aperture: NDArray[np.int64], name: str) -> Real:
    """Return the columns of each star's own aperture."""
    first = getattr(next(iter(results.values())), name)
    found = np.full(first.shape, np.nan)
    for k, result in results.items():
        found[:, aperture == k] = getattr(result, name)[:, aperture == k]
    return found


def _total_magnitudes(plain: list[EnsembleResult], aperture: NDArray[np.int64]) -> Real:
    """Return mean magnitudes in each star's aperture plus what comparison stars gain in the largest one."""
    means = np.stack([result.mean_mag for result in plain])
    compare = plain[0].is_comparison & np.isfinite(means).all(axis=0)
    growth = np.median(means[-1, compare] - means[:, compare], axis=1) if compare.any() else np.zeros(len(plain))
    return np.asarray(means[aperture, np.arange(aperture.size)] + growth[aperture])
