"""Fit the WCS of one exposure to a reference catalog."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import tangent_plane
from etendue.kernels.astrometry import systematic_floor, weighted_fit
from etendue.kernels.match import match_nearest
from etendue.tasks.astrometry.refraction import Refraction
from etendue.tasks.astrometry.result import AstrometryResult
from etendue.tasks.astrometry.tan_sip import PixelFrame, fit_tan_sip
from etendue.tasks.match.pattern import MatchPatternConfig, MatchPatternTask
from etendue.tasks.match.similarity import Similarity
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]

_ARCSEC = 3600.0


class FitAstrometryConfig(TaskConfig):
    """How the stars are matched and what polynomial corrects the starting WCS."""

    pattern: MatchPatternConfig = MatchPatternConfig()
    """Pattern match that finds the error of the starting WCS."""

    trust_start: bool = False
    """Skip the pattern match: the starting WCS is good to ``match_radius_arcsec``."""

    match_radius_arcsec: float = Field(3.0, gt=0.0)
    """Largest distance of a match after the pattern match; at least a pixel, as are all distances of the pattern match.
    """

    order: int = Field(3, ge=1, le=5)
    """Order of the polynomial correction; lowered where the stars are too few for it."""

    stars_per_term: float = Field(3.0, ge=1.0)
    """Smallest number of stars per polynomial term."""

    clip_sigma: float = Field(4.0, gt=1.0)
    """Matches farther off than this many sigmas are left out."""

    iterations: int = Field(6, ge=1, le=50)
    """Rounds of matching, fitting and clipping."""

    min_matches: int = Field(6, ge=3)
    """Fewest stars for a WCS."""

    fit_refraction: bool = True
    """Fit by how much the air moves stars by their colour, where colours and the zenith are given; else only a given
    coefficient is corrected for."""

    refraction_prior_arcsec: float = Field(0.2, gt=0.0)
    """Expected size of that coefficient, per magnitude of colour and unit of tan z: it decides only where stars do
    not."""


@dataclass(frozen=True, slots=True)
class _Stars:
    """Sources and reference stars on the tangent plane of the starting WCS [arcsec]."""

    x: Vector
    y: Vector
    plane: Vector
    variance: Vector
    reference: Vector
    reference_variance: Vector
    color: Vector  # minus the median; 0 where unknown [mag]
    median_color: float


@dataclass(frozen=True, slots=True)
class _Fit:
    coefficients: Vector
    covariance: Vector
    order: int
    floor: float
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    used: NDArray[np.bool_]
    refraction: Refraction


class FitAstrometryTask(Task[FitAstrometryConfig]):
    """Match stars to a reference catalog and fit a robust weighted polynomial correction of the starting WCS."""

    def run(
        self,
        *,
        x: ArrayLike,
        y: ArrayLike,
        x_err: ArrayLike,
        y_err: ArrayLike,
        flux: ArrayLike,
        wcs: SkyWcs,
        ref_ra_deg: ArrayLike,
        ref_dec_deg: ArrayLike,
        ref_flux: ArrayLike | None = None,
        ref_err_arcsec: ArrayLike = 0.0,
        ref_color_mag: ArrayLike | None = None,
        toward_zenith: tuple[float, float] | None = None,
        refraction_arcsec: float | None = None,
    ) -> AstrometryResult:
        """Fit one exposure.

        Parameters
        ----------
        x, y, x_err, y_err, flux : array_like, shape (n,)
            Star centers and their errors [px], and brightness in any unit; sources with a number
            that is not finite are not used.
        wcs : SkyWcs
            Starting WCS.
        ref_ra_deg, ref_dec_deg : array_like, shape (m,)
            Reference positions at the epoch of the exposure [deg].
        ref_flux : array_like, shape (m,), optional
            Their brightness, to rank them for the pattern match.
        ref_err_arcsec : array_like, shape (m,) or scalar
            Their errors per axis [arcsec]; NaN counts as 0.
        ref_color_mag : array_like, shape (m,), optional
            Their colours, for refraction: NaN where unknown, which counts as the median [mag].
        toward_zenith : (float, float), optional
            East and north of the direction to the zenith, of length ``tan z`` (`geom.horizon.toward_zenith`).
        refraction_arcsec : float, optional
            Shift towards the zenith per magnitude of colour and unit of ``tan z``, if it is known; then it is not
            fitted [arcsec/mag].

        Returns
        -------
        AstrometryResult
            With indices into the arrays as given.

        Raises
        ------
        AlgorithmError
            If no star pattern is found or too few stars match.
        """
        columns = [np.asarray(c, np.float64) for c in (x, y, x_err, y_err)]
        sources = np.flatnonzero(np.isfinite(columns).all(axis=0))
        ref = np.stack(
            np.broadcast_arrays(*(np.asarray(c, np.float64) for c in (ref_ra_deg, ref_dec_deg, ref_err_arcsec)))
        )
        color = None if ref_color_mag is None or toward_zenith is None else np.asarray(ref_color_mag, np.float64)
        stars, references = _project([c[sources] for c in columns], wcs, ref, color)
        pixel = float(wcs.pixel_scale())
        ranks = np.ones(ref.shape[1]) if ref_flux is None else np.asarray(ref_flux, np.float64)
        transform = self._transform(stars, np.asarray(flux, np.float64)[sources], ranks[references], pixel)
        radius = self.config.match_radius_arcsec
        radius = radius if self.config.trust_start else max(radius, pixel)
        frame = PixelFrame.around(stars.x, stars.y)
        known = Refraction(toward_zenith or (0.0, 0.0), refraction_arcsec or 0.0, stars.median_color)
        fitted = self.config.fit_refraction and color is not None and refraction_arcsec is None
        fit = self._iterate(stars, frame, transform.apply(stars.plane), known, radius, fitted=fitted)
        return _result(fit, stars, frame, wcs, transform, sources, references)

    def _transform(self, stars: _Stars, flux: Vector, reference_flux: Vector, pixel: float) -> Similarity:
        if min(len(stars.plane), len(stars.reference)) < self.config.min_matches:
            raise AlgorithmError("too few stars", sources=len(stars.plane), references=len(stars.reference))
        if self.config.trust_start:
            return Similarity()
        task = MatchPatternTask(self.config.pattern.at_least(pixel))
        match = task.run(source=stars.plane, source_flux=flux, reference=stars.reference, reference_flux=reference_flux)
        return match.transform

    def _iterate(
        self, stars: _Stars, frame: PixelFrame, plane: Vector, refraction: Refraction, widest: float, *, fitted: bool
    ) -> _Fit:
        """Alternate between matching and fitting, with a radius that shrinks to the scatter."""
        radius, floor, fit = widest, 0.0, None
        for _ in range(self.config.iterations):
            seen = stars.reference + refraction.shift(stars.color)
            i, j, _distance = match_nearest(plane, seen, radius)
            fit = self._fit(stars, frame, i, j, floor, refraction)
            if fitted:
                refraction = self._refraction(stars, frame, fit)
                fit = self._fit(stars, frame, i, j, floor, refraction)
            design = frame.design(stars.x, stars.y, fit.order)
            plane = stars.plane + design @ fit.coefficients.T
            residual = (plane[i] - stars.reference[j] - refraction.shift(stars.color[j]))[fit.used]
            scatter = 1.4826 * float(np.median(np.abs(residual)))
            floor, radius = fit.floor, min(radius, max(10.0 * scatter, 0.1 * widest))
        assert fit is not None
        return fit

    def _refraction(self, stars: _Stars, frame: PixelFrame, fit: _Fit) -> Refraction:
        """Fit the coefficient together with the polynomials: by what of its term they cannot follow."""
        i, j = fit.i[fit.used], fit.j[fit.used]
        design = frame.design(stars.x[i], stars.y[i], fit.order)
        weight = 1.0 / np.maximum(stars.variance[i] + stars.reference_variance[j][:, None] + fit.floor**2, 1e-12)
        term = stars.color[j][:, None] * np.array(fit.refraction.toward_zenith)
        offset = stars.plane[i] - stars.reference[j]
        total, norm = 0.0, self.config.refraction_prior_arcsec**-2
        for axis in (0, 1):
            part = weighted_fit(design, term[:, axis], weight[:, axis])
            apart = weight[:, axis] * (term[:, axis] - design @ part.coefficients)
            total += float(apart @ offset[:, axis])
            norm += float(apart @ term[:, axis])
        return replace(fit.refraction, arcsec_per_mag=total / norm, err_arcsec_per_mag=norm**-0.5)

    def _fit(
        self,
        stars: _Stars,
        frame: PixelFrame,
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        floor: float,
        refraction: Refraction,
    ) -> _Fit:
        if i.size < self.config.min_matches:
            raise AlgorithmError(
                "too few stars match the reference catalog", matched=i.size, needed=self.config.min_matches
            )
        order = self._order(i.size)
        design = frame.design(stars.x[i], stars.y[i], order)
        value = stars.reference[j] + refraction.shift(stars.color[j]) - stars.plane[i]
        variance = stars.variance[i] + stars.reference_variance[j][:, None]
        used = np.ones(i.size, bool)
        for _ in range(5):
            weight = used[:, None] / np.maximum(variance + floor**2, 1e-12)
            fits = [weighted_fit(design, value[:, axis], weight[:, axis]) for axis in (0, 1)]
            residual = np.stack([design @ fit.coefficients for fit in fits], axis=1) - value
            leverage = np.stack(
                [
                    w * np.einsum("ij,jk,ik->i", design, f.covariance, design)
                    for f, w in zip(fits, weight.T, strict=True)
                ],
                axis=1,
            )
            freedom = np.where(used[:, None], 1.0 - leverage, 0.0)
            floor = systematic_floor(residual.ravel(), np.maximum(variance, 1e-12).ravel(), freedom.ravel())
            chi = np.sqrt(((residual**2) / np.maximum(variance + floor**2, 1e-12)).sum(axis=1))
            kept = chi <= self.config.clip_sigma * np.sqrt(2.0)
            if kept.sum() < self.config.min_matches:
                break
            used = kept
        coefficients = np.stack([fit.coefficients for fit in fits])
        return _Fit(coefficients, np.stack([fit.covariance for fit in fits]), order, floor, i, j, used, refraction)

    def _order(self, n_stars: int) -> int:
        """Return the highest order for which there are stars enough."""
        orders = range(self.config.order, 1, -1)
        enough = (o for o in orders if n_stars >= self.config.stars_per_term * (o + 1) * (o + 2) / 2)
        return next(enough, 1)


def _project(sources: list[Vector], wcs: SkyWcs, ref: Vector, color: Vector | None) -> tuple[_Stars, NDArray[np.int64]]:
    x, y, x_err, y_err = sources
    plane = np.stack(wcs.pixel_to_plane(x=x, y=y), axis=1) * _ARCSEC
    jacobian = wcs.plane_jacobian(x=x, y=y) * _ARCSEC
    variance = np.einsum("nij,nj->ni", jacobian**2, np.stack([x_err, y_err], axis=1) ** 2)
    xi, eta = tangent_plane(ra_deg=ref[0], dec_deg=ref[1], ra0_deg=wcs.crval[0], dec0_deg=wcs.crval[1])
    references = np.flatnonzero(np.isfinite(xi) & np.isfinite(eta))
    positions = np.stack([xi, eta], axis=1)[references] * _ARCSEC
    colors = np.full(references.size, np.nan) if color is None else color[references]
    median = float(np.median(colors[np.isfinite(colors)])) if np.isfinite(colors).any() else 0.0
    squares = np.nan_to_num(ref[2, references]) ** 2
    return _Stars(x, y, plane, variance, positions, squares, np.nan_to_num(colors - median), median), references


def _result(
    fit: _Fit,
    stars: _Stars,
    frame: PixelFrame,
    wcs: SkyWcs,
    transform: Similarity,
    sources: NDArray[np.int64],
    references: NDArray[np.int64],
) -> AstrometryResult:
    def corrected(x: Vector, y: Vector) -> tuple[Vector, Vector]:
        start = np.stack(wcs.pixel_to_plane(x=x, y=y), axis=1) * _ARCSEC
        xi, eta = (start + frame.design(x, y, fit.order) @ fit.coefficients.T).T
        return xi, eta

    fitted = fit_tan_sip(corrected, frame, wcs.crval, order=fit.order)
    seen = stars.reference[fit.j] + fit.refraction.shift(stars.color[fit.j])
    residual = np.stack(corrected(stars.x[fit.i], stars.y[fit.i]), axis=1) - seen
    variance = stars.variance[fit.i] + stars.reference_variance[fit.j][:, None] + fit.floor**2
    dof = max(2 * (int(fit.used.sum()) - fit.covariance.shape[1]), 1)
    chi2 = float(((residual**2) / np.maximum(variance, 1e-12))[fit.used].sum() / dof)
    rms = float(np.sqrt(np.mean(residual[fit.used] ** 2)))
    center = stars.plane.mean(axis=0, keepdims=True)
    shift = float(np.hypot(*(transform.apply(center) - center)[0]))
    return AstrometryResult(
        fitted, sources[fit.i], references[fit.j], fit.used, residual[:, 0], residual[:, 1], rms, fit.floor, chi2,
        fit.order, shift, transform.rotation_deg, transform.scale, frame, fit.covariance, fit.refraction,
    )  # fmt: skip
