"""Turn a raw frame into a calibrated exposure."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.isr import divide_by_response
from etendue.tasks.isr.amp_offset import LevelAmplifiersConfig, LevelAmplifiersTask
from etendue.tasks.isr.brighter_fatter import CorrectBrighterFatterConfig, CorrectBrighterFatterTask
from etendue.tasks.isr.calibration_noise import calibration_noise, noise_record
from etendue.tasks.isr.frame_mask import MaskFrameConfig, MaskFrameTask
from etendue.tasks.isr.interpolate_defects import InterpolateDefectsConfig, InterpolateDefectsTask
from etendue.tasks.isr.sky_pattern import SkyPatternConfig, SubtractSkyPatternTask
from etendue.tasks.isr.visit import visit_info_of
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.crosstalk import crosstalk_of
from etendue.tasks.readout.electronics import Electronics, electronics_of
from etendue.tasks.readout.readout import Readout, ReadoutConfig, ReadoutTask
from etendue.tasks.readout.shutter import shutter_factor
from etendue.tasks.task import Task, TaskConfig

Calibration = Literal[
    "bias", "crosstalk", "linearizer", "ptc", "charge_transfer", "dark", "brighter_fatter", "shutter", "flat",
    "illumination", "fringe", "sky", "defects",
]  # fmt: skip
STEPS: tuple[Calibration, ...] = get_args(Calibration)
"""Calibrations in the order in which they are applied."""
_NOISE_STEP = 8  # the noise of calibrations is looked at in every 8th row and column
_NOBODY: Mapping[int, RawFrame] = MappingProxyType({})


class IsrConfig(TaskConfig):
    """Configuration of `IsrTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels."""

    mask: MaskFrameConfig = MaskFrameConfig()
    """Planes of bad pixels."""

    pattern_planes: tuple[str, ...] = ("BAD", "SAT", "NO_DATA", "VIGNETTED")
    """Planes whose pixels do not tell how strong fringes are."""

    brighter_fatter: CorrectBrighterFatterConfig = CorrectBrighterFatterConfig()
    """Correction of the brighter-fatter effect."""

    fringe: SkyPatternConfig = SkyPatternConfig()
    """Fit of the fringes' strength."""

    sky: SkyPatternConfig = SkyPatternConfig(cell_size=64, degree=0)
    """Fit of the sky frame's strength."""

    level_amplifiers: LevelAmplifiersConfig = LevelAmplifiersConfig()
    """Search for steps of the sky between amplifiers."""

    remove_amplifier_steps: bool = True
    """Whether significant steps are removed."""

    interpolate: InterpolateDefectsConfig = InterpolateDefectsConfig()
    """Interpolation over bad and saturated pixels."""

    interpolate_defects: bool = True
    """Whether they are interpolated over."""

    skip: tuple[Calibration, ...] = ()
    """Calibrations that are not used though they are there: their steps are switched off."""

    required: tuple[Calibration, ...] = ()
    """Calibrations without which no frame is processed."""


class IsrTask(Task[IsrConfig]):
    """Remove the signature of the instrument, mask, interpolate, and give every pixel a variance.

    The gain comes from the ptc if there is one, else from the camera description, else from the header.
    """

    def run(
        self,
        *,
        raw: RawFrame,
        camera: Camera,
        calibrations: Calibrations | None = None,
        by_hand: Mask | None = None,
        beside: Mapping[int, RawFrame] = _NOBODY,
    ) -> Exposure:
        """Calibrate one raw frame.

        Parameters
        ----------
        raw : RawFrame
            The frame.
        camera : Camera
            Its camera.
        calibrations : Calibrations, optional
            What was measured about the detector; none by default.
        by_hand : Mask, optional
            Planes to set before bad pixels are interpolated, of the trimmed detector.
        beside : mapping of int to RawFrame, optional
            Frames of other detectors of the exposure by their ids, for crosstalk from them.

        Returns
        -------
        Exposure
            In electrons, trimmed. The variance is read noise and photon noise of the pixel itself; pixels
            without value or response are NaN, with plane NO_DATA. ``metadata["isr"]`` names the calibrations applied,
            ``metadata["calibration_noise"]`` says how much noise of their own they left.

        Raises
        ------
        InputError
            If a calibration that is needed is missing, or does not belong to the frame (`Calibrations.check`).
        """
        detector = camera.detector(raw.detector_id)
        use = self._chosen(calibrations or Calibrations(), raw, detector)
        use.check(raw, detector)
        electronics = electronics_of(detector, use.ptc, raw.info)
        response = _response(use, detector, electronics)
        readout = self._readout(raw, camera, use, electronics, beside)
        image, variance = self._calibrate(raw, detector, use, response, electronics, readout.pixels)
        thin = (slice(None, None, _NOISE_STEP),) * 2
        noise = calibration_noise(
            image, detector, calibrations=use, electronics=electronics, response=response,
            seconds=raw.info.exposure_time_s, step=_NOISE_STEP,
        )  # fmt: skip
        facts = _facts(electronics, use, readout) | {"calibration_noise": noise_record(variance[thin], noise)}
        mask = MaskFrameTask(self.config.mask).run(raw, camera, readout, response, use.defects)
        if by_hand is not None:
            mask = Mask(mask.array | by_hand.array, mask.bbox)
        image, patterns = self._without_patterns(image, mask, use)
        image, steps = self._without_steps(image, mask, detector)
        lost = mask.any_of(("NO_DATA",))
        image[lost], variance[lost] = np.nan, np.nan
        exposure = Exposure(
            image=Image(image, detector.bbox),
            mask=mask,
            variance=Image(variance, detector.bbox),
            wcs=raw.info.wcs,
            band=raw.info.band,
            physical_filter=raw.info.physical_filter,
            visit_info=visit_info_of(raw.info, camera.observatory),
            detector=detector.id,
            unit="electron",
            metadata=facts | patterns | steps,
        )
        if not self.config.interpolate_defects:
            return exposure
        return InterpolateDefectsTask(self.config.interpolate).run(exposure)

    def _chosen(self, calibrations: Calibrations, raw: RawFrame, detector: Detector) -> Calibrations:
        """Return the calibrations that are switched on; refuse to go on without one that is needed."""
        for kind in self.config.required:
            if getattr(calibrations, kind) is None:
                raise InputError(f"there is no {kind}", source=raw.info.file_name,
                                 remedy=f"certify a {kind} that is valid then, or take it off 'required'")  # fmt: skip
        if calibrations.crosstalk is None and detector.crosstalk is not None:
            calibrations = replace(calibrations, crosstalk=crosstalk_of(detector))
        return replace(calibrations, **dict.fromkeys(self.config.skip))

    def _readout(
        self,
        raw: RawFrame,
        camera: Camera,
        use: Calibrations,
        electronics: tuple[Electronics, ...],
        beside: Mapping[int, RawFrame],
    ) -> Readout:
        """Undo what the electronics did, with the help of frames beside."""
        task = ReadoutTask(self.config.readout)
        partners = {key: task.above_overscan(other.array, camera.detector(key)) for key, other in beside.items()}
        detector = camera.detector(raw.detector_id)
        return task.run(raw.array, detector, calibrations=use, electronics=electronics, partners=partners)

    def _calibrate(
        self,
        raw: RawFrame,
        detector: Detector,
        use: Calibrations,
        response: NDArray[np.float32],
        electronics: tuple[Electronics, ...],
        charge: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return image [e-] and variance [e-**2]."""
        variance = np.empty_like(charge)
        for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
            where = amplifier.bbox.slices_in(detector.bbox)
            variance[where] = np.maximum(charge[where], 0.0) + np.float32(values.read_noise**2)
        if use.brighter_fatter is not None:
            charge = CorrectBrighterFatterTask(self.config.brighter_fatter).run(charge, use.brighter_fatter).image
        if use.dark is not None:
            charge -= use.dark.image.array * np.float32(raw.info.exposure_time_s)
        if use.shutter is not None:
            response = response * shutter_factor(use.shutter, raw.info.exposure_time_s)
        divide_by_response(charge, variance, response)
        return charge, variance

    def _without_patterns(
        self, image: NDArray[np.float32], mask: Mask, use: Calibrations
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Subtract fringes and sky frame; tell how strong they were."""
        bad, facts = mask.any_of(self.config.pattern_planes), {}
        for kind, config in (("fringe", self.config.fringe), ("sky", self.config.sky)):
            pattern = getattr(use, kind)
            if pattern is not None:
                fit = SubtractSkyPatternTask(config).run(image, bad, pattern.image.array)
                image = fit.image
                facts[kind] = {"scale": fit.scale, "scale_err": fit.scale_err, "subtracted": fit.subtracted}
        return image, facts

    def _without_steps(
        self, image: NDArray[np.float32], mask: Mask, detector: Detector
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Remove steps between amplifiers; tell what they were."""
        if not self.config.remove_amplifier_steps or len(detector.amplifiers) == 1:
            return image, {}
        bad = mask.any_of(self.config.pattern_planes)
        levelled = LevelAmplifiersTask(self.config.level_amplifiers).run(image, bad, detector)
        return levelled.image, {"amplifier_steps": levelled.to_dict()}


def _response(use: Calibrations, detector: Detector, electronics: tuple[Electronics, ...]) -> NDArray[np.float32]:
    """Return the response to light: a flat built in ADU also holds the ratios between the amplifiers' gains."""
    if use.flat is None:
        return np.ones(detector.bbox.shape, dtype=np.float32)
    response = use.flat.image.array
    if use.illumination is not None:
        response = response * use.illumination.image.array
    if len(electronics) == 1 or use.flat.metadata.get("counted_in", "adu") != "adu":
        return response
    response = response.copy()
    mean_gain = np.mean([values.gain for values in electronics])
    for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
        response[amplifier.bbox.slices_in(detector.bbox)] *= np.float32(values.gain / mean_gain)
    return response


def _facts(electronics: tuple[Electronics, ...], use: Calibrations, readout: Readout) -> dict[str, Any]:
    """Return the electronics used, which calibrations were applied, what the overscan held, and dead amplifiers."""
    facts: dict[str, Any] = {
        "electronics": [
            {"amplifier": e.name, "gain": e.gain, "read_noise": e.read_noise, "source": e.source} for e in electronics
        ],
        "isr": [kind for kind in STEPS if getattr(use, kind) is not None],
        "overscan": [level.to_dict() for level in readout.levels],
    }
    return facts | ({"dead_amplifiers": readout.dead} if readout.dead else {})
