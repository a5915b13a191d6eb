"""Find the stars of crowded fields, where most peaks hide in the light of others."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class FindCrowdedConfig(TaskConfig):
    """Configuration of `FindCrowdedTask`."""

    rounds: int = Field(6, ge=1)
    """Searches of the residual at most."""

    detect: DetectConfig = DetectConfig(threshold_snr=4.0, wing_tolerance=0.0, sky_cell=0)
    """How the residual is searched: stars that are not in the list are noise for the others."""

    mismatch: float = Field(0.02, ge=0.0)
    """Relative error of the PSF: what it leaves of bright stars is no star."""

    min_separation: float = Field(0.35, gt=0.0)
    """New peaks nearer to a star than this are errors of its fit, in FWHM..."""

    min_ratio: float = Field(0.05, ge=0.0)
    """...and so are those within one FWHM with less than this fraction of its flux."""

    least_gain: float = Field(0.01, ge=0.0)
    """The search ends when it adds fewer stars than this fraction of those known."""

    keep_snr: float = Field(3.0, ge=0.0)
    """Stars whose flux is found fainter once their neighbours are known are dropped."""

    lone_snr: float = Field(5.0, ge=0.0)
    """Fainter stars are kept where they disturb others only."""

    alone_radius: float = Field(3.0, gt=0.0)
    """That is, within this many FWHM; stars of the PSF have little of others' light within it..."""

    alone_share: float = Field(0.3, gt=0.0)
    """...in all no more than this part of theirs..."""

    least_alone: int = Field(40, ge=1)
    """...if there are so many..."""

    alone_snr: float = Field(30.0, gt=0.0)
    """...as bright as this."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stars:
    """The list so far, parent pixels."""

    x: Real
    y: Real
    snr: Real


class FindCrowdedTask(Task[FindCrowdedConfig]):
    """Fit all stars together, search what is left for more, and fit again (DAOPHOT's ALLSTAR, Stetson 1987)."""

    def __init__(self, config: FindCrowdedConfig | None = None, *, measure: MeasureConfig | None = None):
        super().__init__(config)
        self.detect = DetectTask(self.config.detect)
        self.measure = MeasureTask(measure)

    def run(self, *, exposure: Exposure, detected: DetectResult) -> DetectResult:
        """Find more stars.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted, with PSF, variance and mask.
        detected : DetectResult
            What stands out by itself.

        Returns
        -------
        DetectResult
            Positions as fitted; footprints and planes are those given.
        """
        stars = best = _Stars(detected.x, detected.y, detected.peak_snr)
        least = np.inf
        for _ in range(self.config.rounds):
            try:
                fitted, residual = self._fitted(exposure, stars)
            except AlgorithmError:  # more stars than the pixels can tell apart: the last list is the best
                break
            left = _misfit(residual)
            if left > least:  # more stars explain less: the fit is running away
                stars = best
                break
            stars, best, least = fitted, fitted, left
            found = self.detect.run(exposure=residual)
            new = self._new(stars, found, exposure)
            stars = _Stars(*(np.concatenate(pair) for pair in (
                (stars.x, found.x[new]), (stars.y, found.y[new]), (stars.snr, found.peak_snr[new]))))  # fmt: skip
            if np.count_nonzero(new) <= self.config.least_gain * stars.x.size:
                break
        keep = np.flatnonzero((stars.snr >= self.config.lone_snr) | ~self._lone(stars, exposure))
        order = keep[np.argsort(stars.y[keep], kind="stable")]
        return replace(
            detected, x=stars.x[order], y=stars.y[order], peak_snr=stars.snr[order],
            is_negative=np.zeros(order.size, bool),
        )  # fmt: skip

    def beside_others(self, *, exposure: Exposure, found: DetectResult) -> NDArray[np.bool_]:
        """Tell which stars stand in too much light of others to tell the PSF.

        Parameters
        ----------
        exposure : Exposure
            With PSF.
        found : DetectResult
            All stars.

        Returns
        -------
        ndarray, bool, shape (n,)
            Nowhere true if too few would be left.
        """
        one, other = self._pairs(found.x, found.y, exposure)
        light = np.bincount(one, found.peak_snr[other], found.x.size)
        light += np.bincount(other, found.peak_snr[one], found.x.size)
        beside = light > self.config.alone_share * found.peak_snr
        alone = np.count_nonzero(~beside & (found.peak_snr > self.config.alone_snr))
        return beside if alone >= self.config.least_alone else np.zeros(found.x.size, np.bool_)

    def _fitted(self, exposure: Exposure, stars: _Stars) -> tuple[_Stars, Exposure]:
        """Return the stars as fitted together, without those that vanished, and the image minus all."""
        fit = self.measure.fit(exposure=exposure, x=stars.x, y=stars.y)
        snr = fit.flux / fit.flux_err
        keep = np.isfinite(snr) & (snr > self.config.keep_snr)
        box = exposure.bbox
        light = exposure.image.array - fit.residual
        variance = exposure.variance.array + (self.config.mismatch * light) ** 2
        left = exposure.replace(
            image=Image(fit.residual.astype(np.float32), box), variance=Image(variance.astype(np.float32), box)
        )
        return _Stars(fit.x[keep], fit.y[keep], snr[keep]), left

    def _new(self, stars: _Stars, found: DetectResult, exposure: Exposure) -> NDArray[np.bool_]:
        """Tell which peaks of the residual are stars of their own."""
        if not stars.x.size or not found.x.size or exposure.psf is None:
            return np.ones(found.x.size, bool)
        fwhm = exposure.fwhm
        tree = cKDTree(np.column_stack([stars.x, stars.y]))
        distance, nearest = tree.query(np.column_stack([found.x, found.y]))
        faint = found.peak_snr < self.config.min_ratio * stars.snr[nearest]
        return (distance > self.config.min_separation * fwhm) & ~((distance < fwhm) & faint)

    def _lone(self, stars: _Stars, exposure: Exposure) -> NDArray[np.bool_]:
        """Tell which stars have no other near them."""
        pairs = self._pairs(stars.x, stars.y, exposure)
        return np.bincount(pairs.ravel(), minlength=stars.x.size) == 0

    def _pairs(self, x: Real, y: Real, exposure: Exposure) -> NDArray[np.int64]:
        """Return the stars that are near each other, shape (2, n_pairs)."""
        tree = cKDTree(np.column_stack([x, y]))
        return np.asarray(tree.query_pairs(self.config.alone_radius * exposure.fwhm, output_type="ndarray").T)


def _misfit(residual: Exposure) -> float:
    """Return the mean square of what is left in units of the noise; single pixels count up to 5 sigma."""
    with np.errstate(invalid="ignore", divide="ignore"):
        square = residual.image.array.astype(np.float64) ** 2 / residual.variance.array
    return float(np.mean(np.minimum(np.nan_to_num(square, nan=0.0, posinf=0.0), 25.0)))
