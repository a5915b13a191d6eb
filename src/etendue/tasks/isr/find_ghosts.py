"""Flag ghosts: large faint discs and rings that bright stars leave by reflection."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.ndimage import binary_fill_holes, binary_propagation, find_objects, label, median_filter, uniform_filter

from etendue.image.exposure import Exposure
from etendue.kernels.background import cell_background, cell_edges
from etendue.tasks.task import Task, TaskConfig

Plane = NDArray[np.float64]
_EIGHT = np.ones((3, 3), bool)


class FindGhostsConfig(TaskConfig):
    """Configuration of `FindGhostsTask`."""

    cell: int = Field(16, ge=4)
    """Side of the cells in which the sky is measured [px]."""

    smooth_cells: int = Field(41, ge=5)
    """Side of the median filter that stands for the sky behind; ghosts are narrower than half of it."""

    clip: float = Field(5.0, gt=0.0)
    """Significance of cells of a ghost, after a mean of 3 x 3 cells [robust sigma of all cells]."""

    extend_clip: float = Field(2.5, gt=0.0)
    """Significance of cells that hang together with these: thin rings are seen in parts only."""

    least_level: float = Field(0.05, ge=0.0)
    """Least brightness of a ghost, in units of a pixel's noise."""

    least_radius: float = Field(60.0, gt=0.0)
    """Smaller discs are taken for galaxies and for stars without a masked halo [px]."""

    roundness: float = Field(0.6, gt=0.0, le=1.0)
    """Least part of the enclosing circle that is filled, holes of rings included."""

    alignment: float = Field(0.25, gt=0.0)
    """A ghost belongs to a star if the line through star and optical axis passes its centre within this many radii."""

    masked_part: float = Field(0.2, ge=0.0, le=1.0)
    """Excesses of which more than this is masked as halo, spike or bleed are the rest of a halo."""

    star_contrast: float = Field(1000.0, gt=0.0)
    """A ghost with a pixel in its middle that is brighter than it by this factor is a halo."""

    need_star: bool = False
    """Whether only ghosts that belong to a given star are masked."""

    excluded_planes: tuple[str, ...] = (
        "SAT", "BAD", "NO_DATA", "VIGNETTED", "CR", "HALO", "SPIKE", "STREAK", "INTRP",
    )  # fmt: skip
    """Planes whose pixels do not count."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """One ghost.

    Parameters
    ----------
    x, y : float
        Middle, parent pixel.
    radius : float
        Of the enclosing circle [px].
    level : float
        Mean brightness above the sky behind [image units per pixel].
    snr : float
        Of the brightest cell [robust sigma].
    star : int
        Row of the star that it belongs to; -1 if unknown.
    """

    x: float
    y: float
    radius: float
    level: float
    snr: float
    star: int


class FindGhostsResult(NamedTuple):
    """An exposure with its ghosts masked, and the ghosts."""

    exposure: Exposure
    """With plane GHOST set on the enclosing circles."""

    ghosts: tuple[Ghost, ...]
    """In the order of rows."""


class FindGhostsTask(Task[FindGhostsConfig]):
    """Find round excesses of the sky, measured in cells without stars.

    What cannot be seen: ghosts fainter than the noise of the sky in cells, ghosts wider than half of the filter,
    ghosts that overlap the halo of a star, and parts of ghosts that the edge cuts to less than a round piece. Large
    galaxies and nebulae look alike; positions of bright stars tell whether a ghost may belong to one of them.
    """

    def run(
        self,
        exposure: Exposure,
        *,
        x: ArrayLike = (),
        y: ArrayLike = (),
        axis: tuple[float, float] | None = None,
    ) -> FindGhostsResult:
        """Find and mask ghosts.

        Parameters
        ----------
        exposure : Exposure
            Flat-fielded, sky subtracted with cells much wider than ghosts, or not at all.
        x, y : array, shape (n,), optional
            Parent pixels of bright stars, on the detector or not.
        axis : tuple of float, optional
            Parent pixel x and y of the optical axis; the middle of the exposure by default.

        Returns
        -------
        FindGhostsResult
        """
        config = self.config
        found = self._cells(exposure)
        if found is None:
            return FindGhostsResult(exposure, ())
        excess, noise, pixel_noise = found
        seen = excess > max(config.clip * noise, config.least_level * pixel_noise)
        labels, _ = label(binary_propagation(seen, _EIGHT, excess > config.extend_clip * noise), _EIGHT)
        box = exposure.bbox
        middle = axis or (0.5 * (box.x.start + box.x.stop), 0.5 * (box.y.start + box.y.stop))
        stars = np.stack([np.ravel(x), np.ravel(y)], axis=1).astype(np.float64)
        painted, ghosts = np.zeros(box.shape, bool), []
        for number, part in enumerate(find_objects(labels), start=1):
            ghost = self._ghost(labels[part] == number, excess[part], noise, part, exposure)
            if ghost is None:
                continue
            star = self._star_of(ghost, stars, middle)
            if (star < 0 and config.need_star) or self._at_star(ghost, exposure):
                continue
            ghosts.append(Ghost(ghost.x, ghost.y, ghost.radius, ghost.level, ghost.snr, star))
            rows, columns = np.ogrid[box.y.start : box.y.stop, box.x.start : box.x.stop]
            painted |= (columns - ghost.x) ** 2 + (rows - ghost.y) ** 2 <= ghost.radius**2
        return FindGhostsResult(exposure.replace(mask=exposure.mask.with_plane("GHOST", painted)), tuple(ghosts))

    def _cells(self, exposure: Exposure) -> tuple[Plane, float, float] | None:
        """Return the sky of cells above the sky behind, smoothed, its noise, and that of a pixel."""
        config = self.config
        bad = exposure.mask.any_of(config.excluded_planes) | ~np.isfinite(exposure.image.array)
        edges = (cell_edges(size, config.cell) for size in bad.shape)
        level, sigma = cell_background(exposure.image.array, bad, *edges, 2.5, 10)
        known = np.isfinite(level)
        if known.sum() < 50:
            return None
        level = level - _surface(level, known)
        filled = np.where(known, level, float(np.median(level[known])))
        size = min(config.smooth_cells, 2 * (min(level.shape) // 2) - 1)
        behind = median_filter(filled[::2, ::2], size=max(size // 2, 3), mode="reflect")
        behind = behind.repeat(2, axis=0).repeat(2, axis=1)[: level.shape[0], : level.shape[1]]
        rest = np.where(known, filled - behind, 0.0)
        share = uniform_filter(known.astype(np.float64), 3)
        smooth = uniform_filter(rest, 3) / np.maximum(share, 1.0 / 9.0)
        middle = float(np.median(smooth[known]))
        noise = 1.4826 * float(np.median(np.abs(smooth[known] - middle))) or 1e-30
        return smooth - middle, noise, float(np.median(sigma[known]))

    def _ghost(
        self, cells: NDArray[np.bool_], excess: Plane, noise: float, part: tuple[slice, ...], exposure: Exposure
    ) -> Ghost | None:
        """Return the ghost that some connected cells are, or None if they are too small or not round."""
        config = self.config
        rows, columns = np.nonzero(cells)
        y, x = rows.min() + np.ptp(rows) / 2.0, columns.min() + np.ptp(columns) / 2.0
        radius = float(np.hypot(rows - y, columns - x).max()) + 0.5
        filled = float(binary_fill_holes(cells).sum()) / (np.pi * radius**2)
        if radius * config.cell < config.least_radius or filled < config.roundness:
            return None
        return Ghost(
            x=float(exposure.bbox.x.start + (part[1].start + x + 0.5) * config.cell - 0.5),
            y=float(exposure.bbox.y.start + (part[0].start + y + 0.5) * config.cell - 0.5),
            radius=radius * config.cell,
            level=float(excess[cells].mean()),
            snr=float(excess[cells].max() / noise),
            star=-1,
        )

    def _at_star(self, ghost: Ghost, exposure: Exposure) -> bool:
        """Tell whether a ghost is the halo of a star at its middle, or much of it is masked as halo, spike or bleed."""
        mask, box = exposure.mask.any_of(("HALO", "SPIKE", "SAT")), exposure.bbox
        row, column, reach = round(ghost.y) - box.y.start, round(ghost.x) - box.x.start, int(0.35 * ghost.radius) + 1
        middle = exposure.image.array[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
        middle = middle[np.isfinite(middle)]
        if middle.size and middle.max() - np.median(middle) > self.config.star_contrast * ghost.level:
            return True
        angle, radius = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, 64), np.linspace(0.1, 1.2, 12) * ghost.radius)
        rows = np.rint(ghost.y + radius * np.sin(angle)).astype(int) - box.y.start
        columns = np.rint(ghost.x + radius * np.cos(angle)).astype(int) - box.x.start
        inside = (rows >= 0) & (rows < box.y.size) & (columns >= 0) & (columns < box.x.size)
        return bool(mask[rows[inside], columns[inside]].mean() > self.config.masked_part)

    def _star_of(self, ghost: Ghost, stars: Plane, axis: tuple[float, float]) -> int:
        """Return the first star whose line through the axis passes the ghost; stars on the axis fit ghosts there."""
        for number, (x, y) in enumerate(stars):
            dx, dy = x - axis[0], y - axis[1]
            gx, gy = ghost.x - axis[0], ghost.y - axis[1]
            distance = float(np.hypot(dx, dy))
            off = np.hypot(gx, gy) if distance < ghost.radius else abs(gx * dy - gy * dx) / distance
            if off <= self.config.alignment * ghost.radius:
                return number
        return -1


def _surface(level: Plane, known: NDArray[np.bool_]) -> Plane:
    """Return a surface of second degree through most cells: a filter alone bends at the edges of a slope."""
    y, x = (np.indices(level.shape) + 0.5) / np.array(level.shape)[:, np.newaxis, np.newaxis] - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    used = known.copy()
    for _ in range(5):
        coefficients = np.linalg.lstsq(terms[used], level[used], rcond=None)[0]
        rest = level - terms @ coefficients
        spread = 1.4826 * float(np.median(np.abs(rest[used])))
        used = known & (np.abs(rest) <= 2.5 * spread + 1e-30)
        if used.sum() < 20:
            break
    return np.asarray(terms @ coefficients)
