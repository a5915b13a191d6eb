"""From the light in an aperture to the whole light of a star."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.geom.box import Box
from etendue.geom.polynomial import Polynomial2D, powers_matrix
from etendue.image.aperture_correction import ApertureCorrection
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.task import Task, TaskConfig

_PASSES = 3  # of the clipped fit


class ApertureCorrectionConfig(TaskConfig):
    """Configuration of `ApertureCorrectionTask`."""

    min_snr: float = Field(100.0, gt=0.0)
    """Faintest star that is used..."""

    fallback_snr: float = Field(20.0, gt=0.0)
    """...or this, where fewer than ``min_stars`` are so bright; then also without a verdict on their extendedness."""

    min_stars: int = Field(5, ge=1)
    """Of ``min_snr``."""

    order: int = Field(0, ge=0, le=3)
    """Degree of the polynomial over the detector; lowered where there are too few stars."""

    stars_per_term: int = Field(10, ge=1)
    """Stars needed per coefficient of the polynomial."""

    clip: float = Field(3.0, gt=0.0)
    """Stars further from the fit than this many robust sigmas do not count."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stars:
    """Places in units of the detector's half size, and ratios."""

    u: NDArray[np.float64]
    v: NDArray[np.float64]
    ratio: NDArray[np.float64]


class ApertureCorrectionTask(Task[ApertureCorrectionConfig]):
    """Fit the ratio of the PSF flux of stars to another flux of theirs by a polynomial of the place."""

    def run(self, columns: SourceColumns, bbox: Box, name: str) -> ApertureCorrection:
        """Fit the correction of one flux.

        Parameters
        ----------
        columns : SourceColumns
            With the flux ``name`` among its measurements.
        bbox : Box
            The image, parent pixels.
        name : str
            Column, such as ``ap06Flux``.

        Returns
        -------
        ApertureCorrection
            Exactly 1 without an error where no star can tell.
        """
        centre, half_size = (bbox.x.center, bbox.y.center), 0.5 * max(bbox.x.size, bbox.y.size, 1)
        which = self._stars(columns, name)
        if not which.size:
            return ApertureCorrection(value=1.0)
        stars = _Stars(
            (columns.x[which] - centre[0]) / half_size,
            (columns.y[which] - centre[1]) / half_size,
            columns.psf_flux[which] / columns.measured[name][which],
        )
        terms = self._terms(which.size)
        coefficients, error = self._fit(stars, terms)
        value, matrix = float(coefficients[0]), np.zeros((len(terms), len(terms)))
        for (p, q), coefficient in zip(terms, coefficients, strict=True):
            matrix[p, q] = coefficient / value
        spatial = Polynomial2D(matrix[: self.config.order + 1, : self.config.order + 1]) if len(terms) > 1 else None
        return ApertureCorrection(value=value, err=error, spatial=spatial, center=centre, half_size=half_size)

    def _stars(self, columns: SourceColumns, name: str) -> NDArray[np.int64]:
        """Return the rows of the stars to use."""
        flux, snr = columns.measured[name], columns.snr
        with np.errstate(invalid="ignore"):
            usable = ~columns.psf_flux_flag & (flux > 0.0) & (columns.psf_flux > 0.0)
            bright = usable & (snr > self.config.min_snr)
            if "extendedness" in columns.measured:
                bright &= columns.measured["extendedness"] == 0.0
            if np.count_nonzero(bright) < self.config.min_stars:
                bright = usable & (snr > self.config.fallback_snr)
        return np.flatnonzero(bright)

    def _terms(self, n: int) -> list[tuple[int, int]]:
        order = self.config.order
        while order and n < self.config.stars_per_term * (order + 1) * (order + 2) // 2:
            order -= 1
        return [(degree - q, q) for degree in range(order + 1) for q in range(degree + 1)]

    def _fit(self, stars: _Stars, terms: list[tuple[int, int]]) -> tuple[NDArray[np.floating], float]:
        """Return coefficients, the constant one first, and the error of that: a median refined by clipped fits."""
        design = powers_matrix(stars.u, stars.v, terms)
        coefficients: NDArray[np.floating] = np.zeros(len(terms))
        coefficients[0] = np.median(stars.ratio)
        if len(terms) == 1:
            low, high = np.percentile(stars.ratio, [25.0, 75.0])
            return coefficients, float(1.253 * (high - low) / 1.349 / np.sqrt(stars.ratio.size))
        sigma = np.inf
        for _ in range(_PASSES):
            residual = stars.ratio - design @ coefficients
            sigma = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
            good = np.abs(residual) <= self.config.clip * sigma
            coefficients = np.linalg.lstsq(design[good], stars.ratio[good], rcond=None)[0]
        return coefficients, sigma / float(np.sqrt(stars.ratio.size))
