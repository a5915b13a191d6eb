"""Shift a template whose WCS is a little off onto a science image."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.tasks.diffim.common_stars import isolated_stars, psf_sigma, stamps
from etendue.tasks.task import Task, TaskConfig

_CORE = 2  # half-size of the squares whose centroids are compared [px]


class AlignTemplateConfig(TaskConfig):
    """Stars and tolerance."""

    reach: float = Field(15.0, gt=1.0)
    """Largest shift looked for, per axis [px]."""

    bin: float = Field(1.0, gt=0.0)
    """Cell of the histogram of shifts [px]."""

    min_snr: float = Field(20.0, gt=0.0)
    """Faintest star."""

    max_stars: int = Field(300, ge=10)
    """Brightest stars of each image."""

    min_matches: int = Field(6, ge=3)
    """Fewest pairs of stars that agree on the shift."""

    tolerance: float = Field(0.2, ge=0.0)
    """A shift below this is left to the matching kernel [px]."""

    default_sigma: float = Field(1.0, gt=0.0)
    """Width of the filter that finds stars where there is no PSF [px]."""

    half: int = Field(6, ge=3)
    """Half-size of the square that a star must have for itself [px]."""

    bad_planes: tuple[str, ...] = ("NO_DATA", "SAT", "BAD", "CR")
    """Planes whose pixels spoil a star."""


class AlignTemplateTask(Task[AlignTemplateConfig]):
    """Find the shift between the stars of a template and of a science image, as the mode of all pairwise differences.

    A matching kernel takes up shifts of a fraction of a pixel; a WCS that another program fitted to another catalog,
    or a science frame calibrated by its header alone, may be off by several.
    """

    def run(self, *, science: Exposure, warped: Exposure, template: Exposure) -> Exposure:
        """Return ``template`` with a WCS that puts its stars on those of ``science``.

        Parameters
        ----------
        science : Exposure
            The image.
        warped : Exposure
            The template on its pixels.
        template : Exposure
            The template on its own pixels.

        Returns
        -------
        Exposure
            ``template`` itself where the shift is too small to matter.

        Raises
        ------
        AlgorithmError
            If too few stars agree on a shift.
        """
        sigma = psf_sigma(science, self.config.default_sigma)
        here, there = (self._positions(exposure, sigma) for exposure in (science, warped))
        dx, dy = self._shift(here, there)
        if max(abs(dx), abs(dy)) < self.config.tolerance:
            return template
        assert science.wcs is not None
        assert template.wcs is not None
        middle = {"x": science.bbox.x.center, "y": science.bbox.y.center}
        places = [science.wcs.pixel_to_sky(x=middle["x"] - shift * dx, y=middle["y"] - shift * dy) for shift in (0, 1)]
        (x1, y1), (x0, y0) = (template.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec) for ra, dec in places)
        # A star at template pixel (x0, y0) was drawn (dx, dy) short of its place, which (x1, y1) would have hit.
        return template.replace(wcs=template.wcs.shifted(dx=float(x0 - x1), dy=float(y0 - y1)))

    def _positions(self, exposure: Exposure, sigma: float) -> NDArray[np.float64]:
        """Return the centroids of the stars, shape (n, 2)."""
        config = self.config
        col, row = isolated_stars(
            exposure, sigma=sigma, min_snr=config.min_snr, half=config.half, bad_planes=config.bad_planes,
            most=config.max_stars,
        )  # fmt: skip
        core = np.maximum(stamps(exposure.image.array, col, row, _CORE), 0.0).astype(float)
        total = np.maximum(core.sum(axis=(1, 2)), 1e-30)
        offset = np.arange(-_CORE, _CORE + 1)
        dx, dy = (core * offset).sum(axis=(1, 2)) / total, (core * offset[:, None]).sum(axis=(1, 2)) / total
        return np.stack([col + dx, row + dy], axis=-1)

    def _shift(self, here: NDArray[np.float64], there: NDArray[np.float64]) -> tuple[float, float]:
        """Return science minus template, the median of the pairs in the fullest cell and around it."""
        config = self.config
        pairs = (here[:, None, :] - there[None, :, :]).reshape(-1, 2)
        pairs = pairs[(np.abs(pairs) < config.reach).all(axis=1)]
        if len(pairs) < config.min_matches:
            raise AlgorithmError("too few stars in common with the template", stars=len(here), template=len(there))
        n = int(np.ceil(2.0 * config.reach / config.bin))
        reach = (-config.reach, config.reach)
        count, x_edges, y_edges = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=(n, n), range=(reach, reach))
        i, j = np.unravel_index(int(np.argmax(count)), count.shape)
        mode = np.array([0.5 * (x_edges[i] + x_edges[i + 1]), 0.5 * (y_edges[j] + y_edges[j + 1])])
        for _ in range(3):
            near = pairs[np.hypot(*(pairs - mode).T) < 1.5 * config.bin]
            if len(near) < config.min_matches:
                raise AlgorithmError("the stars of the template do not fall on those of the image", agreeing=len(near))
            mode = np.median(near, axis=0)
        return float(mode[0]), float(mode[1])
