"""Solve the WCSs of many exposures together with the positions of their stars."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg, tangent_plane, tangent_plane_inverse, unit_vector
from etendue.kernels.astrometry import polynomial_powers
from etendue.kernels.joint_solve import JointProblem, RobustSolution, joint_solve_robust
from etendue.tasks.astrometry.isolated_star import IsolatedStars
from etendue.tasks.astrometry.star_refraction import StarRefraction, fit_star_refraction
from etendue.tasks.astrometry.tan_sip import PixelFrame, fit_tan_sip
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_ARCSEC = 3600.0
_REFRACTION_ROUNDS = 3


class JointAstrometryConfig(TaskConfig):
    """Polynomial corrections of the starting WCSs, and how outliers and weights are treated."""

    order: int = Field(3, ge=1, le=6)
    """Order of the polynomial correction of each exposure."""

    stars_per_term: float = Field(4.0, ge=1.0)
    """An exposure with fewer stars per polynomial term gets a lower order, in the end a shift alone."""

    coefficient_prior_arcsec: float = Field(0.1, gt=0.0)
    """Expected size of the corrections of second and higher order at the edge of the detector."""

    start_prior_arcsec: float = Field(1.0, gt=0.0)
    """Error of star positions by the starting WCSs; it fixes what no observation does."""

    reference_floor_arcsec: float = Field(0.005, ge=0.0)
    """Error added in quadrature to the reference catalog's."""

    clip_sigma: float = Field(4.5, gt=1.0)
    """Measurements farther off than this many sigmas are left out."""

    iterations: int = Field(8, ge=2, le=100)
    """Rounds of solving, clipping and estimating the systematic floor."""

    fit_refraction: bool = False
    """Fit per star how much the air moves it for its colour; needs exposures at different zenith distances or
    parallactic angles."""


@dataclass(frozen=True, slots=True, eq=False)
class JointAstrometryResult:
    """Solution of `JointAstrometryTask`.

    Parameters
    ----------
    wcs : tuple of SkyWcs
        One per exposure, in the order of the stars' ``exposures``.
    solved : ndarray, bool, shape (n_exposures,)
        False where no star is shared with another exposure and the starting WCS was kept.
    n_stars : ndarray, int64, shape (n_exposures,)
        Stars used.
    rms_arcsec : ndarray, float64, shape (n_exposures,)
        Weighted root mean square residual per axis of the used stars [arcsec]; NaN without any.
    star_ra_deg, star_dec_deg : ndarray, float64, shape (n_stars,)
        Mean positions [deg]; the starting ones where no measurement was used.
    star_err_arcsec : ndarray, float64, shape (n_stars,)
        Error per axis of the mean for fixed WCSs [arcsec].
    used : ndarray, bool, shape (n,)
        Measurements used.
    residual_east_arcsec, residual_north_arcsec : ndarray, float64, shape (n,)
        Measurement minus star [arcsec].
    floor_arcsec : float
        Scatter per axis that the formal errors leave unexplained [arcsec].
    refraction : StarRefraction or None
        How much the air moves each star, band after band; then the residuals are free of it, and the WCSs are those of
        stars that are moved as the mean. None where it was not fitted.
    """

    wcs: tuple[SkyWcs, ...]
    solved: NDArray[np.bool_]
    n_stars: NDArray[np.int64]
    rms_arcsec: Vector
    star_ra_deg: Vector
    star_dec_deg: Vector
    star_err_arcsec: Vector
    used: NDArray[np.bool_]
    residual_east_arcsec: Vector
    residual_north_arcsec: Vector
    floor_arcsec: float
    refraction: StarRefraction | None = None


@dataclass(frozen=True, slots=True)
class _Plane:
    """All measurements on one tangent plane [arcsec]."""

    center: tuple[float, float]
    frame: PixelFrame
    value: Vector  # (n, 2)
    variance: Vector  # (n, 2)
    design: Vector  # (n, n_terms)
    prior: Vector  # (n_stars, 2)
    prior_weight: Vector  # (n_stars,)


