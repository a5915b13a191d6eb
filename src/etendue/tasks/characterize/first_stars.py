"""Detect bright stars on an image of which nothing is known, not even how large a star is."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.local_background import cells_at, significant_sky
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.task import Task, TaskConfig


class FirstStarsConfig(TaskConfig):
    """Configuration of `FirstStarsTask`."""

    detect: DetectConfig = DetectConfig(threshold_snr=10.0, merge_growth=1.0)
    """Detection with a filter of ``guess_fwhm``, on the image or on its pixels added up to larger ones."""

    most_scale: int = Field(8, ge=1)
    """Largest pixels, in pixels of the image: 1, 2, 4 and so on are tried; 1 to take stars for sharp always."""

    min_gain: float = Field(1.2, gt=1.0)
    """Larger pixels are taken where the S/N of bright sources rises by this: for stars of 5 px FWHM and up..."""

    min_step: float = Field(1.05, gt=1.0)
    """...and each doubling adds this."""

    judges_percentile: float = Field(35.0, gt=0.0, le=50.0)
    """The rise is that of this percentile of sources: galaxies gain more than stars."""

    judged_snr: float = Field(20.0, gt=0.0)
    """Sources that tell are at least as bright."""

    min_judges: int = Field(3, ge=1)
    """With fewer of them nothing is changed."""

    halo_level: float = Field(3.0, gt=0.0)
    """Light behind a source, over the pixel noise, from which on it stands in a halo..."""

    halo_cell: int = Field(24, ge=8)
    """...as the median of cells of this side tells [px]..."""

    least_outside: int = Field(20, ge=1)
    """...unless fewer than this many sources are left elsewhere."""


class FirstStars(NamedTuple):
    """What stands out."""

    detected: DetectResult
    """Positions on the image; footprints as large as they are at its scale."""

    scale: int
    """Side of the pixels that suit the stars, in pixels of the image: 1 unless stars are broad."""

    in_halo: NDArray[np.bool_]
    """Sources in the light of something large, such as a bright star: no stars for the PSF."""


class FirstStarsTask(Task[FirstStarsConfig]):
    """Detect with filters of rising width until bright sources gain no more: trails, rings and wide stars too."""

    def run(self, *, exposure: Exposure, mask_planes: tuple[str, ...] = ()) -> FirstStars:
        """Detect bright sources.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted, without PSF.
        mask_planes : tuple of str
            Further planes whose pixels are not used.

        Returns
        -------
        FirstStars

        Raises
        ------
        AlgorithmError
            If no pixel is usable.
        """
        config = self.config.detect
        task = DetectTask(config.model_copy(update={"bad_planes": (*config.bad_planes, *mask_planes)}))
        best = last = task.run(exposure=exposure)
        scale, gain = 1, 1.0
        for side in self._sides():
            try:
                found = task.run(exposure=added_up(exposure, side, task.config.bad_planes))
            except AlgorithmError:  # nothing is left at this scale
                break
            there = _enlarged(found, side, exposure.bbox)
            step = self._gain(last, there, side)
            last, gain = there, gain * step
            if step < self.config.min_step:
                break
            if gain > self.config.min_gain:
                best, scale = there, side
        if scale > 1:  # planes at the scale of the image
            best = replace(best, exposure=exposure)
        return FirstStars(best, scale, self._in_halo(exposure, best, scale))

    def _in_halo(self, exposure: Exposure, found: DetectResult, scale: int) -> NDArray[np.bool_]:
        """Tell which sources stand on light that is wider than stars; none if nearly all do."""
        cell = self.config.halo_cell * scale
        planes = (*self.config.detect.bad_planes, *self.config.detect.merge_planes)
        image, variance, flags = (
            np.ascontiguousarray(one.array) for one in (exposure.image, exposure.variance, exposure.mask)
        )
        cells = significant_sky(image, variance, flags, np.int32(exposure.mask.bits(planes)), cell, 2, 3.0)
        level = cells_at(
            cells, cell, np.rint(found.x - exposure.bbox.x.start), np.rint(found.y - exposure.bbox.y.start)
        )
        good = ~exposure.mask.any_of(planes)
        noise = float(np.sqrt(np.median(exposure.variance.array[good]))) if good.any() else np.inf
        inside = np.asarray(level > self.config.halo_level * noise)
        return inside if np.count_nonzero(~inside) >= self.config.least_outside else np.zeros(inside.size, np.bool_)

    def _sides(self) -> list[int]:
        """Return the sides of larger pixels."""
        return [2**k for k in range(1, self.config.most_scale.bit_length()) if 2**k <= self.config.most_scale]

    def _gain(self, before: DetectResult, after: DetectResult, side: int) -> float:
        """Return how much clearer bright sources are in larger pixels; each is compared with the best one near it."""
        judges = np.flatnonzero(after.peak_snr > self.config.judged_snr)
        if judges.size < self.config.min_judges:
            return 0.0
        tree = cKDTree(np.column_stack([before.x, before.y]))
        near = tree.query_ball_point(np.column_stack([after.x[judges], after.y[judges]]), 3.0 * side)
        faintest = self.config.detect.threshold_snr
        best = np.array([before.peak_snr[one].max() if one else faintest for one in near])
        return float(np.percentile(after.peak_snr[judges] / best, self.config.judges_percentile))


def added_up(exposure: Exposure, side: int, bad_planes: tuple[str, ...]) -> Exposure:
    """Average the pixels of squares.

    Parameters
    ----------
    exposure : Exposure
        Any; rows and columns beyond the last whole square are left out.
    side : int
        Side of the squares [px].
    bad_planes : tuple of str
        Pixels in these planes do not count; squares with fewer than half their pixels have no data.

    Returns
    -------
    Exposure
        Its box begins at the origin; mask planes are those of any pixel.

    Raises
    ------
    AlgorithmError
        If not a square fits.
    """
    ny, nx = (size // side for size in exposure.bbox.shape)
    if not ny or not nx:
        raise AlgorithmError("The image is smaller than a star", side=side)
    image, variance = exposure.image.array, exposure.variance.array
    good = ~exposure.mask.any_of(bad_planes) & np.isfinite(image) & np.isfinite(variance) & (variance > 0.0)

    def total(values: NDArray[np.float32]) -> NDArray[np.float64]:
        inner = np.where(good, values, 0.0)[: ny * side, : nx * side]
        return np.asarray(inner.reshape(ny, side, nx, side).sum(axis=(1, 3), dtype=np.float64))

    count, box = total(np.ones_like(image)), Box.from_shape((ny, nx))
    some = np.maximum(count, 1.0)
    flags = exposure.mask.array[: ny * side, : nx * side].reshape(ny, side, nx, side)
    flags = np.bitwise_or.reduce(np.bitwise_or.reduce(flags, axis=3), axis=1)
    flags &= ~np.int32(exposure.mask.bits(bad_planes))
    mask = Mask(flags, box, exposure.mask.planes).with_plane("NO_DATA", 2.0 * count < side**2)
    return Exposure(
        image=Image((total(image) / some).astype(np.float32), box), mask=mask,
        variance=Image((total(variance) / some**2).astype(np.float32), box), unit=exposure.unit,
    )  # fmt: skip


def _enlarged(found: DetectResult, scale: int, box: Box) -> DetectResult:
    """Return positions in pixels of the image."""
    middle = 0.5 * (scale - 1)
    return replace(found, x=scale * found.x + middle + box.x.start, y=scale * found.y + middle + box.y.start)
