"""Subtract the overscan of a raw frame."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.read_order import ReadOrder
from etendue.camera.segments import Segments
from etendue.tasks.readout.levels import Levels, LevelsConfig, Method, OverscanLevel, measure_levels
from etendue.tasks.task import Task

_LAST_LIGHT = 8  # px


class SubtractOverscanConfig(LevelsConfig):
    """Configuration of `SubtractOverscanTask`."""

    method: Method = "spline"
    """How the levels of rows follow from their overscan: by a ``spline`` or a ``running_median`` along the rows, each
    ``line`` its own, or one ``mean`` or ``median`` for the whole amplifier."""

    margin: int = Field(4, ge=0)
    """Overscan columns left out at both ends: the first hold deferred charge, the last may be odd [px]."""


class SubtractOverscanTask(Task[SubtractOverscanConfig]):
    """Subtract the bias level of each row, measured in the serial overscan.

    The level of a row is a clipped mean over its overscan columns, smoothed by a spline along the column: where
    image and overscan share no row noise, subtracting every row's own level would only add its error.
    Rows that truly differ, like those of a start-up transient, keep their own level; rows whose overscan is missing or
    was reached by a bleeding star take that of their neighbours.
    """

    def run(self, segments: Segments) -> tuple[OverscanLevel, ...]:
        """Subtract the levels from whole segments, overscan included.

        Parameters
        ----------
        segments : Segments
            Raw pixels [ADU], changed in place. Without overscan nothing is subtracted: the bias frame holds the level.

        Returns
        -------
        tuple of OverscanLevel
            What was subtracted from each amplifier that has an overscan and any light-sensitive pixel with a value.

        Raises
        ------
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        records = []
        for segment, order in zip(segments.array, segments.orders, strict=True):
            measured = self._measure(segment, order)
            if measured is None:
                continue
            level, record = measured
            subtracted = level.astype(np.float32)
            segment[: level.size] -= subtracted[:, np.newaxis]
            segment[level.size :] -= subtracted[-1]  # parallel overscan goes with the last rows
            records.append(record)
        return tuple(records)

    def _measure(self, segment: NDArray[np.float32], order: ReadOrder) -> tuple[Levels, OverscanLevel] | None:
        """Return the level of each row of light; None without overscan, or without light."""
        config, (rows, columns), name = self.config, order.data, order.amplifier.name
        if not np.isfinite(segment[rows, columns]).any():
            return None  # a dead amplifier
        if (serial := order.overscan_columns()).stop:
            region = _without_margin(segment[rows, serial], config.margin)
            last = segment[rows, max(columns.start, columns.stop - _LAST_LIGHT) : columns.stop]
            hit = np.asarray(np.max(last, axis=1) >= order.amplifier.saturation)
            return measure_levels(region, hit, name, config.method, config)
        if (parallel := order.overscan_rows()).stop:
            region = segment[parallel, columns].reshape(1, -1)
            level, record = measure_levels(region, np.zeros(1, bool), name, "mean", config)
            return np.repeat(level, rows.stop), record
        return None


def _without_margin(region: NDArray[np.float32], margin: int) -> NDArray[np.float32]:
    """Cut columns off both ends unless fewer than two thirds would be left."""
    margin = min(margin, region.shape[1] // 6)
    return region[:, margin : region.shape[1] - margin]
