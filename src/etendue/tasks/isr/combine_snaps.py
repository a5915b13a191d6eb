"""Add the snaps of one visit, leaving out what only one of them saw."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import binary_dilation

from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.visit_info import VisitInfo
from etendue.tasks.task import Task, TaskConfig

_NEIGHBOURS = np.ones((3, 3), bool)


class CombineSnapsConfig(TaskConfig):
    """Configuration of `CombineSnapsTask`."""

    threshold: float = Field(6.0, gt=0.0)
    """What is brighter in one snap than in the others by this [sigma of the difference] is left out there,"""

    relative_threshold: float = Field(0.5, ge=0.0)
    """if it is so by this part of its light, too: cores of stars differ with the seeing."""


class CombineSnapsTask(Task[CombineSnapsConfig]):
    """Add the snaps of a visit, pixel by pixel.

    What only one snap saw (cosmic rays, flashes of seconds) is left out there, with its neighbours, and the light of
    the other snaps scaled to the whole time. Snaps are not shifted: a telescope that moves meanwhile smears its stars.
    """

    def run(self, snaps: Sequence[Exposure]) -> Exposure:
        """Add snaps.

        Parameters
        ----------
        snaps : sequence of Exposure
            Calibrated images of one detector in electrons, in the order of time; one is returned as it is.

        Returns
        -------
        Exposure
            With the exposure time of all, the WCS of the first, and the planes of each; NaN where no snap has a value.

        Raises
        ------
        InputError
            If there is none, or they differ in size or filter.
        """
        if not snaps:
            raise InputError("a visit without snaps")
        first = snaps[0]
        if len(snaps) == 1:
            return first
        if len({(snap.bbox, snap.physical_filter) for snap in snaps}) > 1:
            raise InputError("snaps of one visit differ in size or filter",
                             value=[snap.physical_filter for snap in snaps], remedy="correct their groups")  # fmt: skip
        seconds = np.array([_seconds(snap) for snap in snaps])
        image, variance = (np.stack([getattr(snap, name).array for snap in snaps]) for name in ("image", "variance"))
        used = np.isfinite(image) & ~self._only_here(image, variance, seconds)
        shares = np.einsum("k,kyx->yx", seconds / seconds.sum(), used)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = np.where(used, image, 0.0).sum(axis=0) / shares
            noise = np.where(used, variance, 0.0).sum(axis=0) / shares**2
        planes = np.bitwise_or.reduce([snap.mask.array for snap in snaps])
        return first.replace(
            image=Image(total.astype(np.float32), first.bbox),
            variance=Image(noise.astype(np.float32), first.bbox),
            mask=Mask(planes, first.bbox),
            visit_info=_joined([snap.visit_info for snap in snaps if snap.visit_info is not None], seconds),
            metadata={**first.metadata, "snaps": len(snaps), "snap_pixels_left_out": int((~used).sum())},
        )

    def _only_here(
        self, image: NDArray[np.float32], variance: NDArray[np.float32], seconds: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return what is too bright in one snap for what the darkest or middle one has, per unit of time."""
        rate, noise = image / seconds[:, None, None], variance / (seconds**2)[:, None, None]
        order = np.argsort(rate, axis=0)  # NaN last
        middle = order[(len(image) - 1) // 2][None]
        typical, sigma2 = (np.take_along_axis(plane, middle, axis=0) for plane in (rate, noise))
        limit = self.config.threshold * np.sqrt(2.0 * sigma2)
        limit += self.config.relative_threshold * np.maximum(typical, 0.0)
        return np.stack([binary_dilation(excess, _NEIGHBOURS) for excess in rate - typical > limit])


def _seconds(snap: Exposure) -> float:
    seconds = snap.visit_info.exposure_time_s if snap.visit_info is not None else 1.0
    return seconds if seconds > 0.0 else 1.0


def _joined(infos: Sequence[VisitInfo], seconds: NDArray[np.float64]) -> VisitInfo | None:
    """Return the visit of all snaps: its time is the mean one of its light."""
    if len(infos) != len(seconds):
        return infos[0] if infos else None
    mjd_tai, airmass = (
        float(np.average([getattr(info, name) for info in infos], weights=seconds)) for name in ("mjd_tai", "airmass")
    )
    return replace(infos[0], exposure_time_s=float(seconds.sum()), mjd_tai=mjd_tai, airmass=airmass)
