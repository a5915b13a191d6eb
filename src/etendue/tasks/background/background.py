"""Measure and subtract the sky background."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.kernels.background import cell_edges, sampled_background
from etendue.kernels.sky_blocks import BLOCK, SkyCells, block_sums, clean_cells, smooth_surface
from etendue.tasks.task import Task, TaskConfig

_LIGHT = ("DETECTED", "DETECTED_NEGATIVE")
_STRIP = 128  # rows at a time, so that the surface stays in the cache
_MANY_ROWS = 8  # of cells: enough to leave out every other one at first


class SubtractBackgroundConfig(TaskConfig):
    """Configuration of `SubtractBackgroundTask`."""

    cell_size: int = Field(128, ge=8, multiple_of=BLOCK)
    """Side of the cells [px]; smaller on small images."""

    least_cells: int = Field(6, ge=1)
    """Cells shrink, to 16 px at most, until this many lie along the shorter axis."""

    clip: float = Field(3.0, gt=0.0)
    """Clipping radius within a cell in the first pass [sigma]."""

    iterations: int = Field(10, ge=1)
    """Largest number of clipping passes."""

    sample_step: int = Field(6, ge=1)
    """The first pass looks at every so many rows and columns."""

    bad_planes: tuple[str, ...] = ("SAT", "BAD", "CR", "NO_DATA", "DETECTED", "INTRP", "VIGNETTED", "STREAK")
    """Mask planes whose pixels are not used, unless ``run`` is told otherwise; DETECTED ones count as light."""

    source_threshold: float | None = Field(1.0, gt=0.0)
    """Pixels whose 3 x 3 mean departs from the sky by this many pixel noises are left out in later
    passes; None for the first pass alone, on all pixels."""

    source_margin: int = Field(8, ge=0)
    """And the pixels around them [px], rounded up to blocks of 4."""

    block_clip: float = Field(2.5, gt=0.0)
    """Blocks of 4, 16 and 64 px are left out where their mean departs from their cell by this many errors."""

    fewest: float = Field(0.05, gt=0.0, le=1.0)
    """Cells with a smaller share of their pixels left are bridged from those around."""

    least_sky: float = Field(0.05, ge=0.0, le=1.0)
    """Margins are halved until at least this share of the pixels is left."""

    passes: int = Field(3, ge=1)
    """Largest number of passes that find light and measure the rest."""

    settled: float = Field(0.02, gt=0.0)
    """The passes end when no cell changes by more than this [pixel noise]."""

    object_clip: float | None = Field(3.0, gt=0.0)
    """Cells that rise above a smooth sky by this many times what others sink below it hold large objects and are
    bridged; None to follow them."""


class BackgroundResult(NamedTuple):
    """An exposure without its sky, and the sky."""

    exposure: Exposure
    """Sky-subtracted; its ``background`` is all that was ever subtracted."""

    background: Background
    """What this call subtracted [image units]."""

    noise: float = float("nan")
    """Scatter of the pixels between sources [image units]: the median over cells."""

    pedestal: float = float("nan")
    """Mean of what is left of the pixels between sources [image units]; already taken off."""


class MeasuredSky(NamedTuple):
    """The sky of an exposure: a surface, and the cells that it goes through."""

    background: Background
    """The surface [image units]."""

    noise: float
    """Scatter of the pixels between sources [image units]."""

    pedestal: float
    """Mean change of the surface in the last pass [image units]."""

    level: NDArray[np.float64]
    """Sky in the cells, shape as of ``background.values`` [image units]; NaN where too few pixels are left."""

    pixels: NDArray[np.float64]
    """Pixels without light in the cells."""


class SubtractBackgroundTask(Task[SubtractBackgroundConfig]):
    """Subtract the smoothest surface through the sky of cells, measured where no light of sources is seen."""

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
        sky = self.measure(exposure=exposure, mask_planes=mask_planes)
        subtracted = subtract_background(exposure, sky.background)
        return BackgroundResult(subtracted, sky.background, sky.noise, sky.pedestal)

    def measure(self, *, exposure: Exposure, mask_planes: tuple[str, ...] | None = None) -> "MeasuredSky":
        """Measure the sky without subtracting it.

        Parameters
        ----------
        exposure, mask_planes
            As of `run`.

        Returns
        -------
        MeasuredSky

        Raises
        ------
        AlgorithmError
            If no cell has usable pixels.
        """
        planes = self.config.bad_planes if mask_planes is None else mask_planes
        frame = _Frame(
            np.ascontiguousarray(exposure.image.array, np.float32),
            np.ascontiguousarray(exposure.mask.array),
            np.int32(exposure.mask.bits([plane for plane in planes if plane not in _LIGHT])),
            np.int32(exposure.mask.bits([plane for plane in planes if plane in _LIGHT])),
            exposure.bbox,
            self._cell(exposure.bbox),
        )
        return self._measure(frame)

    def _cell(self, box: Box) -> int:
        """Return the side of the cells [px]."""
        fitting = BLOCK * (min(box.shape) // (self.config.least_cells * BLOCK))
        return min(self.config.cell_size, max(16, fitting))

    def _measure(self, frame: "_Frame") -> "MeasuredSky":
        """Repeat finding light and measuring the rest until the sky settles."""
        config = self.config
        surface, sigma = self._first(frame)
        noise = float(np.nanmedian(sigma))
        sky = MeasuredSky(surface, noise, 0.0, surface.values.astype(float), np.isfinite(sigma).astype(float))
        if config.source_threshold is None:
            return sky
        extent = _extent(frame.image.shape, frame.cell)
        limit = np.nan_to_num(sigma, nan=noise) * config.source_threshold
        for k in range(config.passes):
            # The first of several passes only has to come near: every other row of cells will do.
            every = 2 if k == 0 and config.passes > 1 and limit.shape[0] >= _MANY_ROWS else 1
            cells = self._cells(frame, surface, limit, every)
            if not np.isfinite(cells.level).any():
                return sky  # sources are everywhere: what is known stands
            level = surface.values.astype(np.float64) + cells.level
            values = smooth_surface(level, cells.pixels, extent=extent, object_clip=config.object_clip)
            change = values - surface.values
            surface = Background(values.astype(np.float32), frame.bbox, frame.cell)
            pedestal = float(np.average(change, weights=cells.pixels))
            sky = MeasuredSky(surface, noise, pedestal, level, cells.pixels)
            if every == 1 and not np.abs(change).max() > config.settled * noise:
                break
        return sky

    def _first(self, frame: "_Frame") -> tuple[Background, NDArray[np.float64]]:
        """Return the background of clipped cells, and their pixel noise."""
        config = self.config
        y_edges, x_edges = (cell_edges(size, frame.cell) for size in frame.image.shape)
        step = 1 if config.source_threshold is None else max(1, min(config.sample_step, frame.cell // 16))
        level, sigma = sampled_background(
            frame.image, frame.mask, frame.bits | frame.light, y_edges, x_edges, config.clip, config.iterations, step
        )
        if not np.isfinite(level).any():
            bad = float(np.mean((frame.mask & (frame.bits | frame.light)) != 0))
            raise AlgorithmError("no cell has enough sky pixels: mask less, or use larger cells", masked=bad)
        area = np.outer(np.diff(y_edges), np.diff(x_edges)).astype(float)
        extent = _extent(frame.image.shape, frame.cell)
        values = smooth_surface(level, area, extent=extent, object_clip=config.object_clip)
        return Background(values.astype(np.float32), frame.bbox, frame.cell), sigma

    def _cells(self, frame: "_Frame", surface: Background, limit: NDArray[np.float64], every: int) -> SkyCells:
        """Return what is left of every so many rows of cells above a surface, without the light of sources."""
        config, (ny, nx) = self.config, frame.image.shape
        shape = tuple(-(-n // BLOCK) for n in (ny, nx))
        sums, counts, flagged = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
        rows, columns = surface.factors()
        steps = np.arange(0, ny, BLOCK)
        height = np.diff(np.append(steps, ny)).astype(np.float32)
        means = np.asarray(np.add.reduceat(rows, steps) / height[:, None], np.float32)
        for top in range(0, ny, every * frame.cell):
            stop = min(top + frame.cell, ny)
            first = max(top - 1, 0) // BLOCK
            sky = means[first : min(stop, ny - 1) // BLOCK + 1] @ columns
            block_sums(
                frame.image, sky, frame.mask, frame.bits, frame.light, limit, frame.cell, first, top, stop,
                sums, counts, flagged,
            )  # fmt: skip
        margin = -(-config.source_margin // BLOCK)
        while True:
            cells = clean_cells(
                sums, counts, flagged, frame.cell // BLOCK,
                clip=config.block_clip, margin=margin, fewest=config.fewest,
            )  # fmt: skip
            if margin == 0 or cells.pixels.sum() >= config.least_sky * counts.sum():
                return cells
            margin //= 2  # in a crowded field no pixel is far from a source


class _Frame(NamedTuple):
    """Pixels, their mask, the bits of unusable ones and of sources; side of the cells [px]."""

    image: NDArray[np.float32]
    mask: NDArray[np.int32]
    bits: np.int32
    light: np.int32
    bbox: Box
    cell: int


def _extent(shape: tuple[int, ...], cell: int) -> tuple[float, float]:
    """Return height and width in cells."""
    return shape[0] / cell, shape[1] / cell


def subtract_background(exposure: Exposure, background: Background) -> Exposure:
    """Subtract a background from an exposure, and remember it.

    Parameters
    ----------
    exposure : Exposure
        Any unit.
    background : Background
        On its box [image units].

    Returns
    -------
    Exposure
        Its ``background`` is all that was ever subtracted.
    """
    pixels = _subtracted(np.ascontiguousarray(exposure.image.array, np.float32), background)
    total = _sum(exposure.background, background)
    return exposure.replace(image=Image(pixels, exposure.bbox), background=total)


def _subtracted(image: NDArray[np.float32], surface: Background) -> NDArray[np.float32]:
    """Return an image minus a surface, strip by strip."""
    rows, columns = surface.factors()
    out = np.empty_like(image)
    for top in range(0, image.shape[0], _STRIP):
        here = slice(top, top + _STRIP)
        np.subtract(image[here], rows[here] @ columns, out=out[here])
    return out


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
