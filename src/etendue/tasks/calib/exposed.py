"""Flats with their exposure level, and which levels are usable."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.image.exposure import Exposure
from etendue.tasks.calib.selection import Refusal
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import electronics_of
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.readout.shutter import shutter_factor
from etendue.tasks.task import TaskConfig


class LevelConfig(TaskConfig):
    """Exposure levels of flats."""

    minimum_adu: float = Field(1000.0, ge=0.0)
    """Flats whose middle is fainter are underexposed [ADU above bias]."""

    maximum_fraction: float = Field(0.85, gt=0.0, le=1.0)
    """Flats whose middle is brighter than this fraction of the saturation level are saturated."""


@dataclass(frozen=True, slots=True, eq=False)
class ExposedFlat:
    """One flat, bias subtracted."""

    raw: RawFrame
    """The frame."""

    pixels: NDArray[np.float32]
    """Trimmed pixels above bias [ADU]; NaN where saturated."""

    level: float
    """Median of the middle ninth of the detector [ADU]."""


def expose_flats(
    raws: Sequence[RawFrame],
    detector: Detector,
    calibrations: Calibrations,
    readout: ReadoutConfig,
    levels: LevelConfig,
) -> tuple[list[ExposedFlat], list[Refusal]]:
    """Subtract overscan and bias from flats and part the well-exposed ones from the others.

    Parameters
    ----------
    raws : sequence of RawFrame
        Flats of one detector.
    detector : Detector
        The detector.
    calibrations : Calibrations
        What undoes the readout, and the dark current.
    readout : ReadoutConfig
        From raw to trimmed pixels.
    levels : LevelConfig
        Levels accepted.

    Returns
    -------
    exposed : list of ExposedFlat
        Usable flats.
    refused : list of Refusal
        Saturated and underexposed ones.
    """
    exposed: list[ExposedFlat] = []
    refused: list[Refusal] = []
    task = ReadoutTask(readout)
    ny, nx = detector.bbox.shape
    middle = (slice(ny // 3, max(2 * ny // 3, 1)), slice(nx // 3, max(2 * nx // 3, 1)))
    for raw in raws:
        pixels = task.run(raw.array, detector, calibrations=calibrations).pixels
        if calibrations.dark is not None:
            pixels -= dark_adu(raw, detector, calibrations, calibrations.dark)
        level, counts = float(np.median(pixels[middle])), float(np.median(detector.trim(raw.array)[middle]))
        limit = levels.maximum_fraction * min(amplifier.saturation for amplifier in detector.amplifiers)
        if counts > limit:
            refused.append(
                Refusal(raw.info.file_name, f"is saturated: its middle is at {counts:.0f} ADU > {limit:.0f}")
            )
        elif level < levels.minimum_adu:
            reason = f"is underexposed: its middle is {level:.0f} ADU above bias < {levels.minimum_adu:.0f}"
            refused.append(Refusal(raw.info.file_name, reason))
        else:
            pixels[saturated_pixels(raw, detector)] = np.nan
            if calibrations.shutter is not None:
                pixels /= shutter_factor(calibrations.shutter, raw.info.exposure_time_s)
            exposed.append(ExposedFlat(raw, pixels, level))
    return exposed, refused


def dark_adu(raw: RawFrame, detector: Detector, calibrations: Calibrations, dark: Exposure) -> NDArray[np.float32]:
    """Return the dark current of a frame.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    detector : Detector
        Its detector.
    calibrations : Calibrations
        With the ptc, if its gains are known.
    dark : Exposure
        Dark current [e/s].

    Returns
    -------
    ndarray, float32, shape of ``detector.bbox``
        [ADU].
    """
    counts = dark.image.array * np.float32(raw.info.exposure_time_s)
    for amplifier, values in zip(
        detector.amplifiers, electronics_of(detector, calibrations.ptc, raw.info), strict=True
    ):
        counts[amplifier.bbox.slices_in(detector.bbox)] /= np.float32(values.gain)
    return counts


def saturated_pixels(raw: RawFrame, detector: Detector) -> NDArray[np.bool_]:
    """Return the saturated pixels of a frame: stars in twilight flats.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    detector : Detector
        Its detector.

    Returns
    -------
    ndarray, bool, shape of ``detector.bbox``
    """
    counts = detector.trim(raw.array)
    saturated = np.zeros(counts.shape, dtype=bool)
    for amplifier in detector.amplifiers:
        where = amplifier.bbox.slices_in(detector.bbox)
        saturated[where] = counts[where] >= amplifier.saturation
    return saturated
