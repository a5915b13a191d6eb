"""Characterize one exposure: sky, PSF, cosmic rays, detection and measurement."""

from dataclasses import dataclass, replace

import numpy as np

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.log import get_logger
from etendue.refcat.sample import ReferenceSample
from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
from etendue.tasks.background.haloes import SubtractHaloesConfig, SubtractHaloesTask
from etendue.tasks.characterize.crowded import FindCrowdedConfig, FindCrowdedTask
from etendue.tasks.characterize.first_stars import FirstStars, FirstStarsConfig, FirstStarsTask
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

_LONG = 0.3  # ellipticity of a PSF that may be a satellite's
_HOLLOW = 0.8  # middle over peak of the PSF of stars that are rings
_log = get_logger(__name__)


class CharacterizeConfig(TaskConfig):
    """The algorithms in the order in which they run."""

    background: SubtractBackgroundConfig = SubtractBackgroundConfig()
    """Sky subtraction, before and after detection."""

    subtract_background: bool = True
    """Coadds and images that were characterized before keep their background."""

    subtract_haloes: bool = False
    """Take round haloes of saturated stars off the image, for what lies in them; frames that fail get it anyway."""

    haloes: SubtractHaloesConfig = SubtractHaloesConfig()
    """How."""

    first_stars: FirstStarsConfig = FirstStarsConfig()
    """First detection, which finds the stars for the PSF."""

    known_stars: KnownStarsConfig = KnownStarsConfig()
    """Which of them a reference catalog knows, where there is one."""

    psf: FitPsfConfig = FitPsfConfig()
    """PSF model."""

    psf_color: str = ""
    """Colour of the reference catalog, such as ``g-i``, that the PSF depends on; none by default."""

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
        self.haloes = SubtractHaloesTask(self.config.haloes)
        self.first_stars = FirstStarsTask(self.config.first_stars)
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
        try:
            return self._run(exposure, reference)
        except AlgorithmError as error:
            if self.config.subtract_haloes or not exposure.mask.count("SAT"):
                raise
            _log.warning("%s: once more without the haloes of saturated stars", error)
        again = self.config.model_copy(update={"subtract_haloes": True})
        return CharacterizeTask(again).run(exposure=exposure, reference=reference)

    def _run(self, exposure: Exposure, reference: ReferenceSample | None) -> CharacterizeResult:
        """Characterize once."""
        psf_result, psf_x, psf_y = None, np.zeros(0), np.zeros(0)
        if self.config.subtract_background:
            exposure = self.background.run(exposure=exposure).exposure
        if self.config.subtract_haloes:
            exposure = self.haloes.run(exposure).exposure
        if self.config.fit_psf:
            bright, psf_result = self._first_psf(exposure, reference)
            psf_x, psf_y = bright.x, bright.y
            exposure = exposure.replace(psf=psf_result.psf)
        if self.config.find_cosmic_rays and exposure.psf is not None and not _is_hollow(exposure):
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
                beside = self.crowded.beside_others(exposure=detected.exposure, found=detected)
                psf_result = self._psf(detected.exposure, FirstStars(detected, 1, beside), reference)
                detected = replace(detected, exposure=detected.exposure.replace(psf=psf_result.psf))
        columns = self.measure.run(
            exposure=detected.exposure, x=detected.x, y=detected.y, footprints=detected.footprints
        )
        columns = self._told_from_galaxies(columns)
        corrections = self.aperture_corrections.run(columns, detected.exposure.bbox)
        exposure = detected.exposure.replace(aperture_corrections=corrections)
        return CharacterizeResult(exposure, detected, columns, psf_result, psf_x, psf_y)

    def _first_psf(self, exposure: Exposure, reference: ReferenceSample | None) -> tuple[DetectResult, PsfResult]:
        """Fit the PSF to bright stars; where they disagree or are long, once more without the trails of satellites."""
        first, failure = self.first_stars.run(exposure=exposure), None
        try:
            fit = self._psf(exposure, first, reference)
            if not self.config.find_streaks or _ellipticity(fit, exposure) < _LONG:
                return first.detected, fit
        except AlgorithmError as error:
            failure = error
        trails = self.streaks.run(exposure=exposure) if self.config.find_streaks else None
        if trails is not None and trails.streaks:
            first = self.first_stars.run(exposure=trails.exposure, mask_planes=("STREAK",))
            fit, failure = self._psf(trails.exposure, first, reference), None
        if failure is not None:
            raise failure
        return first.detected, fit

    def _psf(self, exposure: Exposure, first: FirstStars, reference: ReferenceSample | None) -> PsfResult:
        """Fit the PSF to the stars among what was found."""
        found, known, color = first.detected, None, None
        if reference is not None:
            rows = self.known_stars.run(
                exposure=exposure, x=found.x, y=found.y, brightness=found.peak_snr, reference=reference
            )
            known = rows >= 0
            color = reference.at(rows).color(self.config.psf_color) if self.config.psf_color else None
        return self.psf.run(
            exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr, scale=first.scale,
            known=known, color=color, in_halo=first.in_halo,
        )  # fmt: skip

    def _told_from_galaxies(self, columns: SourceColumns) -> SourceColumns:
        """Add the probability of being a star."""
        measured = columns.measured
        if "broadFraction" not in measured:
            return columns
        found = self.star_probability.run(
            broad=measured["broadFraction"], broad_err=measured["broadFractionErr"], flux=columns.psf_flux
        )
        return replace(columns, measured={**measured, "starProbability": found.probability})


def _ellipticity(fit: PsfResult, exposure: Exposure) -> float:
    """Return the ellipticity of the PSF at the centre: 0 if it is round, 1 for a line."""
    xx, yy, xy = (float(np.squeeze(one)) for one in fit.psf.moments(x=exposure.bbox.x.center, y=exposure.bbox.y.center))
    return float(np.hypot(xx - yy, 2.0 * xy) / (xx + yy))


def _is_hollow(exposure: Exposure) -> bool:
    """Tell whether stars are rings, out of focus, whose rims look like the traces of cosmic rays."""
    assert exposure.psf is not None
    stamp = exposure.psf.stamp(x=exposure.bbox.x.center, y=exposure.bbox.y.center)
    hollow = bool(stamp[stamp.shape[0] // 2, stamp.shape[1] // 2] < _HOLLOW * stamp.max())
    if hollow:
        _log.warning("stars are rings (out of focus?): cosmic rays are not looked for")
    return hollow
