"""Subtract the overscan of a raw frame."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.read_order import ReadOrder
from etendue.camera.segments import Segments
from etendue.errors import AlgorithmError
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
    """Subtract the bias level of each row, measured in the overscan.

    The level of a row is a clipped mean over its overscan columns, smoothed along the column: where
    image and overscan share no row noise, subtracting every row's own level would only add its error.
    Rows that truly differ, like those of a start-up transient, keep their own level.
    """

    def run(self, segments: Segments) -> None:
        """Subtract the levels from whole segments, overscan included.

        Parameters
        ----------
        segments : Segments
            Raw pixels [ADU], changed in place. Without overscan nothing is subtracted: the bias frame holds the level.

        Raises
        ------
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        for segment, order in zip(segments.array, segments.orders, strict=True):
            level = self._levels(segment, order)
            segment[: level.size] -= level[:, np.newaxis]
            if level.size:
                segment[level.size :] -= level[-1]  # parallel overscan goes with the last rows

    def _levels(self, segment: NDArray[np.float32], order: ReadOrder) -> NDArray[np.float32]:
        """Return the level of each row of light, none without overscan."""
        config, rows = self.config, order.data[0]
        if (serial := order.overscan_columns()).stop:
            region = _filled(_without_margin(segment[rows, serial], config.margin))
            level = row_levels(np.ascontiguousarray(region), config.clip, config.iterations)
            level = smooth_levels(level, width=config.smoothing, error=_level_error(region), clip=config.clip)
            return level.astype(np.float32)
        if (parallel := order.overscan_rows()).stop:
            region = _filled(segment[parallel, order.data[1]].reshape(1, -1))
            return np.repeat(row_levels(region, config.clip, config.iterations), rows.stop).astype(np.float32)
        return np.zeros(0, np.float32)


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


def _without_margin(region: NDArray[np.float32], margin: int) -> NDArray[np.float32]:
    """Cut columns off both ends unless fewer than two thirds would be left."""
    margin = min(margin, region.shape[1] // 6)
    return region[:, margin : region.shape[1] - margin]


def _level_error(region: NDArray[np.float32]) -> float:
    """Return the error of one row's level from the scatter between neighbouring columns [ADU]."""
    step = np.diff(region, axis=1)
    low, high = np.percentile(step, [25.0, 75.0]) if step.size else (0.0, 0.0)
    sigma = max(0.7413 * float(high - low) / np.sqrt(2.0), 0.5)
    return sigma / float(np.sqrt(max(region.shape[1], 1)))
