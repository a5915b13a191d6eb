"""Everything that was measured about a detector, and whether it may be used for a frame."""

from dataclasses import dataclass, fields

import numpy as np

from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.errors import InputError
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries
from etendue.image.charge_transfer import ChargeTransfer
from etendue.image.crosstalk import Crosstalk
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc

_FILTERED = ("flat", "illumination", "fringe", "sky")
_PIXEL_MAPS = ("bias", "dark", "shutter", "flat", "illumination", "fringe", "sky")
_LEAST_FINITE = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrations:
    """Calibrations of one detector; what is None is not corrected.

    Parameters
    ----------
    bias : Exposure, optional
        Master bias [ADU].
    dark : Exposure, optional
        Dark current [e/s].
    flat : Exposure, optional
        Response, median 1, of the frame's filter. ``metadata["counted_in"]`` says whether it is a ratio of ``electron``
        or of ``adu`` (default): the latter holds the ratios of the amplifiers' gains.
    shutter : Exposure, optional
        Time that each pixel is open beyond the nominal exposure time [s].
    illumination : Exposure, optional
        Factor on the flat: what the lamp or twilight did wrong, from stars or the night sky.
    fringe : Exposure, optional
        Fringes of the night sky, mean 0, in units of the sky's level.
    sky : Exposure, optional
        The pattern of the whole sky, in units of its level; what is subtracted is added to no background model.
    defects : Defects, optional
        Bad pixels; the camera's own are added.
    ptc : Ptc, optional
        Measured gain, read noise and turn-off.
    crosstalk : Crosstalk, optional
        Crosstalk between amplifiers; where it is not measured, the camera's own counts.
    linearizer : Linearizer, optional
        Response of the amplifiers.
    charge_transfer : ChargeTransfer, optional
        Losses on the way to the amplifiers.
    brighter_fatter : PixelBoundaries or BrighterFatterKernel, optional
        What collected charge does to the boundaries of pixels.
    """

    bias: Exposure | None = None
    dark: Exposure | None = None
    flat: Exposure | None = None
    shutter: Exposure | None = None
    illumination: Exposure | None = None
    fringe: Exposure | None = None
    sky: Exposure | None = None
    defects: Defects | None = None
    ptc: Ptc | None = None
    crosstalk: Crosstalk | None = None
    linearizer: Linearizer | None = None
    charge_transfer: ChargeTransfer | None = None
    brighter_fatter: PixelBoundaries | BrighterFatterKernel | None = None

    def check(self, raw: RawFrame, detector: Detector) -> None:
        """Refuse calibrations that do not belong to a frame or hold nothing.

        Parameters
        ----------
        raw : RawFrame
            The frame.
        detector : Detector
            Its detector.

        Raises
        ------
        InputError
            If a pixel map has another size or filter, hardly a finite pixel, or a flat no response.
        """
        for kind in _PIXEL_MAPS:
            calibration = getattr(self, kind)
            if calibration is not None:
                _check_map(raw, detector, calibration, kind)


CALIBRATION_TYPES: tuple[str, ...] = tuple(field.name for field in fields(Calibrations))
"""Dataset types of calibrations."""


def _check_map(raw: RawFrame, detector: Detector, calibration: Exposure, kind: str) -> None:
    name = raw.info.file_name
    if calibration.bbox != detector.bbox:
        raise InputError(
            f"the {kind} covers {calibration.bbox.to_list()}, the frame {detector.bbox.to_list()}",
            source=name,
            remedy=f"use a {kind} of this detector",
        )
    ours, theirs = raw.info.physical_filter, calibration.physical_filter
    if kind in _FILTERED and theirs and ours != theirs:
        raise InputError(
            f"frame was taken with filter {ours!r}, the {kind} with {theirs!r}",
            source=name,
            remedy=f"use a {kind} of the same filter",
        )
    pixels = calibration.image.array
    usable = np.isfinite(pixels)
    if kind in ("flat", "illumination"):
        usable &= pixels > 0.0
    if not usable.mean() >= _LEAST_FINITE:
        what = "positive value" if kind in ("flat", "illumination") else "value"
        raise InputError(
            f"{usable.mean():.0%} of the {kind}'s pixels have a {what}",
            source=name,
            remedy=f"build the {kind} anew, or end its validity with 'etendue calib decertify'",
        )
