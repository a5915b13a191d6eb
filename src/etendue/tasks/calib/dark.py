"""Build a master dark."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.combine import clipped_rate_stack
from etendue.tasks.calib.selection import (
    OnOdd,
    Refusal,
    check_enough,
    check_same_detector,
    settle,
    split_by,
    split_by_conditions,
    split_by_type,
)
from etendue.tasks.calib.stack import TILE_ROWS
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import electronics_of
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig


class BuildDarkConfig(TaskConfig):
    """Configuration of `BuildDarkTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels; must be that of the frames to be calibrated."""

    minimum_frames: int = Field(3, ge=2)
    """Frames needed."""

    clip: float = Field(4.0, gt=0.0)
    """Charge that departs by this from the fitted rate is left out: cosmic rays [sigma]."""

    temperature_tolerance_c: float = Field(3.0, gt=0.0)
    """Dark current doubles every six degrees or so: frames taken at other temperatures do not fit [deg C]."""

    on_odd: OnOdd = "refuse"
    """Whether frames that do not fit stop the task or are dropped and reported."""


class BuildDarkResult(NamedTuple):
    """A master dark and the frames left out."""

    exposure: Exposure
    """Dark current [e/s] with the variance of the fit."""

    refused: tuple[Refusal, ...]
    """Frames left out."""


class BuildDarkTask(Task[BuildDarkConfig]):
    """Fit the dark current of each pixel to frames of any exposure times, without cosmic rays."""

    def run(
        self, raws: Sequence[RawFrame], camera: Camera, calibrations: Calibrations | None = None
    ) -> BuildDarkResult:
        """Build the dark of one detector.

        Parameters
        ----------
        raws : sequence of RawFrame
            Dark frames.
        camera : Camera
            Their camera.
        calibrations : Calibrations, optional
            Bias and what else undoes the readout; gain and read noise are the ptc's, else the camera's or the header's.

        Returns
        -------
        BuildDarkResult
            ``exposure.unit`` is electron, per second. ``exposure.metadata`` holds ``n_frames``, ``seconds``, ``files``,
            ``refused`` ones with the reason, and the median ``rate_e_s`` by amplifier.

        Raises
        ------
        InputError
            If frames are of another type, temperature or mode, last no time, or are too few, naming them.
        """
        kept, refused = self._usable(raws)
        check_enough(kept, self.config.minimum_frames, "dark", refused)
        detector = camera.detector(check_same_detector(kept))
        known = calibrations or Calibrations()
        readout = ReadoutTask(self.config.readout)
        electronics = electronics_of(detector, known.ptc, kept[0].info)
        frames = [readout.run(raw.array, detector, calibrations=known, electronics=electronics).pixels for raw in kept]
        seconds = np.array([raw.info.exposure_time_s for raw in kept])
        noise = float(np.median([values.read_noise for values in electronics]))
        rate, variance = self._fit(frames, seconds, noise)
        metadata = {
            "n_frames": len(kept),
            "seconds": seconds.tolist(),
            "files": [raw.info.file_name for raw in kept],
            "refused": dict(refused),
            "rate_e_s": {
                amplifier.name: float(np.nanmedian(rate[amplifier.bbox.slices_in(detector.bbox)]))
                for amplifier in detector.amplifiers
            },
        }
        exposure = Exposure(
            image=Image(rate, detector.bbox), mask=Mask.empty(detector.bbox), variance=Image(variance, detector.bbox),
            detector=detector.id, unit="electron", metadata=metadata,
        )  # fmt: skip
        return BuildDarkResult(exposure, tuple(refused))

    def _usable(self, raws: Sequence[RawFrame]) -> tuple[list[RawFrame], list[Refusal]]:
        """Part the frames that fit from the others."""
        kept, refused = split_by_type(raws, "dark")
        kept, brief = split_by(kept, lambda raw: None if raw.info.exposure_time_s > 0.0 else "lasts no time")
        kept, unlike = split_by_conditions(kept, self.config.temperature_tolerance_c)
        settle([*refused, *brief, *unlike], self.config.on_odd)
        return kept, [*refused, *brief, *unlike]

    def _fit(
        self, frames: Sequence[NDArray[np.float32]], seconds: NDArray[np.float64], noise: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return rate and variance, a band of rows at a time."""
        variance = max(noise, 1.0) ** 2
        parts = [
            clipped_rate_stack(
                np.stack([frame[row : row + TILE_ROWS] for frame in frames]), seconds, variance, self.config.clip
            )
            for row in range(0, frames[0].shape[0], TILE_ROWS)
        ]
        rate, spread = (np.concatenate(planes) for planes in zip(*parts, strict=True))
        return rate, spread
