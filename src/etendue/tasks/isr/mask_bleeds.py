"""Mask bleed trails, and what spills along rows where a trail reaches the serial register."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.read_order import read_orders
from etendue.kernels.bleeds import follow_spill
from etendue.kernels.isr import follow_bleeds
from etendue.tasks.task import Task, TaskConfig


class MaskBleedsConfig(TaskConfig):
    """Configuration of `MaskBleedsTask`."""

    bleed_fraction: float = Field(0.5, gt=0.0, le=1.0)
    """Trails are followed along columns down to this part of the saturation level."""

    edge_rows: int = Field(50, ge=0)
    """Rows next to the register in which charge may spill; 0 looks for none."""

    edge_snr: float = Field(5.0, gt=0.0)
    """A spill is brighter than the amplifier's typical pixel by this many of its robust sigmas."""

    edge_gap: int = Field(2, ge=0)
    """Fainter pixels that a spill may skip along a row [px]."""


class MaskBleedsResult(NamedTuple):
    """Pixels that bleeding spoiled."""

    trails: NDArray[np.bool_]
    """Saturated pixels and the trails along their columns, shape (ny, nx)."""

    spilled: NDArray[np.bool_]
    """What spilled along rows next to the register, without the trails, shape (ny, nx)."""


class MaskBleedsTask(Task[MaskBleedsConfig]):
    """Follow charge from saturated pixels along columns, and from the register along rows.

    A trail that reaches the register fills it: E2V-like chips then show bright rows to both sides of the trail that get
    narrower inwards, ITL-like ones wedges. Both are found as light that hangs together with the foot of the trail.
    Dips (pixels that are too dark after a spill) are not looked for.
    """

    def run(self, pixels: NDArray[np.float32], saturated: NDArray[np.bool_], detector: Detector) -> MaskBleedsResult:
        """Find trails and spills.

        Parameters
        ----------
        pixels : ndarray, float32, shape (ny, nx)
            Trimmed pixels [ADU], overscan subtracted or not.
        saturated : ndarray, bool, shape (ny, nx)
            Saturated pixels.
        detector : Detector
            Says which side of an amplifier is read first, and its saturation level.

        Returns
        -------
        MaskBleedsResult
        """
        trails, spilled = np.zeros(pixels.shape, bool), np.zeros(pixels.shape, bool)
        for order in read_orders(detector):
            image = np.ascontiguousarray(order.view(pixels, detector))
            full = np.ascontiguousarray(order.view(saturated, detector))
            if not full.any():
                continue
            level = self.config.bleed_fraction * order.amplifier.saturation
            bled = follow_bleeds(full, image, level)
            order.view(trails, detector)[...] = bled
            if self.config.edge_rows and bled[0].any():
                order.view(spilled, detector)[...] = self._spill(image, bled)
        return MaskBleedsResult(trails, spilled)

    def _spill(self, image: NDArray[np.float32], bled: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the spill of one amplifier in read order."""
        far = image[self.config.edge_rows :][~bled[self.config.edge_rows :]]
        far = far[np.isfinite(far)]
        if far.size == 0:
            return np.zeros_like(bled)
        middle = float(np.median(far))
        sigma = 1.4826 * float(np.median(np.abs(far - middle)))
        level = middle + self.config.edge_snr * sigma
        return follow_spill(image, bled, level, self.config.edge_rows, self.config.edge_gap)