class JointAstrometryTask(Task[JointAstrometryConfig]):
    """Fit a polynomial correction per exposure and one position per star by least squares.

    The solution is anchored to the reference catalog where there is one, and otherwise to the mean
    positions by the starting WCSs, whose weight is too small to matter where exposures overlap.
    """

    def run(
        self,
        *,
        stars: IsolatedStars,
        wcs: Sequence[SkyWcs],
        ref_ra_deg: ArrayLike | None = None,
        ref_dec_deg: ArrayLike | None = None,
        ref_err_arcsec: ArrayLike = 0.0,
        toward_zenith: Vector | None = None,
        passband: NDArray[np.int64] | None = None,
    ) -> JointAstrometryResult:
        """Solve all exposures.

        Parameters
        ----------
        stars : IsolatedStars
            Associated stars.
        wcs : sequence of SkyWcs
            Starting WCSs, in the order of ``stars.exposures``.
        ref_ra_deg, ref_dec_deg : array_like, shape (n_stars,), optional
            Reference positions of the stars [deg]; NaN for stars without one.
        ref_err_arcsec : array_like, shape (n_stars,) or scalar
            Their errors per axis [arcsec].
        toward_zenith : ndarray, float64, shape (n_exposures, 2), optional
            East and north of the direction to the zenith of each exposure, of length ``tan z``
            (`geom.horizon.toward_zenith`); needed to fit refraction, NaN for exposures that tell nothing about it.
        passband : ndarray, int64, shape (n_exposures,), optional
            Number of the band of each exposure, from 0 on: refraction differs from band to band. One by default.

        Returns
        -------
        JointAstrometryResult

        Raises
        ------
        AlgorithmError
            If no exposure shares stars with another.
        """
        plane = self._plane(stars, wcs, ref_ra_deg, ref_dec_deg, ref_err_arcsec)
        orders = self._orders(stars)
        solved = orders >= 0
        if not solved.any():
            raise AlgorithmError("no exposure shares stars with another", exposures=len(wcs), stars=stars.n_stars)
        ridge = self._ridge(orders)
        solution = self._solve(stars, plane, ridge, solved)
        refraction = None
        if self.config.fit_refraction and toward_zenith is not None:
            zenith = np.asarray(toward_zenith, np.float64)[stars.exposure]
            band = np.zeros(len(wcs), np.int64) if passband is None else passband
            group = band[stars.exposure] * stars.n_stars + stars.star
            for _ in range(_REFRACTION_ROUNDS):
                refraction, moved = _refraction(plane, solution, group, zenith, refraction)
                solution = self._solve(stars, moved, ridge, solved)
        result = _result(stars, tuple(wcs), plane, solved, solution, self.config.order)
        return replace(result, refraction=refraction)

    def _solve(self, stars: IsolatedStars, plane: _Plane, ridge: Vector, solved: NDArray[np.bool_]) -> RobustSolution:
        return joint_solve_robust(
            [_problem(stars, plane, ridge, axis) for axis in (0, 1)], solved[stars.exposure],
            clip_sigma=self.config.clip_sigma, iterations=self.config.iterations, start_floor=0.02, least_floor=1e-4,
        )  # fmt: skip

    def _orders(self, stars: IsolatedStars) -> NDArray[np.int64]:
        """Return the order each exposure has stars for; -1 without any that another exposure shares."""
        shared = stars.n_exposures_per_star()[stars.star] >= 2
        counts = np.bincount(stars.exposure[shared], minlength=len(stars.exposures))
        terms = np.array([(order + 1) * (order + 2) / 2 for order in range(self.config.order + 1)])
        enough = (counts[:, None] >= self.config.stars_per_term * terms).sum(axis=1) - 1
        return np.where(counts > 0, np.maximum(enough, 0), -1)

    def _ridge(self, orders: NDArray[np.int64]) -> Vector:
        """Return inverse variances of the coefficients: linear terms free, terms beyond the order held."""
        total = polynomial_powers(self.config.order).sum(axis=1)
        # Free means an error of a degree costs nothing, held means smaller than any error of measurement.
        prior = np.where(total < 2, 3600.0, self.config.coefficient_prior_arcsec)
        return np.where(total <= orders[:, None], prior, 1e-6) ** -2.0

    def _plane(
        self,
        stars: IsolatedStars,
        wcs: Sequence[SkyWcs],
        ref_ra_deg: ArrayLike | None,
        ref_dec_deg: ArrayLike | None,
        ref_err_arcsec: ArrayLike,
    ) -> _Plane:
        center = _center(stars)
        value, variance = _to_plane(stars, wcs, center)
        frame = PixelFrame.around(stars.x, stars.y)
        prior = np.stack(_tangent(stars.ra_deg, stars.dec_deg, center), axis=1)
        prior_weight = np.full(stars.n_stars, self.config.start_prior_arcsec**-2)
        if ref_ra_deg is not None and ref_dec_deg is not None:
            known = np.stack(_tangent(np.asarray(ref_ra_deg, float), np.asarray(ref_dec_deg, float), center), axis=1)
            matched = np.isfinite(known[:, 0] + known[:, 1])
            error = np.broadcast_to(np.nan_to_num(np.asarray(ref_err_arcsec, float)), matched.shape)
            weight = 1.0 / np.maximum(error**2 + self.config.reference_floor_arcsec**2, 1e-8)
            prior = np.where(matched[:, None], known, prior)
            prior_weight = np.where(matched, weight, 0.0)
        return _Plane(
            center, frame, value, variance, frame.design(stars.x, stars.y, self.config.order), prior, prior_weight
        )


def _refraction(
    plane: _Plane, solution: RobustSolution, group: NDArray[np.int64], zenith: Vector, known: StarRefraction | None
) -> tuple[StarRefraction, _Plane]:
    """Fit the refraction of the stars to what a solution leaves, and take it out of the measurements."""
    told = np.asarray(np.isfinite(zenith).all(axis=1))
    zenith = np.where(told[:, None], zenith, 0.0)
    residual = np.stack([axis.residual for axis in solution.solutions], axis=1)
    if known is not None:
        residual = residual + known.shift(group, zenith)
    usable = solution.used & told & np.isfinite(residual).all(axis=1)
    variance = np.where(usable[:, None], plane.variance + solution.floor**2, np.inf)
    found = fit_star_refraction(group, int(group.max()) + 1, np.nan_to_num(residual), variance, zenith)
    return found, replace(plane, value=plane.value - found.shift(group, zenith))


