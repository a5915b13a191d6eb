"""Turn the raw frame of one detector of a visit into a preliminary calibrated image and its stars."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.field_of_view import optical_axis
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.log import get_logger
from etendue.refcat.sample import ReferenceSample
from etendue.stages.calibrated_stage import CalibratedStage
from etendue.stages.on_reference import solve_flux, solve_position
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.stage import DatasetHandle, Input, Output, Prerequisite, StageConfig
from etendue.table.table import Table
from etendue.tasks.astrometry.fit import FitAstrometryConfig
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeResult, CharacterizeTask
from etendue.tasks.characterize.source_table import source_table
from etendue.tasks.isr.bright_star_mask import MaskBrightStarsConfig, MaskBrightStarsTask
from etendue.tasks.isr.combine_snaps import CombineSnapsConfig, CombineSnapsTask
from etendue.tasks.isr.find_ghosts import FindGhostsConfig, FindGhostsTask
from etendue.tasks.isr.hand_mask import hand_mask
from etendue.tasks.isr.isr import IsrConfig, IsrTask
from etendue.tasks.isr.pixel_fault import pixel_fault
from etendue.tasks.isr.saturating_stars import saturating_stars
from etendue.tasks.measure.pixel_flags import bright_star_flags
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.photometry.exposure_summary import ExposureSummaryConfig, ExposureSummaryTask
from etendue.tasks.photometry.transparency import TransparencyConfig
from etendue.tasks.photometry.zero_point import ZeroPointConfig
from etendue.tasks.readout.calibrations import Calibrations

_log = get_logger(__name__)


class CalibrateImageConfig(StageConfig):
    """Configuration of `CalibrateImage`."""

    isr: IsrConfig = IsrConfig(skip=("sky",))
    """Instrument signature removal; a sky frame is left to the background model, unless it is taken off ``skip``."""

    combine_snaps: CombineSnapsConfig = CombineSnapsConfig()
    """Adding the snaps of a visit."""

    characterize: CharacterizeConfig = CharacterizeConfig()
    """Sky, PSF, cosmic rays, detection, measurement."""

    astrometry: FitAstrometryConfig = FitAstrometryConfig()
    """WCS against the reference catalog, where there is one."""

    zero_point: ZeroPointConfig = ZeroPointConfig()
    """Flux scale against the reference catalog."""

    refraction_color: str = ""
    """Colour of the reference catalog, such as ``g-i``, for refraction in the air; none by default."""

    photometry_color: str = ""
    """Colour of the reference catalog for the zero point's colour term; none by default."""

    transparency: TransparencyConfig = TransparencyConfig()
    """What counts as cloudy."""

    summary: ExposureSummaryConfig = ExposureSummaryConfig()
    """Where the evenness of the PSF is looked at."""

    reference_margin: float = Field(200.0, ge=0.0)
    """Reference stars are looked for this far outside the detector, for pointing errors [px]."""

    bright_stars: MaskBrightStarsConfig = MaskBrightStarsConfig()
    """Haloes and spikes of saturated stars: those of the reference catalog, else those that the pixels show."""

    ghosts: FindGhostsConfig = FindGhostsConfig()
    """Their ghosts."""

    mask_bright_stars: bool = True
    """Whether haloes, spikes and ghosts are looked for; they are marked only, nothing is subtracted."""

    bright_star_peak: float = Field(2.0, gt=0.0)
    """Reference stars count whose peaks would be this many times the saturation level."""

    crosstalk_between_detectors: bool = False
    """Read the frames of other detectors that the crosstalk calibration names, if they are in the run, and take their
    crosstalk out."""

    nominal_zero_point: float = 25.0
    """AB magnitude of one electron per second on the relative scale, used without reference fluxes [mag]."""


@dataclass(frozen=True)
class CalibrateImageResult:
    """An image in electrons with everything measured on it."""

    exposure: Exposure
    stars: Table


