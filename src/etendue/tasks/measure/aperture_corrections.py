"""From the light in an aperture, or under a model, to the whole light of a star."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.geom.box import Box
from etendue.geom.polynomial import Polynomial2D, powers_matrix
from etendue.image.aperture_correction import ApertureCorrection
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.task import Task, TaskConfig

_PASSES = 3  # of the clipped fit
_FLOOR = 2e-3  # scatter of the ratio of bright stars, which limits their weight
_CORRECTED = re.compile(r"(ap\d\d(p\d)?|kron|gaap\d+p\d+|point|cModel)Flux")  # fluxes with a correction of their own
_APERTURE = re.compile(r"ap\d\d(p\d)?Flux")
_PARTS_OF_CMODEL = ("expFlux", "devFlux", "sersicFlux")


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

    worth: float = Field(4.0, ge=0.0)
    """What each coefficient of a higher degree must lower chi-square by to be taken in."""

    avoided: tuple[str, ...] = ()
    """Pixel flags of stars that do not count."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stars:
    """Places in units of the detector's half size, ratios of fluxes and their weights."""

    u: NDArray[np.float64]
    v: NDArray[np.float64]
    ratio: NDArray[np.float64]
    weight: NDArray[np.float64]


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
            1.0 / (columns.snr[which] ** -2.0 + _FLOOR**2),
        )
        terms, coefficients, error = self._best(stars)
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
            for flag in self.config.avoided:
                usable &= ~columns.pixel_flags.get(flag, np.zeros(len(columns), np.bool_))
            bright = usable & (snr > self.config.min_snr)
            if "extendedness" in columns.measured:
                bright &= columns.measured["extendedness"] == 0.0
            if np.count_nonzero(bright) < self.config.min_stars:
                bright = usable & (snr > self.config.fallback_snr)
        return np.flatnonzero(bright)

    def _best(self, stars: _Stars) -> tuple[list[tuple[int, int]], NDArray[np.floating], float]:
        """Return terms, coefficients and error of the highest degree that is worth its coefficients."""
        terms = _terms(0)
        best = (terms, *self._fit(stars, terms))
        for order in range(1, self.config.order + 1):
            terms = _terms(order)
            if stars.ratio.size < self.config.stars_per_term * len(terms):
                break
            found = (terms, *self._fit(stars, terms))
            gain = _loss(stars, best[0], best[1]) / max(_loss(stars, terms, found[1]), 1e-300) - 1.0
            if gain * (stars.ratio.size - len(terms)) > self.config.worth * (len(terms) - len(best[0])):
                best = found
        return best

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
            root = np.sqrt(stars.weight[good])
            coefficients = np.linalg.lstsq(design[good] * root[:, np.newaxis], stars.ratio[good] * root, rcond=None)[0]
        return coefficients, sigma / float(np.sqrt(stars.ratio.size))


def _terms(order: int) -> list[tuple[int, int]]:
    """Return the powers of all terms up to a degree, the constant first."""
    return [(degree - q, q) for degree in range(order + 1) for q in range(degree + 1)]


def _loss(stars: _Stars, terms: list[tuple[int, int]], coefficients: NDArray[np.floating]) -> float:
    """Return the weighted sum of squared residuals, each counted up to twenty times the median one."""
    square = stars.weight * (stars.ratio - powers_matrix(stars.u, stars.v, terms) @ coefficients) ** 2
    return float(np.minimum(square, 20.0 * np.median(square)).sum())


class ApertureCorrectionsConfig(TaskConfig):
    """Configuration of `ApertureCorrectionsTask`."""

    fit: ApertureCorrectionConfig = ApertureCorrectionConfig(
        order=2,
        fallback_snr=float("inf"),
        avoided=("pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_interpolatedCenter", "pixelFlags_crCenter"),
    )
    """How each is fitted; without enough bright stars there is none."""


class ApertureCorrectionsTask(Task[ApertureCorrectionsConfig]):
    """Fit the corrections of all fluxes of an image by its stars."""

    def run(self, columns: SourceColumns, bbox: Box) -> dict[str, ApertureCorrection]:
        """Fit all corrections.

        Parameters
        ----------
        columns : SourceColumns
            As measured: nothing corrected.
        bbox : Box
            The image, parent pixels.

        Returns
        -------
        dict of str to ApertureCorrection
            By flux: apertures, Kron, Gaussian-aperture, point and composite model; empty where too few stars tell.
        """
        task = ApertureCorrectionTask(self.config.fit)
        found = {name: task.run(columns, bbox, name) for name in columns.measured if _CORRECTED.fullmatch(name)}
        return {name: correction for name, correction in found.items() if correction.err > 0.0}


def is_applied(name: str) -> bool:
    """Return whether tables hold a flux corrected to the whole light of a star.

    Fluxes in circles stay as they are, so that they add up to a curve of growth; their correction is a column beside
    them. Kron, Gaussian-aperture and model fluxes are corrected, as LSST's are.

    Parameters
    ----------
    name : str
        Such as ``kronFlux``.

    Returns
    -------
    bool
    """
    return not _APERTURE.fullmatch(name)


def corrected(columns: SourceColumns, corrections: Mapping[str, ApertureCorrection]) -> SourceColumns:
    """Apply corrections to measurements, and say which.

    Parameters
    ----------
    columns : SourceColumns
        As measured.
    corrections : mapping of str to ApertureCorrection
        Of the same image, by flux. Single profiles have that of the composite model.

    Returns
    -------
    SourceColumns
        With ``NAME_apCorr`` of every flux that has a correction, multiplied in where `is_applied` says so.
    """
    measured = dict(columns.measured)
    model = corrections.get("cModelFlux")
    whole = {**corrections, **({} if model is None else dict.fromkeys(_PARTS_OF_CMODEL, model))}
    for name, correction in whole.items():
        if name not in measured:
            continue
        factor = measured[f"{name}_apCorr"] = correction.at(x=columns.x, y=columns.y)
        if is_applied(name):
            measured |= {column: measured[column] * factor for column in (name, f"{name}Err")}
    return replace(columns, measured=measured)
