"""Turn a raw frame into a calibrated exposure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.camera.section import parse_section
from etendue.errors import InputError
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.ptc import Ptc
from etendue.kernels.interpolate import interpolate_bad
from etendue.kernels.isr import calibrate_section, follow_bleeds, grow_mask
from etendue.tasks.isr.electronics import Electronics, electronics_of
from etendue.tasks.isr.visit import visit_info_of
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig


class IsrConfig(TaskConfig):
    """Configuration of `IsrTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels."""

    bleed_fraction: float = Field(0.5, gt=0.0, le=1.0)
    """Bleed trails are followed along columns down to this fraction of the saturation level."""

    saturation_grow_rows: int = Field(2, ge=0)
    """Saturated pixels and trails are widened by this along columns [px]."""

    saturation_grow_cols: int = Field(2, ge=0)
    """And by this along rows, where the electronics need a pixel or two to recover [px]."""

    vignetted_below: float = Field(0.4, ge=0.0, le=1.0)
    """Pixels whose flat response is lower are VIGNETTED."""

    no_data_below: float = Field(0.02, ge=0.0, le=1.0)
    """Pixels whose flat response is lower hold nothing useful: NO_DATA."""

    interpolated_planes: tuple[str, ...] = ("BAD", "SAT")
    """Planes interpolated over."""

    interpolation_reach: int = Field(16, ge=1)
    """Good pixels are looked for up to this distance [px]."""


class IsrTask(Task[IsrConfig]):
    """Remove the instrument's signature: overscan, bias, gain, flat; mask; interpolate; give every pixel a variance.

    The gain comes from the ptc if there is one, else from the camera description, else from the header.
    """

    def run(
        self,
        *,
        raw: RawFrame,
        camera: Camera,
        bias: Exposure | None = None,
        flat: Exposure | None = None,
        defects: Defects | None = None,
        ptc: Ptc | None = None,
        by_hand: Mask | None = None,
    ) -> Exposure:
        """Calibrate one raw frame.

        Parameters
        ----------
        raw : RawFrame
            The frame.
        camera : Camera
            Its camera.
        bias, flat : Exposure, optional
            Master bias [ADU] and flat (mean 1, same filter); taken as 0 and 1 if absent.
        defects : Defects, optional
            Bad pixels; the camera's own are added.
        ptc : Ptc, optional
            Measured gain and read noise.
        by_hand : Mask, optional
            Planes to set before bad pixels are interpolated, of the trimmed detector.

        Returns
        -------
        Exposure
            In electrons, trimmed. The variance is read noise and photon noise of the pixel itself; pixels
            without value or response are NaN, with plane NO_DATA.

        Raises
        ------
        InputError
            If a calibration has another size, or the flat another filter, than the frame.
        """
        detector = camera.detector(raw.detector_id)
        _check_calibration(raw, detector, bias, "bias")
        _check_calibration(raw, detector, flat, "flat")
        electronics = electronics_of(detector, ptc, raw.info)
        response = _response(flat, detector, electronics)
        image, variance = self._calibrate(raw, detector, bias, response, electronics)
        mask = self._mask(raw, detector, response, defects)
        if by_hand is not None:
            mask = Mask(mask.array | by_hand.array, mask.bbox)
        self._interpolate(image, variance, mask)
        return Exposure(
            image=Image(image, detector.bbox),
            mask=mask,
            variance=Image(variance, detector.bbox),
            wcs=raw.info.wcs,
            band=raw.info.band,
            physical_filter=raw.info.physical_filter,
            visit_info=visit_info_of(raw.info, camera.observatory),
            detector=detector.id,
            unit="electron",
            metadata=_metadata(electronics),
        )

    def _calibrate(
        self,
        raw: RawFrame,
        detector: Detector,
        bias: Exposure | None,
        response: NDArray[np.float32],
        electronics: tuple[Electronics, ...],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return image [e-] and variance [e-**2]."""
        pixels = ReadoutTask(self.config.readout).run(raw.array, detector)
        zero = np.zeros_like(pixels) if bias is None else bias.image.array
        image, variance = np.empty_like(pixels), np.empty_like(pixels)
        for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
            where = amplifier.bbox.slices_in(detector.bbox)
            parts = [np.ascontiguousarray(plane[where]) for plane in (pixels, zero, response)]
            out = np.empty_like(parts[0]), np.empty_like(parts[0])
            calibrate_section(*parts, values.gain, values.read_noise, *out)
            image[where], variance[where] = out
        return image, variance

    def _mask(self, raw: RawFrame, detector: Detector, response: NDArray[np.float32], defects: Defects | None) -> Mask:
        """Return the mask with SAT, BAD, VIGNETTED and NO_DATA."""
        mask = Mask.empty(detector.bbox)
        mask.set_plane("SAT", self._saturated(raw, detector))
        bad = ~np.isfinite(response)
        known = Defects(tuple(parse_section(region) for region in detector.bad_regions))
        for source in (known, defects or Defects()):
            bad |= source.mask(detector.bbox)
        mask.set_plane("BAD", bad)
        mask.set_plane("VIGNETTED", response < self.config.vignetted_below)
        lost = ~np.isfinite(detector.trim(raw.array))
        mask.set_plane("NO_DATA", lost | ~(response > self.config.no_data_below))
        return mask

    def _saturated(self, raw: RawFrame, detector: Detector) -> NDArray[np.bool_]:
        """Return saturated pixels, their bleed trails and a margin around both."""
        pixels = detector.trim(raw.array).astype(np.float32)
        saturated = np.zeros(pixels.shape, dtype=bool)
        for amplifier in detector.amplifiers:
            where = amplifier.bbox.slices_in(detector.bbox)
            section = np.ascontiguousarray(pixels[where])
            full = (section >= amplifier.saturation) & np.isfinite(section)
            saturated[where] = follow_bleeds(full, section, self.config.bleed_fraction * amplifier.saturation)
        return grow_mask(saturated, self.config.saturation_grow_rows, self.config.saturation_grow_cols)

    def _interpolate(self, image: NDArray[np.float32], variance: NDArray[np.float32], mask: Mask) -> None:
        """Interpolate in place over bad pixels and set INTRP."""
        no_data = mask.any_of(("NO_DATA",))
        bad = mask.any_of(self.config.interpolated_planes) | no_data
        done = interpolate_bad(image, variance, bad, self.config.interpolation_reach)
        image[no_data], variance[no_data] = np.nan, np.nan
        mask.set_plane("INTRP", done & ~no_data)


def _response(flat: Exposure | None, detector: Detector, electronics: tuple[Electronics, ...]) -> NDArray[np.float32]:
    """Return the response to light: a flat built in ADU also holds the ratios between the amplifiers' gains."""
    if flat is None:
        return np.ones(detector.bbox.shape, dtype=np.float32)
    if len(electronics) == 1:
        return flat.image.array
    response = flat.image.array.copy()
    mean_gain = np.mean([values.gain for values in electronics])
    for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
        response[amplifier.bbox.slices_in(detector.bbox)] *= np.float32(values.gain / mean_gain)
    return response


def _check_calibration(raw: RawFrame, detector: Detector, calibration: Exposure | None, kind: str) -> None:
    """Refuse a calibration that does not belong to the frame."""
    if calibration is None:
        return
    if calibration.bbox != detector.bbox:
        raise InputError(
            f"the {kind} covers {calibration.bbox.to_list()}, the frame {detector.bbox.to_list()}",
            source=raw.info.file_name,
            remedy=f"use a {kind} of this detector",
        )
    ours, theirs = raw.info.physical_filter, calibration.physical_filter
    if kind == "flat" and theirs and ours != theirs:
        raise InputError(
            f"frame was taken with filter {ours!r}, the flat with {theirs!r}",
            source=raw.info.file_name,
            remedy="use a flat of the same filter",
        )


def _metadata(electronics: tuple[Electronics, ...]) -> dict[str, Any]:
    """Return the electronics used, for the record."""
    return {
        "electronics": [
            {"amplifier": e.name, "gain": e.gain, "read_noise": e.read_noise, "source": e.source} for e in electronics
        ]
    }
