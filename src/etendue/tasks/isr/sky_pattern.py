"""Fringes, and the pattern that the night sky leaves: find how strong it is in an image, and subtract it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.kernels.background import cell_background, cell_edges
from etendue.tasks.task import Task, TaskConfig

Plane = NDArray[np.float32]
_FIT_PASSES = 4


class SkyPatternConfig(TaskConfig):
    """Configuration of `SubtractSkyPatternTask`."""

    cell_size: int = Field(16, ge=8)
    """Side of the cells in which image and pattern are compared; well below the width of a fringe [px]."""

    degree: int = Field(4, ge=0, le=8)
    """Degree of the polynomial that the rest of the sky may have; 0 where the pattern holds the sky's own gradients."""

    clip: float = Field(3.0, gt=0.0)
    """Clipping radius of the fit over cells [sigma]."""

    least_significance: float = Field(5.0, ge=0.0)
    """A pattern fainter than this many errors is not subtracted."""


class SkyPatternFit(NamedTuple):
    """An image without the pattern, and how strong it was."""

    image: Plane
    """Shape (ny, nx)."""

    scale: float
    """Strength [unit of the image per unit of the pattern]."""

    scale_err: float
    """Its error, from the scatter of the cells."""

    subtracted: bool
    """Whether it was significant."""


class SubtractSkyPatternTask(Task[SkyPatternConfig]):
    """Fit the strength of a pattern, beside a smooth sky, to the sky levels of cells."""

    def run(self, image: Plane, bad: NDArray[np.bool_], pattern: Plane) -> SkyPatternFit:
        """Subtract a pattern.

        Parameters
        ----------
        image : ndarray, float32, shape (ny, nx)
            Image with its sky.
        bad : ndarray, bool, shape (ny, nx)
            Pixels not to use.
        pattern : ndarray, float32, shape (ny, nx)
            Pattern for a sky of 1; where it is not finite nothing is subtracted.

        Returns
        -------
        SkyPatternFit

        Raises
        ------
        AlgorithmError
            If hardly any cell has sky.
        """
        known = np.isfinite(pattern)
        filled = np.where(known, pattern, np.float32(0.0))
        edges = [cell_edges(size, self.config.cell_size) for size in image.shape]
        level, _ = cell_background(image, bad | ~known, *edges, 3.0, 10)
        scale, error = self._fit(level, _means(filled, ~(bad | ~known), edges), image.shape)
        significant = abs(scale) > self.config.least_significance * error
        if not significant:
            return SkyPatternFit(image, scale, error, False)
        left: Plane = image - np.asarray(scale * filled, np.float32)
        return SkyPatternFit(left, scale, error, True)

    def _fit(
        self, level: NDArray[np.float64], shape: NDArray[np.float64], size: tuple[int, int]
    ) -> tuple[float, float]:
        """Return strength and error; cells that stand out (galaxies, haloes) are left out."""
        known = np.isfinite(level) & np.isfinite(shape)
        smooth = smooth_terms(size, self.config.cell_size, self.config.degree)
        design = np.concatenate([shape[known][:, None], smooth[known]], axis=1)
        values = level[known]
        if values.size < 3 * design.shape[1]:
            raise AlgorithmError("hardly any cell has sky", cells=int(values.size), needed=3 * design.shape[1])
        use = np.ones(values.size, bool)
        for _ in range(_FIT_PASSES):
            solution = np.linalg.lstsq(design[use], values[use], rcond=None)[0]
            residual = values - design @ solution
            spread = 1.4826 * float(np.median(np.abs(residual[use])))
            use = np.abs(residual) <= self.config.clip * max(spread, 1e-12)
        inverse = np.linalg.pinv(design[use].T @ design[use])
        return float(solution[0]), spread * float(np.sqrt(inverse[0, 0]))


def _means(values: Plane, use: NDArray[np.bool_], edges: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return means of cells; a pattern has no outliers, and the mode of a slope is not its mean."""
    total, count = (
        np.add.reduceat(np.add.reduceat(plane, edges[0][:-1], axis=0), edges[1][:-1], axis=1)
        for plane in (np.where(use, values, 0.0).astype(float), use.astype(float))
    )
    return np.where(count > 0.0, total / np.maximum(count, 1.0), np.nan)


def smooth_terms(shape: tuple[int, int], cell_size: int, degree: int) -> NDArray[np.float64]:
    """Return Legendre products up to a total degree at the centres of cells.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the image, which reaches from -1 to 1.
    cell_size : int
        Side of the cells [px]; 1 for the pixels themselves.
    degree : int
        Total degree.

    Returns
    -------
    ndarray, float64, shape (gy, gx, terms)
    """
    along_y, along_x = (
        np.polynomial.legendre.legvander(_centers(size, cell_size) / (0.5 * size) - 1.0, degree) for size in shape
    )
    terms = [along_y[:, None, j] * along_x[None, :, i] for j in range(degree + 1) for i in range(degree + 1 - j)]
    return np.stack(terms, axis=-1)


def _centers(size: int, cell_size: int) -> NDArray[np.float64]:
    edges = cell_edges(size, cell_size).astype(float)
    return np.asarray(0.5 * (edges[:-1] + edges[1:]))
