"""Characterize one exposure: sky, PSF, cosmic rays, detection and measurement."""

from dataclasses import dataclass, replace

import numpy as np

from etendue.image.exposure import Exposure
from etendue.refcat.sample import ReferenceSample
from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
from etendue.tasks.characterize.crowded import FindCrowdedConfig, FindCrowdedTask
from etendue.tasks.characterize.known_stars import KnownStarsConfig, KnownStarsTask
from etendue.tasks.cosmicray.cosmicray import CosmicRayConfig, CosmicRayTask
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.measure.aperture_corrections import ApertureCorrectionsConfig, ApertureCorrectionsTask
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.psf.psf import FitPsfConfig, FitPsfTask, PsfResult
from etendue.tasks.stargal.star_probability import StarProbabilityConfig, StarProbabilityTask
from etendue.tasks.streak.streak import FindStreaksConfig, FindStreaksTask
from etendue.tasks.task import Task, TaskConfig


class CharacterizeConfig(TaskConfig):
    """The algorithms in the order in which they run."""

    background: SubtractBackgroundConfig = SubtractBackgroundConfig()
    """Sky subtraction, before and after detection."""

    subtract_background: bool = True
    """Coadds and images that were characterized before keep their background."""

    bright_detect: DetectConfig = DetectConfig(threshold_snr=10.0)
    """First detection, which finds the stars for the PSF."""

    known_stars: KnownStarsConfig = KnownStarsConfig()
    """Which of them a reference catalog knows, where there is one."""

    psf: FitPsfConfig = FitPsfConfig()
    """PSF model."""

    fit_psf: bool = True
    """Fit the PSF; otherwise the exposure's own is used."""

    cosmic_rays: CosmicRayConfig = CosmicRayConfig()
    """Cosmic-ray finding."""

    find_cosmic_rays: bool = True
    """Coadds have none."""

    streaks: FindStreaksConfig = FindStreaksConfig()
    """Trails of satellites."""

    find_streaks: bool = True
    """Coadds have none."""

    detect: DetectConfig = DetectConfig()
    """Final detection."""

    find_crowded: bool = False
    """Search what the joint fit of all stars leaves for more, and fit the PSF again with all of them: for globular
    clusters and the Galactic plane."""

    crowded: FindCrowdedConfig = FindCrowdedConfig()
    """That search."""

    measure: MeasureConfig = MeasureConfig()
    """Measurement."""

    aperture_corrections: ApertureCorrectionsConfig = ApertureCorrectionsConfig()
    """From what each flux holds of a star to the whole."""

    star_probability: StarProbabilityConfig = StarProbabilityConfig()
    """Which sources are stars, where their extendedness is measured."""


@dataclass(frozen=True, slots=True)
class CharacterizeResult:
    """A clean exposure with its PSF, and the sources on it.

    Parameters
    ----------
    exposure : Exposure
        Sky subtracted, cosmic rays interpolated, with PSF, background, detection planes and aperture corrections.
    detected : DetectResult
        Peaks and footprints.
    columns : SourceColumns
        One row per peak; the corrections are not applied.
    psf : PsfResult or None
        The PSF fit, whose flags refer to the bright detection; None if no PSF was fitted.
    psf_x, psf_y : ndarray, float64, shape (m,)
        Positions of the bright detection [px].
    """

    exposure: Exposure
    detected: DetectResult
    columns: SourceColumns
    psf: PsfResult | None
    psf_x: np.ndarray
    psf_y: np.ndarray


class CharacterizeTask(Task[CharacterizeConfig]):
    """As LSST's calibrateImage: sky, PSF from bright stars, cosmic rays, trails, sky again, deep detection."""

    def __init__(self, config: CharacterizeConfig | None = None):
        super().__init__(config)
        self.background = SubtractBackgroundTask(self.config.background)
        self.bright_detect = DetectTask(self.config.bright_detect)
        self.known_stars = KnownStarsTask(self.config.known_stars)
        self.psf = FitPsfTask(self.config.psf)
        self.cosmic_rays = CosmicRayTask(self.config.cosmic_rays)
        self.streaks = FindStreaksTask(self.config.streaks)
        self.detect = DetectTask(self.config.detect)
        self.crowded = FindCrowdedTask(self.config.crowded, measure=self.config.measure)
        self.measure = MeasureTask(self.config.measure)
        self.aperture_corrections = ApertureCorrectionsTask(self.config.aperture_corrections)
        self.star_probability = StarProbabilityTask(self.config.star_probability)

    def run(self, *, exposure: Exposure, reference: ReferenceSample | None = None) -> CharacterizeResult:
        """Characterize an exposure of any unit.

        Parameters
        ----------
        exposure : Exposure
            With variance and mask; a PSF too if ``fit_psf`` is off.
        reference : ReferenceSample, optional
            Stars of a catalog on and around the exposure, whose WCS may be off by as much as `MatchPatternConfig` says:
            those are the stars of the PSF, where there are enough.

        Returns
        -------
        CharacterizeResult

        Raises
        ------
        AlgorithmError
            If nothing is detected, or too few stars make a PSF.
        """
        psf_result, psf_x, psf_y = None, np.zeros(0), np.zeros(0)
        if self.config.subtract_background:
            exposure = self.background.run(exposure=exposure).exposure
        if self.config.fit_psf:
            bright = self.bright_detect.run(exposure=exposure)
            psf_x, psf_y = bright.x, bright.y
            psf_result = self._psf(exposure, bright, reference)
            exposure = exposure.replace(psf=psf_result.psf)
        if self.config.find_cosmic_rays and exposure.psf is not None:
            exposure = self.cosmic_rays.run(exposure=exposure, psf=exposure.psf)
        if self.config.find_streaks:
            exposure = self.streaks.run(exposure=exposure).exposure
        detected = self.detect.run(exposure=exposure)
        if self.config.subtract_background:
            exposure = self.background.run(exposure=detected.exposure).exposure
            detected = self.detect.run(exposure=exposure)
        if self.config.find_crowded:
            detected = self.crowded.run(exposure=detected.exposure, detected=detected)
            if self.config.fit_psf:
                psf_x, psf_y = detected.x, detected.y
                psf_result = self._psf(detected.exposure, detected, reference)
                detected = replace(detected, exposure=detected.exposure.replace(psf=psf_result.psf))
        columns = self.measure.run(
            exposure=detected.exposure, x=detected.x, y=detected.y, footprints=detected.footprints
        )
        columns = self._told_from_galaxies(columns)
        corrections = self.aperture_corrections.run(columns, detected.exposure.bbox)
        exposure = detected.exposure.replace(aperture_corrections=corrections)
        return CharacterizeResult(exposure, detected, columns, psf_result, psf_x, psf_y)

    def _psf(self, exposure: Exposure, found: DetectResult, reference: ReferenceSample | None) -> PsfResult:
        """Fit the PSF to the stars among what was found."""
        known = None
        if reference is not None:
            known = self.known_stars.run(
                exposure=exposure, x=found.x, y=found.y, brightness=found.peak_snr, reference=reference
            )
        return self.psf.run(
            exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr, known=None if known is None else known >= 0
        )

    def _told_from_galaxies(self, columns: SourceColumns) -> SourceColumns:
        """Add the probability of being a star."""
        measured = columns.measured
        if "broadFraction" not in measured:
            return columns
        found = self.star_probability.run(
            broad=measured["broadFraction"], broad_err=measured["broadFractionErr"], flux=columns.psf_flux
        )
        return replace(columns, measured={**measured, "starProbability": found.probability})
