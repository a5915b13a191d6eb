"""Subtract what the columns of the parallel overscan still hold."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.read_order import ReadOrder
from etendue.camera.segments import Segments
from etendue.tasks.readout.levels import LevelsConfig, Method, OverscanLevel, measure_levels
from etendue.tasks.task import Task

_LAST_LIGHT = 8  # px


class SubtractParallelOverscanConfig(LevelsConfig):
    """Configuration of `SubtractParallelOverscanTask`."""

    method: Method | Literal["none"] = "none"
    """How the levels of columns follow from their overscan, as those of rows. ``none``: nothing is subtracted. The
    master bias holds what is the same in all frames, and a level from a dozen rows adds its noise to the whole column:
    use this where columns drift from frame to frame."""

    margin: int = Field(2, ge=0)
    """Overscan rows next to the light that are left out: they hold deferred charge [px]."""


class SubtractParallelOverscanTask(Task[SubtractParallelOverscanConfig]):
    """Subtract the level of each column, measured in the parallel overscan, once rows and crosstalk are dealt with.

    Columns whose light is saturated near the overscan, or whose overscan is much noisier than others, take the level of
    their neighbours.
    """

    def run(self, segments: Segments) -> tuple[OverscanLevel, ...]:
        """Subtract the levels from the columns of light.

        Parameters
        ----------
        segments : Segments
            Pixels above the serial overscan, without crosstalk [ADU]; changed in place.

        Returns
        -------
        tuple of OverscanLevel
            What was subtracted from each amplifier that has a parallel overscan; empty if the method is ``none``.

        Raises
        ------
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        method = self.config.method
        if method == "none":
            return ()
        pairs = zip(segments.array, segments.orders, strict=True)
        return tuple(self._subtract(segment, order, method) for segment, order in pairs if order.overscan_rows().stop)

    def _subtract(self, segment: NDArray[np.float32], order: ReadOrder, method: Method) -> OverscanLevel:
        config, (rows, columns) = self.config, order.data
        overscan = order.overscan_rows()
        margin = min(config.margin, (overscan.stop - overscan.start) // 3)
        region = segment[overscan.start + margin : overscan.stop, columns].T
        last = segment[max(0, rows.stop - _LAST_LIGHT) : rows.stop, columns]
        hit = np.asarray(np.max(last, axis=0) >= 0.8 * order.amplifier.saturation)  # the bias level is gone
        level, record = measure_levels(region, hit, order.amplifier.name, method, config)
        segment[:, columns] -= level.astype(np.float32)
        return record
