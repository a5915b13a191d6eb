"""Measure and subtract the sky background."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.kernels.background import cell_background, cell_edges, smooth_cells, source_pixels
from etendue.tasks.task import Task, TaskConfig


class SubtractBackgroundConfig(TaskConfig):
    """Configuration of `SubtractBackgroundTask`."""

    cell_size: int = Field(128, ge=8)
    """Side of the cells [px]."""

    clip: float = Field(3.0, gt=0.0)
    """Clipping radius within a cell [sigma]."""

    iterations: int = Field(10, ge=1)
    """Largest number of clipping passes."""

    filter_size: int = Field(3, ge=1)
    """Side of the median filter over cells; removes cells filled by a bright star."""

    filter_tolerance: float = Field(0.25, ge=0.0)
    """Cells this many pixel noises off the median around them are replaced by it."""

    bad_planes: tuple[str, ...] = ("SAT", "BAD", "CR", "NO_DATA", "DETECTED", "INTRP", "VIGNETTED", "STREAK")
    """Mask planes whose pixels are not used, unless ``run`` is told otherwise."""

    source_threshold: float | None = Field(1.2, gt=0.0)
    """Pixels whose 3 x 3 mean departs from the sky by this many pixel noises are left out in a second
    pass; None for one pass."""

    source_margin: int = Field(3, ge=0)
    """And the pixels around them [px]."""


class BackgroundResult(NamedTuple):
    """An exposure without its sky, and the sky."""

    exposure: Exposure
    """Sky-subtracted; its ``background`` is all that was ever subtracted."""

    background: Background
    """What this call subtracted [image units]."""


class SubtractBackgroundTask(Task[SubtractBackgroundConfig]):
    """Subtract a bicubic spline through the sky levels of cells, measured without sources."""

    def run(self, *, exposure: Exposure, mask_planes: tuple[str, ...] | None = None) -> BackgroundResult:
        """Subtract the sky.

        Parameters
        ----------
        exposure : Exposure
            Any unit.
        mask_planes : tuple of str, optional
            Planes whose pixels are not used; ``bad_planes`` by default.

        Returns
        -------
        BackgroundResult

        Raises
        ------
        AlgorithmError
            If no cell has usable pixels.
        """
        bad = exposure.mask.any_of(self.config.bad_planes if mask_planes is None else mask_planes)
        background = self._measure(exposure.image, bad)
        image = Image(exposure.image.array - background.image().array, exposure.bbox)
        total = _sum(exposure.background, background)
        return BackgroundResult(exposure.replace(image=image, background=total), background)

    def _measure(self, image: Image, bad: NDArray[np.bool_]) -> Background:
        """Return the background, from a second pass without sources if configured."""
        background, sigma = self._cells(image, bad)
        if self.config.source_threshold is None:
            return background
        # Sources left after clipping lift the level by 0.2 sigma in an ordinary star field.
        threshold = self.config.source_threshold * sigma
        bad = source_pixels(image.array, background.image().array, bad, threshold, self.config.source_margin)
        return self._cells(image, bad)[0]

    def _cells(self, image: Image, bad: NDArray[np.bool_]) -> tuple[Background, float]:
        """Return the background and the median pixel noise of the cells."""
        config = self.config
        y_edges, x_edges = (cell_edges(size, config.cell_size) for size in image.array.shape)
        level, sigma = cell_background(image.array, bad, y_edges, x_edges, config.clip, config.iterations)
        if not np.isfinite(level).any():
            raise AlgorithmError("no cell has enough sky pixels", masked=float(bad.mean()))
        noise = float(np.nanmedian(sigma))
        values = smooth_cells(level, size=config.filter_size, tolerance=config.filter_tolerance * noise)
        return Background(values.astype(np.float32), image.bbox, config.cell_size), noise


def _sum(before: Background | None, now: Background) -> Background:
    """Return the sum of two backgrounds on the grid of the second; exact if the grids agree."""
    if before is None:
        return now
    y, x = (
        0.5 * (edges[:-1] + edges[1:] - 1) + interval.start
        for edges, interval in (
            (cell_edges(interval.size, now.bin_size), interval) for interval in (now.bbox.y, now.bbox.x)
        )
    )
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    earlier = before.at(x=grid_x.ravel(), y=grid_y.ravel()).reshape(now.values.shape)
    return Background((now.values + earlier).astype(np.float32), now.bbox, now.bin_size, now.interpolation)
