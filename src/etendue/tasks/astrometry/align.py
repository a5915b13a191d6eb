"""Bring exposures whose starting WCSs disagree to one frame before their stars are associated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.log import get_logger
from etendue.tasks.astrometry.exposure_stars import ExposureStars
from etendue.tasks.astrometry.fit import FitAstrometryConfig, FitAstrometryTask
from etendue.tasks.match.pattern import MatchPatternConfig
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask
from etendue.tasks.task import Task, TaskConfig

_log = get_logger("etendue.astrometry")


class AlignExposuresConfig(TaskConfig):
    """When a starting WCS is good enough, and how a bad one is corrected."""

    match: MatchSkyConfig = MatchSkyConfig(radius_arcsec=1.0)
    """Match that decides whether a WCS is good enough; its radius is at least half a pixel."""

    min_matched_fraction: float = Field(0.3, ge=0.0, le=1.0)
    """Fraction of the brighter stars that must match for a WCS to be kept."""

    n_bright: int = Field(200, ge=10)
    """Number of the brightest stars that decide."""

    fit: FitAstrometryConfig = FitAstrometryConfig(order=1)
    """Pattern match and linear correction of the others."""

    max_drift: float = Field(0.7, ge=0.0, le=1.0)
    """Exposures may be off by this fraction of the frame's width, where that exceeds the pattern's own limit."""


@dataclass(frozen=True, slots=True, eq=False)
class AlignedExposures:
    """Exposures on one frame.

    Parameters
    ----------
    exposures : tuple of ExposureStars
        In the order given, some with a corrected WCS.
    corrected : ndarray, bool, shape (n,)
        Whose WCS was corrected.
    failed : ndarray, bool, shape (n,)
        Whose WCS is bad and could not be corrected; it is kept as it was.
    """

    exposures: tuple[ExposureStars, ...]
    corrected: NDArray[np.bool_]
    failed: NDArray[np.bool_]


class AlignExposuresTask(Task[AlignExposuresConfig]):
    """Compare every exposure with the one richest in stars, and correct the WCSs that disagree with its own."""

    def run(self, *, exposures: Sequence[ExposureStars]) -> AlignedExposures:
        """Align overlapping exposures.

        Parameters
        ----------
        exposures : sequence of ExposureStars
            Exposures of one field.

        Returns
        -------
        AlignedExposures
        """
        aligned, corrected, failed = list(exposures), np.zeros(len(exposures), bool), np.zeros(len(exposures), bool)
        if not exposures:
            return AlignedExposures((), corrected, failed)
        reference = max(exposures, key=lambda stars: (int(stars.usable.sum()), -stars.visit, -stars.detector))
        for index, stars in enumerate(exposures):
            if stars is reference or self._agrees(stars, reference):
                continue
            try:
                aligned[index] = self._fitted(stars, reference)
                corrected[index] = True
            except AlgorithmError as error:
                failed[index] = True
                _log.warning("visit %d detector %d stays on its starting WCS: %s", stars.visit, stars.detector, error)
        return AlignedExposures(tuple(aligned), corrected, failed)

    def _agrees(self, stars: ExposureStars, reference: ExposureStars) -> bool:
        mine, theirs = (_brightest(s, self.config.n_bright) for s in (stars, reference))
        everything = np.flatnonzero(reference.usable)
        ra, dec = stars.wcs.pixel_to_sky(x=stars.x[mine], y=stars.y[mine])
        ref_ra, ref_dec = reference.wcs.pixel_to_sky(x=reference.x[everything], y=reference.y[everything])
        match = self.config.match.at_least(0.5 * reference.pixel_scale)
        matches = MatchSkyTask(match).run(ra1_deg=ra, dec1_deg=dec, ra2_deg=ref_ra, dec2_deg=ref_dec)
        return bool(matches.first.size >= self.config.min_matched_fraction * min(mine.size, theirs.size))

    def _fitted(self, stars: ExposureStars, reference: ExposureStars) -> ExposureStars:
        mine, theirs = np.flatnonzero(stars.usable), np.flatnonzero(reference.usable)
        ra, dec = reference.wcs.pixel_to_sky(x=reference.x[theirs], y=reference.y[theirs])
        result = FitAstrometryTask(self._fit_config(reference)).run(
            x=stars.x[mine],
            y=stars.y[mine],
            x_err=stars.x_err[mine],
            y_err=stars.y_err[mine],
            flux=stars.flux[mine],
            wcs=stars.wcs,
            ref_ra_deg=ra,
            ref_dec_deg=dec,
            ref_flux=reference.flux[theirs],
        )
        return replace(stars, wcs=result.wcs)

    def _fit_config(self, reference: ExposureStars) -> FitAstrometryConfig:
        """Return the choices of the fit with the limits of this frame: its width, and half a pixel."""
        scale, fit = reference.pixel_scale, self.config.fit
        width = max(float(np.ptp(c[reference.usable])) for c in (reference.x, reference.y)) * scale
        limits = {
            "max_shift_arcsec": max(fit.pattern.max_shift_arcsec, self.config.max_drift * width),
            "tolerance_arcsec": max(fit.pattern.tolerance_arcsec, 0.5 * scale),
        }
        pattern = MatchPatternConfig(**(fit.pattern.model_dump() | limits))
        return FitAstrometryConfig(**(fit.model_dump() | {"pattern": pattern}))


def _brightest(stars: ExposureStars, count: int) -> NDArray[np.int64]:
    usable = np.flatnonzero(stars.usable)
    return usable[np.argsort(-stars.flux[usable], kind="stable")[:count]]
