"""Correct a flat by stars: what lamp, screen or twilight did to it that the sky does not do."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.detector_polynomial import legendre_terms, response_map
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_PASSES = 5


class BuildIlluminationConfig(TaskConfig):
    """Configuration of `BuildIlluminationTask`."""

    degree: int = Field(3, ge=1, le=6)
    """Total degree of the polynomial over the detector."""

    match_arcsec: float = Field(1.0, gt=0.0)
    """Sources of different exposures closer than this are one star [arcsec]."""

    minimum_stars: int = Field(50, ge=5)
    """Stars needed that were seen at two places at least."""

    clip: float = Field(4.0, gt=0.0)
    """Clipping radius: variables, blends, cosmic rays [sigma]."""

    systematic: float = Field(0.001, ge=0.0)
    """Relative error of every flux, added in quadrature: bright stars must not rule alone."""

    node_px: int = Field(16, ge=1)
    """The map is evaluated on nodes this far apart and interpolated [px]."""


class StarFluxes(NamedTuple):
    """Stars of dithered exposures through one filter on one detector, one entry per detection."""

    exposure: NDArray[np.int64]
    """Exposure."""

    ra_deg: Vector
    """Right ascension [deg]."""

    dec_deg: Vector
    """Declination [deg]."""

    x: Vector
    """Column [px]."""

    y: Vector
    """Row [px]."""

    flux: Vector
    """Flux by the flat, any unit, positive."""

    flux_err: Vector
    """Its error."""


class BuildIlluminationTask(Task[BuildIlluminationConfig]):
    """Fit stars' magnitudes, exposures' zero points and a polynomial of the position at once, by least squares."""

    def run(self, stars: StarFluxes, bbox: Box) -> Exposure:
        """Measure the true response over that of the flat.

        The stars' own magnitudes are eliminated, so that the system has a row per exposure and per term only.

        Parameters
        ----------
        stars : StarFluxes
            Detections; stars seen once say nothing.
        bbox : Box
            The detector.

        Returns
        -------
        Exposure
            Factor on the flat, median 1. ``metadata`` holds ``stars``, ``detections``, ``rms_mag`` of the residuals and
            ``peak_to_peak``.

        Raises
        ------
        AlgorithmError
            If too few stars were seen at two places.
        """
        names = self._matched(stars)
        value = np.log(stars.flux)
        sigma = np.hypot(stars.flux_err / stars.flux, self.config.systematic)
        terms = legendre_terms(stars.x, stars.y, bbox, self.config.degree)
        _, exposure = np.unique(stars.exposure, return_inverse=True)
        use = np.isfinite(value) & (sigma > 0.0)
        for _ in range(_PASSES):
            use &= np.bincount(names[use], minlength=names.max(initial=0) + 1)[names] > 1
            seen = np.unique(names[use]).size
            if seen < self.config.minimum_stars:
                raise AlgorithmError(
                    "too few stars were seen at two places", stars=seen, needed=self.config.minimum_stars
                )
            solution, residual = _solve(value, 1.0 / sigma**2, names, exposure, terms, use)
            pull = residual / sigma
            spread = max(1.0, 1.4826 * float(np.median(np.abs(pull[use]))))
            use = use & (np.abs(pull) <= self.config.clip * spread)
        response = response_map(solution, bbox, self.config.degree, self.config.node_px)
        facts = {"stars": seen, "detections": int(use.sum()), "peak_to_peak": float(np.ptp(response))}
        rms = 1.0857 * 1.4826 * float(np.median(np.abs(residual[use])))
        return Exposure(
            image=Image(response, bbox), mask=Mask.empty(bbox), variance=Image(np.zeros_like(response), bbox), unit="",
            metadata=facts | {"rms_mag": rms},
        )  # fmt: skip

    def _matched(self, stars: StarFluxes) -> NDArray[np.int64]:
        """Return a number for each detection that those of one star share."""
        ra, dec = np.radians(stars.ra_deg), np.radians(stars.dec_deg)
        vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
        pairs = cKDTree(vectors).query_pairs(np.radians(self.config.match_arcsec / 3600.0), output_type="ndarray")
        n = stars.x.size
        links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
        return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _solve(
    value: Vector, weight: Vector, star: NDArray[np.int64], exposure: NDArray[np.int64], terms: Vector,
    use: NDArray[np.bool_],
) -> tuple[Vector, Vector]:  # fmt: skip
    """Return the coefficients of the terms, and the residuals of all detections."""
    exposures = np.eye(exposure.max() + 1)[exposure][:, 1:]  # the first one's zero point is that of the stars
    design = np.concatenate([exposures, terms], axis=1)
    w = np.where(use, weight, 0.0)
    total = np.maximum(np.bincount(star, w), 1e-300)

    def without_stars(columns: Vector) -> Vector:
        means = np.stack([np.bincount(star, w * column) for column in columns.T], axis=1) / total[:, None]
        return columns - means[star]

    reduced, target = without_stars(design), without_stars(value[:, None])[:, 0]
    root = np.sqrt(w)
    solution: Vector = np.linalg.lstsq(reduced * root[:, None], target * root, rcond=None)[0].astype(float)
    return solution[exposures.shape[1] :], target - reduced @ solution