class CalibrateImage(CalibratedStage[CalibrateImageConfig]):
    """Remove the instrument's signature, find the PSF and the sources, and calibrate them on the reference catalog.

    Without a reference catalog positions are by the header's WCS and fluxes on a relative scale. Both are refined
    afterwards over all visits at once (`JointCalibrate`). Pixels stay in electrons.
    """

    dimensions = ("instrument", "visit", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, observation_types=("science",)
    )
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    others = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True, minimum=0,
        others=True, switch="crosstalk_between_detectors",
    )  # fmt: skip
    reference = Prerequisite("refcat", ("htm7",), "EtendueTable", multiple=True, minimum=0)
    photometry_reference = Prerequisite("refcat_photometry", ("htm7",), "EtendueTable", multiple=True, minimum=0)
    exposure = Output("preliminary_visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    stars = Output("single_visit_star", ("instrument", "visit", "detector"), "EtendueTable")

    def run(
        self,
        *,
        raws: tuple[RawFrame, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        others: tuple[DatasetHandle, ...] = (),
        reference: tuple[Table, ...],
        photometry_reference: tuple[Table, ...] = (),
        **calibrations: Any,
    ) -> CalibrateImageResult:
        """Calibrate the raw frames of the visit and add its snaps; absent calibrations are left out.

        The flux scale is that of ``photometry_reference``; of ``reference``, which gives positions, without one.

        Raises
        ------
        AlgorithmError
            If people excluded every frame, a frame's pixels hold nothing, nothing is detected, too few stars make a
            PSF, or the reference stars do not match.
        """
        raws, excluded = apply_overrides(sorted(raws, key=lambda raw: raw.info.exposure_id), overrides, camera)
        if not raws:
            raise AlgorithmError(excluded[0])
        for raw in raws:
            if fault := pixel_fault(raw, camera.detector(raw.detector_id)):
                raise AlgorithmError(fault)
        known = Calibrations(**calibrations)
        _warn_of_missing(raws[0], known)
        isr = IsrTask(self.config.isr)
        snaps = [
            isr.run(
                raw=raw, camera=camera, calibrations=known, by_hand=_by_hand(raw, overrides, camera),
                beside=_beside(raw, known, others),
            )
            for raw in raws
        ]  # fmt: skip
        exposure = CombineSnapsTask(self.config.combine_snaps).run(snaps)
        located = _sample(exposure, reference, self.config.reference_margin) if reference else None
        result = CharacterizeTask(self.config.characterize).run(exposure=exposure, reference=located)
        exposure = result.exposure.replace(photo_calib=self._nominal_scale(result.exposure))
        flags = _psf_flags(result)
        if reference:
            exposure, used = self._on_reference(exposure, result.columns, reference, photometry_reference)
            flags |= used
        if self.config.mask_bright_stars:
            exposure = self._around_bright_stars(exposure, camera, reference)
            flags |= bright_star_flags(exposure.mask, result.columns.x, result.columns.y)
        facts = {**exposure.metadata, **_facts(exposure, result)}
        exposure = exposure.replace(metadata=facts)
        stars = source_table(
            "single_visit_star", result.columns, exposure, photo_calib=exposure.photo_calib, extra=flags
        )
        summary = ExposureSummaryTask(self.config.summary).run(exposure=exposure, sources=stars)
        exposure = exposure.replace(metadata=facts | {name: _known(value) for name, value in summary.items()})
        return CalibrateImageResult(exposure=exposure, stars=stars)

    def _nominal_scale(self, exposure: Exposure) -> PhotoCalib:
        """Return the relative scale on which one electron per second has the nominal magnitude."""
        seconds = exposure.visit_info.exposure_time_s if exposure.visit_info else 1.0
        seconds = seconds if seconds > 0.0 else 1.0
        return PhotoCalib.from_zero_point(self.config.nominal_zero_point + 2.5 * np.log10(seconds), kind="relative")

    def _on_reference(
        self, exposure: Exposure, columns: SourceColumns, reference: tuple[Table, ...], photometry: tuple[Table, ...]
    ) -> tuple[Exposure, dict[str, NDArray[np.bool_]]]:
        """Solve WCS and zero point; tell which sources were used."""
        sample = _sample(exposure, reference, self.config.reference_margin)
        position = solve_position(exposure, columns, sample, self.config.astrometry, self.config.refraction_color)
        if position.moved_px > self.config.reference_margin:  # part of the detector had no stars yet
            sample = _sample(position.exposure, reference, self.config.reference_margin)
            position = solve_position(
                position.exposure, columns, sample, self.config.astrometry, self.config.refraction_color
            )
        stars = _sample(position.exposure, photometry, 0.0) if photometry else None
        flux = solve_flux(
            position, columns, sample, stars, self.config.zero_point, self.config.photometry_color,
            self.config.transparency,
        )  # fmt: skip
        return flux.exposure, flux.flags

    def _around_bright_stars(self, exposure: Exposure, camera: Camera, reference: tuple[Table, ...]) -> Exposure:
        """Mark haloes, spikes and ghosts of stars that saturate."""
        assert exposure.detector is not None
        detector = camera.detector(exposure.detector)
        places = None
        if reference:
            epoch = exposure.visit_info.mjd_tai if exposure.visit_info else None
            full = self.config.bright_star_peak * _full_well(exposure, detector)
            sample = ReferenceSample.from_shards(reference, epoch_mjd=epoch)
            places = saturating_stars(exposure, sample, full_e=full, margin_px=self.config.bright_stars.reach)
        x, y = (None, None) if places is None else places
        stars = MaskBrightStarsTask(self.config.bright_stars).run(exposure, x=x, y=y)
        ghosts = FindGhostsTask(self.config.ghosts).run(
            stars.exposure,
            x=[star.x for star in stars.stars],
            y=[star.y for star in stars.stars],
            axis=optical_axis(detector),
        )
        facts = {"n_bright_star": len(stars.stars), "n_ghost": len(ghosts.ghosts)}
        return ghosts.exposure.replace(metadata={**exposure.metadata, **facts})


def _sample(exposure: Exposure, shards: tuple[Table, ...], margin_px: float) -> ReferenceSample:
    """Return the reference stars of a detector at the epoch of its exposure."""
    if exposure.wcs is None:
        raise AlgorithmError("the frame has no approximate WCS to start from")
    epoch = exposure.visit_info.mjd_tai if exposure.visit_info else None
    sample = ReferenceSample.from_shards(shards, epoch_mjd=epoch)
    return sample.near(exposure.wcs, exposure.bbox, margin_px=margin_px)


def _full_well(exposure: Exposure, detector: Detector) -> float:
    """Return the largest charge that some amplifier can count [e]."""
    gains = {entry["amplifier"]: entry["gain"] for entry in exposure.metadata["electronics"]}
    return max(amplifier.saturation * gains[amplifier.name] for amplifier in detector.amplifiers)


def _beside(raw: RawFrame, known: Calibrations, others: tuple[DatasetHandle, ...]) -> dict[int, RawFrame]:
    """Return the frames of the detectors that leave crosstalk on a frame."""
    partners = known.crosstalk.partners if known.crosstalk is not None else ()
    here = {int(one.data_id["detector"]): one for one in others if one.data_id["exposure"] == raw.info.exposure_id}
    if others and (missing := sorted(set(partners) - set(here))):
        _log.warning("%s: crosstalk of detectors %s stays, which are not in the run", raw.info.file_name, missing)
    return {number: here[number].get() for number in partners if number in here}


def _by_hand(raw: RawFrame, overrides: tuple[FrameOverride, ...], camera: Camera) -> Mask | None:
    """Return the mask that people drew, None where they drew nothing."""
    regions = [region for override in overrides for region in override.masks]
    return hand_mask(regions, camera.detector(raw.detector_id).bbox, raw.info.wcs) if regions else None


def _warn_of_missing(raw: RawFrame, known: Calibrations) -> None:
    for name in ("bias", "flat", "ptc"):
        if getattr(known, name) is None:
            _log.warning("%s: no certified %s, going on without it", raw.info.file_name, name)


def _facts(exposure: Exposure, result: CharacterizeResult) -> dict[str, float]:
    """Return the numbers that the visit summary shows, in electrons."""
    background = exposure.background
    lost = exposure.mask.any_of(("NO_DATA", "BAD", "SAT", "CR", "VIGNETTED"))
    variance = exposure.variance.array[~lost]
    return {
        "sky_level_electron": float(np.median(background.image().array)) if background is not None else 0.0,
        "sky_noise_electron": float(np.sqrt(np.median(variance))) if variance.size else float("nan"),
        "masked_fraction": float(lost.mean()),
        "n_cosmic_ray_pixel": int(exposure.mask.count("CR")),
        "n_source": len(result.columns),
        "n_psf_star": int(result.psf.used.sum()) if result.psf is not None else 0,
    }


def _known(value: float) -> float | None:
    """Return a number for the metadata, None for NaN."""
    return float(value) if np.isfinite(value) else None


def _psf_flags(result: CharacterizeResult) -> dict[str, NDArray[np.bool_]]:
    """Tell which sources the PSF was made of: the nearest to each PSF star, within a pixel."""
    columns, fit = result.columns, result.psf
    flags = {f"calib_psf_{name}": np.zeros(len(columns), bool) for name in ("candidate", "used", "reserved")}
    if fit is not None and len(columns):
        places = np.stack([result.psf_x, result.psf_y], axis=-1)
        distance, nearest = cKDTree(np.stack([columns.x, columns.y], axis=-1)).query(places)
        for name, which in (("candidate", fit.candidate), ("used", fit.used), ("reserved", fit.reserved)):
            flags[f"calib_psf_{name}"][nearest[which & (distance < 1.0)]] = True
    return flags