def _problem(stars: IsolatedStars, plane: _Plane, ridge: Vector, axis: int) -> JointProblem:
    return JointProblem(
        value=plane.value[:, axis],
        weight=1.0 / plane.variance[:, axis],
        design=plane.design,
        common=np.empty((stars.star.size, 0)),
        visit=stars.exposure,
        star=stars.star,
        prior_value=plane.prior[:, axis],
        prior_weight=plane.prior_weight,
        ridge=ridge,
        common_ridge=np.empty(0),
    )


def _center(stars: IsolatedStars) -> tuple[float, float]:
    mean = unit_vector(stars.ra_deg, stars.dec_deg).mean(axis=0)
    ra, dec = np.degrees(np.arctan2(mean[1], mean[0])) % 360.0, np.degrees(np.arctan2(mean[2], np.hypot(*mean[:2])))
    far = float(separation_deg(ra, dec, stars.ra_deg, stars.dec_deg).max())
    if far > 20.0:
        raise AlgorithmError("stars do not fit one tangent plane", radius_deg=round(far, 2))
    return float(ra), float(dec)


def _tangent(ra_deg: Vector, dec_deg: Vector, center: tuple[float, float]) -> tuple[Vector, Vector]:
    xi, eta = tangent_plane(ra_deg=ra_deg, dec_deg=dec_deg, ra0_deg=center[0], dec0_deg=center[1])
    return xi * _ARCSEC, eta * _ARCSEC


def _map_of(wcs: SkyWcs, center: tuple[float, float], x: Vector, y: Vector) -> tuple[Vector, Vector]:
    return _tangent(*wcs.pixel_to_sky(x=x, y=y), center)


def _to_plane(stars: IsolatedStars, wcs: Sequence[SkyWcs], center: tuple[float, float]) -> tuple[Vector, Vector]:
    """Return positions and variances of all measurements on the common plane."""
    value, variance = np.empty((stars.star.size, 2)), np.empty((stars.star.size, 2))
    for index, start in enumerate(wcs):
        rows = np.flatnonzero(stars.exposure == index)
        x, y = stars.x[rows], stars.y[rows]
        value[rows] = np.stack(_map_of(start, center, x, y), axis=1)
        jacobian = start.jacobian(x=x, y=y)
        pixel_variance = np.stack([stars.x_err[rows], stars.y_err[rows]], axis=1) ** 2
        variance[rows] = np.einsum("nij,nj->ni", jacobian**2, pixel_variance)
    return value, np.maximum(variance, 1e-10)


def _result(
    stars: IsolatedStars,
    start: tuple[SkyWcs, ...],
    plane: _Plane,
    solved: NDArray[np.bool_],
    solution: RobustSolution,
    order: int,
) -> JointAstrometryResult:
    solutions, used, floor = solution.solutions, solution.used, solution.floor
    wcs = tuple(
        _corrected(start[v], plane, np.stack([s.visit_coefficients[v] for s in solutions]), order)
        if solved[v]
        else start[v]
        for v in range(len(start))
    )
    xi, eta = (
        np.where(np.isfinite(s.star_value), s.star_value, p) for s, p in zip(solutions, plane.prior.T, strict=True)
    )
    ra, dec = tangent_plane_inverse(
        xi_deg=xi / _ARCSEC, eta_deg=eta / _ARCSEC, ra0_deg=plane.center[0], dec0_deg=plane.center[1]
    )
    east, north = (axis.residual for axis in solutions)
    counts = np.bincount(stars.exposure, used, len(start))
    weight = used[:, None] / (plane.variance + floor**2)
    square = np.bincount(stars.exposure, weight[:, 0] * east**2 + weight[:, 1] * north**2, len(start))
    total = np.bincount(stars.exposure, weight.sum(axis=1), len(start))
    rms = np.sqrt(np.where(counts > 0, square / np.where(counts > 0, total, 1.0), np.nan))
    error = np.hypot(solutions[0].star_err, solutions[1].star_err) / np.sqrt(2.0)
    return JointAstrometryResult(
        wcs, solved, counts.astype(np.int64), rms, ra, dec, error, used, east, north, floor
    )  # fmt: skip


def _corrected(wcs: SkyWcs, plane: _Plane, coefficients: Vector, order: int) -> SkyWcs:
    def corrected(x: Vector, y: Vector) -> tuple[Vector, Vector]:
        xi, eta = _map_of(wcs, plane.center, x, y)
        shift = plane.frame.design(x, y, order) @ coefficients.T
        return xi + shift[:, 0], eta + shift[:, 1]

    return fit_tan_sip(corrected, plane.frame, plane.center, order=order)
