"""Subtract the overscan and trim a raw frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.amplifier import Amplifier
from etendue.camera.detector import Detector
from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.kernels.isr import row_levels, smooth_levels
from etendue.tasks.task import Task, TaskConfig


class SubtractOverscanConfig(TaskConfig):
    """Configuration of `SubtractOverscanTask`."""

    margin: int = Field(4, ge=0)
    """Overscan columns left out at both ends: the first hold deferred charge, the last may be odd [px]."""

    clip: float = Field(4.0, gt=0.0)
    """Clipping radius within a row and between rows [sigma]."""

    iterations: int = Field(3, ge=1)
    """Clipping passes within a row."""

    smoothing: int = Field(31, ge=1)
    """Rows of the running median; 1 subtracts every row's own level."""


class SubtractOverscanTask(Task[SubtractOverscanConfig]):
    """Subtract the bias level of each row, measured in the overscan, and keep the light-sensitive pixels.

    The level of a row is a clipped mean over its overscan columns, smoothed along the column: where
    image and overscan share no row noise, subtracting every row's own level would only add its error.
    Rows that truly differ, like those of a start-up transient, keep their own level.
    """

    def run(self, pixels: NDArray[Any], detector: Detector) -> NDArray[np.float32]:
        """Subtract and trim.

        Parameters
        ----------
        pixels : ndarray, shape (ny, nx)
            Raw frame of the detector [ADU].
        detector : Detector
            Geometry of the frame.

        Returns
        -------
        ndarray, float32, shape of ``detector.bbox``
            Trimmed frame [ADU], NaN where a pixel is not finite. Without overscan nothing is subtracted: the bias frame
            holds the level.

        Raises
        ------
        InputError
            If the frame has another shape than the detector.
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        trimmed = detector.trim(pixels).astype(np.float32)
        trimmed[~np.isfinite(trimmed)] = np.nan
        for amplifier in detector.amplifiers:
            level = self._levels(pixels, amplifier, detector.raw_bbox).astype(np.float32)
            trimmed[amplifier.bbox.slices_in(detector.bbox)] -= level[:, np.newaxis]
        return trimmed

    def _levels(self, pixels: NDArray[Any], amplifier: Amplifier, frame: Box) -> NDArray[np.float64]:
        """Return the level of each row of an amplifier, in the order of the trimmed frame."""
        config = self.config
        serial, parallel = amplifier.raw_serial_overscan, amplifier.raw_parallel_overscan
        if serial is None:
            if parallel is None:
                return np.zeros(amplifier.raw_data.y.size)
            region = _filled(pixels[parallel.slices_in(frame)].astype(np.float32).reshape(1, -1))
            return np.repeat(row_levels(region, config.clip, config.iterations), amplifier.raw_data.y.size)
        box = Box(y=amplifier.raw_data.y, x=serial.x)
        region = _filled(_without_margin(pixels[box.slices_in(frame)], config.margin).astype(np.float32))
        level = row_levels(np.ascontiguousarray(region), config.clip, config.iterations)
        smooth = smooth_levels(level, width=config.smoothing, error=_level_error(region), clip=config.clip)
        return smooth[::-1] if amplifier.flip_y else smooth


def _filled(region: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace values that are not finite by the median of their row, or of the region where the row has no other."""
    known = np.isfinite(region)
    if known.all():
        return region
    if not known.any():
        raise AlgorithmError("No pixel of the overscan has a value")
    filled = np.where(known, region, np.median(region[known]))
    for row in np.flatnonzero(~known.all(axis=1) & known.any(axis=1)):
        filled[row, ~known[row]] = np.median(region[row, known[row]])
    return filled


def _without_margin(region: NDArray[Any], margin: int) -> NDArray[Any]:
    """Cut columns off both ends unless fewer than two thirds would be left."""
    margin = min(margin, region.shape[1] // 6)
    return region[:, margin : region.shape[1] - margin]


def _level_error(region: NDArray[np.float32]) -> float:
    """Return the error of one row's level from the scatter between neighbouring columns [ADU]."""
    step = np.diff(region, axis=1)
    low, high = np.percentile(step, [25.0, 75.0]) if step.size else (0.0, 0.0)
    sigma = max(0.7413 * float(high - low) / np.sqrt(2.0), 0.5)
    return sigma / float(np.sqrt(max(region.shape[1], 1)))
