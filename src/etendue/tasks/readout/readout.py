"""Undo what the electronics did between pixels and file."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.segments import Segments
from etendue.image.exposure import Exposure
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.charge_transfer import CorrectChargeTransferConfig, CorrectChargeTransferTask
from etendue.tasks.readout.crosstalk import CorrectCrosstalkConfig, CorrectCrosstalkTask
from etendue.tasks.readout.dead import dead_amplifiers
from etendue.tasks.readout.electronics import Electronics
from etendue.tasks.readout.levels import OverscanLevel
from etendue.tasks.readout.linearize import LinearizeTask
from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask
from etendue.tasks.readout.parallel_overscan import SubtractParallelOverscanConfig, SubtractParallelOverscanTask
from etendue.tasks.task import Task, TaskConfig


class ReadoutConfig(TaskConfig):
    """Configuration of `ReadoutTask`."""

    dither: bool = False
    """Add a uniform number of half a count to both sides to integer counts, so that medians are not quantised."""

    dither_seed: int = Field(0, ge=0)
    """Equal seeds and counts give equal numbers."""

    overscan: SubtractOverscanConfig = SubtractOverscanConfig()
    """Serial overscan."""

    crosstalk: CorrectCrosstalkConfig = CorrectCrosstalkConfig()
    """Crosstalk."""

    parallel_overscan: SubtractParallelOverscanConfig = SubtractParallelOverscanConfig()
    """Parallel overscan."""

    charge_transfer: CorrectChargeTransferConfig = CorrectChargeTransferConfig()
    """Deferred charge."""


class Readout(NamedTuple):
    """The light-sensitive pixels of a raw frame, and what was found on the way."""

    pixels: NDArray[np.float32]
    """Trimmed frame, shape of the detector's box [e or ADU]; NaN where a pixel is not finite."""

    beyond: NDArray[np.bool_]
    """Pixels above the turn-off of the photon transfer curve, where charge spills over; none where it is not known."""

    near: NDArray[np.bool_]
    """Pixels close to it."""

    crosstalk: NDArray[np.bool_] | None
    """Pixels that crosstalk changed much; None without a correction."""

    dead: dict[str, str]
    """Dead amplifiers, and why."""

    levels: tuple[OverscanLevel, ...]
    """Overscan of each amplifier that has one."""


_NEAR = 0.9  # of the turn-off
_NOBODY: Mapping[int, Segments] = {}


class ReadoutTask(Task[ReadoutConfig]):
    """From a raw frame to the charge in its light-sensitive pixels.

    The electronics are undone in the reverse of the order in which they act: overscan, bias, crosstalk, linearity,
    gain, deferred charge.
    """

    def run(
        self,
        raw: NDArray[Any],
        detector: Detector,
        *,
        calibrations: Calibrations | None = None,
        electronics: Sequence[Electronics] | None = None,
        partners: Mapping[int, Segments] = _NOBODY,
    ) -> Readout:
        """Undo the readout and trim.

        Parameters
        ----------
        raw : ndarray, shape (ny, nx)
            Raw frame of the detector [ADU].
        detector : Detector
            Geometry of the frame.
        calibrations : Calibrations, optional
            Of these bias, crosstalk, linearizer, charge_transfer, and the turn-offs of the ptc.
        electronics : sequence of Electronics, optional
            Gain of each amplifier; without them the pixels stay in ADU, and deferred charge where it is.
        partners : mapping of int to Segments, optional
            Other detectors of the exposure, as of `above_overscan`, for crosstalk between detectors.

        Returns
        -------
        Readout

        Raises
        ------
        InputError
            If the frame has another shape than the detector, or a calibration lacks an amplifier.
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        known = calibrations or Calibrations()
        segments = Segments.of(raw, detector)
        dead = dead_amplifiers(segments)
        self._dither(segments, raw)
        levels = SubtractOverscanTask(self.config.overscan).run(segments)
        if known.bias is not None:
            _subtract(segments, known.bias)
        beyond, near = (_above(segments, known, part) for part in (1.0, _NEAR))
        crossed = self._without_crosstalk(segments, known, partners)
        SubtractParallelOverscanTask(self.config.parallel_overscan).run(segments)
        if known.linearizer is not None:
            LinearizeTask().run(segments, known.linearizer)
        if electronics is not None:
            with np.errstate(over="ignore"):  # damaged frames of floats
                segments.array[...] *= np.array([values.gain for values in electronics], np.float32)[:, None, None]
            if known.charge_transfer is not None:
                CorrectChargeTransferTask(self.config.charge_transfer).run(segments, known.charge_transfer)
        pixels = segments.assemble()
        if not np.issubdtype(raw.dtype, np.integer):
            pixels[~np.isfinite(pixels)] = np.nan
        return Readout(pixels, beyond, near, crossed, dead, levels)

    def above_overscan(self, raw: NDArray[Any], detector: Detector) -> Segments:
        """Return a frame above its overscan, as `run` takes other detectors of an exposure.

        Parameters
        ----------
        raw : ndarray, shape (ny, nx)
            Raw frame [ADU].
        detector : Detector
            Geometry of the frame.

        Returns
        -------
        Segments
        """
        segments = Segments.of(raw, detector)
        SubtractOverscanTask(self.config.overscan).run(segments)
        return segments

    def _dither(self, segments: Segments, raw: NDArray[Any]) -> None:
        if self.config.dither and np.issubdtype(raw.dtype, np.integer):
            rng = np.random.default_rng(self.config.dither_seed)
            segments.array[...] += rng.random(segments.array.shape, np.float32) - np.float32(0.5)

    def _without_crosstalk(
        self, segments: Segments, known: Calibrations, partners: Mapping[int, Segments]
    ) -> NDArray[np.bool_] | None:
        if known.crosstalk is None:
            return None
        return CorrectCrosstalkTask(self.config.crosstalk).run(segments, known.crosstalk, partners)


def _subtract(segments: Segments, bias: Exposure) -> None:
    for number, order in enumerate(segments.orders):
        segments.data(number)[...] -= order.view(bias.image.array, segments.detector)


def _above(segments: Segments, known: Calibrations, part: float) -> NDArray[np.bool_]:
    """Return the pixels above a part of the turn-off of their amplifier."""
    mask = np.zeros(segments.detector.bbox.shape, bool)
    if known.ptc is not None:
        for number, order in enumerate(segments.orders):
            limit = part * known.ptc[order.amplifier.name].turnoff_adu
            if np.isfinite(limit):
                order.view(mask, segments.detector)[...] = segments.data(number) > limit
    return mask
