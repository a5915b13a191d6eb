"""Solve the relative zero points of many exposures together with the fluxes of their stars."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.polynomial import Polynomial2D
from etendue.image.photo_calib import NJY_ZERO_POINT_MAG, PhotoCalib
from etendue.kernels.astrometry import polynomial_design, polynomial_powers
from etendue.kernels.joint_solve import JointProblem, JointSolution, joint_solve_robust
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

_MAG_PER_LN = 2.5 / np.log(10.0)


class JointPhotometryConfig(TaskConfig):
    """Spatial terms, priors and the treatment of outliers."""

    spatial_order: int = Field(1, ge=0, le=4)
    """Order of the polynomial over the detector that each exposure has of its own."""

    spatial_prior_mag: float = Field(0.01, gt=0.0)
    """Expected size of each spatial term at the edge of the detector [mag]."""

    illumination_order: int = Field(0, ge=0, le=6)
    """Order of a correction common to all exposures, for dithered data; 0 for none."""

    illumination_prior_mag: float = Field(0.05, gt=0.0)
    """Expected size of each common term at the edge of the detector [mag]."""

    start_prior_mag: float = Field(1.0, gt=0.0)
    """Spread of star magnitudes about their raw means; it fixes the common zero point."""

    reference_floor_mag: float = Field(0.01, ge=0.0)
    """Error added in quadrature to the reference catalog's [mag]."""

    min_snr: float = Field(10.0, ge=0.0)
    """Measurements below this signal-to-noise ratio are not used."""

    clip_sigma: float = Field(4.5, gt=1.0)
    """Measurements farther off than this many sigmas are left out."""

    iterations: int = Field(8, ge=2, le=100)
    """Rounds of solving, clipping and estimating the intrinsic floor."""


@dataclass(frozen=True, slots=True, eq=False)
class JointPhotometryResult:
    """Solution of `JointPhotometryTask`.

    Parameters
    ----------
    photo_calib : tuple of PhotoCalib
        One per exposure; absolute where reference fluxes anchor the solution.
    zero_point_err_mag : ndarray, float64, shape (n_exposures,)
        Error of each zero point relative to the others [mag].
    solved : ndarray, bool, shape (n_exposures,)
        False for exposures without a star that another exposure shares; they get the mean zero point.
    n_stars : ndarray, int64, shape (n_exposures,)
        Stars used.
    rms_mag : ndarray, float64, shape (n_exposures,)
        Weighted root mean square residual of the used stars [mag]; NaN without any.
    star_mag : ndarray, float64, shape (n_stars,)
        Mean magnitude of each star on the common scale [mag]; NaN where none was used.
    star_err_mag : ndarray, float64, shape (n_stars,)
        Its error for fixed zero points [mag].
    used : ndarray, bool, shape (n,)
        Measurements used.
    residual_mag : ndarray, float64, shape (n,)
        Calibrated measurement minus star [mag]; NaN where it cannot be formed.
    floor_mag : float
        Scatter that the formal errors leave unexplained [mag].
    """

    photo_calib: tuple[PhotoCalib, ...]
    zero_point_err_mag: Vector
    solved: NDArray[np.bool_]
    n_stars: Index
    rms_mag: Vector
    star_mag: Vector
    star_err_mag: Vector
    used: NDArray[np.bool_]
    residual_mag: Vector
    floor_mag: float

    @classmethod
    def unsolved(cls, *, n_exposures: int, n_stars: int, n_measurements: int) -> "JointPhotometryResult":
        """Return what stands for a solution that cannot be had: every exposure keeps its scale.

        Parameters
        ----------
        n_exposures, n_stars, n_measurements : int
            Sizes.

        Returns
        -------
        JointPhotometryResult
            Corrections are 1, everything measured is NaN.
        """
        return cls(
            (PhotoCalib(scale=1.0, kind="relative"),) * n_exposures, np.full(n_exposures, np.nan),
            np.zeros(n_exposures, bool), np.zeros(n_exposures, np.int64), np.full(n_exposures, np.nan),
            np.full(n_stars, np.nan), np.full(n_stars, np.nan), np.zeros(n_measurements, bool),
            np.full(n_measurements, np.nan), 0.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Data:
    star: Index
    exposure: Index
    mag: Vector
    variance: Vector
    measured: NDArray[np.bool_]
    design: Vector
    common: Vector
    prior: Vector
    prior_weight: Vector
    n_exposures: int
    center: tuple[float, float]
    half_size: float
    absolute: bool


class JointPhotometryTask(Task[JointPhotometryConfig]):
    """Fit one zero point and low-order spatial terms per exposure, and one magnitude per star.

    This is the ubercal model (Padmanabhan et al. 2008) with Gaussian priors on the spatial terms, so
    that few stars do not drive them.
    """

    def run(
        self,
        *,
        star: ArrayLike,
        exposure: ArrayLike,
        flux: ArrayLike,
        flux_err: ArrayLike,
        x: ArrayLike,
        y: ArrayLike,
        n_exposures: int,
        n_stars: int | None = None,
        ref_flux_njy: ArrayLike | None = None,
        ref_flux_err_njy: ArrayLike = 0.0,
    ) -> JointPhotometryResult:
        """Solve all exposures.

        Parameters
        ----------
        star, exposure : array_like, int, shape (n,)
            Star and exposure of each measurement.
        flux, flux_err : array_like, shape (n,)
            Measurements, image units; those not finite or not positive are not used.
        x, y : array_like, shape (n,)
            Detector pixels.
        n_exposures : int
            Number of exposures.
        n_stars : int, optional
            Number of stars, where some of them have no measurement here; by default the largest index
            plus one.
        ref_flux_njy, ref_flux_err_njy : array_like, shape (n_stars,), optional
            Reference fluxes [nJy], NaN for stars without one; without any, the scale is relative.

        Returns
        -------
        JointPhotometryResult

        Raises
        ------
        AlgorithmError
            If no exposure shares a star with another.
        """
        columns = [np.asarray(c, np.float64) for c in (flux, flux_err, x, y)]
        index = np.asarray(star, np.int64)
        count = int(index.max(initial=-1)) + 1 if n_stars is None else n_stars
        data = self._data(index, np.asarray(exposure, np.int64), columns, n_exposures, count)
        if ref_flux_njy is not None:
            data = self._anchored(data, np.asarray(ref_flux_njy, float), np.asarray(ref_flux_err_njy, float))
        shared = np.bincount(data.star, data.measured, data.prior.size)[data.star] >= (1 if data.absolute else 2)
        usable = data.measured & shared
        if not usable.any():
            raise AlgorithmError("no exposure shares a star with another", measurements=data.star.size)
        robust = joint_solve_robust(
            [self._problem(data)], usable, clip_sigma=self.config.clip_sigma, iterations=self.config.iterations,
            start_floor=0.02, least_floor=1e-5,
        )  # fmt: skip
        return self._result(data, robust.solutions[0], robust.used, robust.floor)

    def _data(self, star: Index, exposure: Index, columns: list[Vector], n_exposures: int, n_stars: int) -> _Data:
        flux, flux_err, x, y = columns
        usable = np.isfinite(columns).all(axis=0) & (flux > 0.0) & (flux >= self.config.min_snr * flux_err)
        usable &= flux_err > 0.0
        mag = NJY_ZERO_POINT_MAG - 2.5 * np.log10(np.where(usable, flux, 1.0))
        variance = np.where(usable, (_MAG_PER_LN * flux_err / np.where(usable, flux, 1.0)) ** 2, 1.0)
        prior = np.bincount(star, usable * mag, n_stars) / np.maximum(np.bincount(star, usable, n_stars), 1)
        center, half_size = _extent(x[usable], y[usable])
        u, v = ((np.where(usable, c, c0) - c0) / half_size for c, c0 in zip((x, y), center, strict=True))
        design = polynomial_design(u, v, self.config.spatial_order)
        common = polynomial_design(u, v, self.config.illumination_order)[:, 1:]
        weight = np.full(n_stars, self.config.start_prior_mag**-2)
        return _Data(
            star, exposure, mag, variance, usable, design, common, prior, weight, n_exposures, center, half_size, False
        )  # fmt: skip

    def _anchored(self, data: _Data, flux: Vector, flux_err: Vector) -> _Data:
        """Replace the weak priors of stars by reference magnitudes."""
        known = np.isfinite(flux) & (flux > 0.0)
        if flux.shape != data.prior.shape or not known.any():
            raise AlgorithmError("no reference flux for the stars", references=flux.size, stars=data.prior.size)
        safe = np.where(known, flux, 1.0)
        error = _MAG_PER_LN * np.nan_to_num(np.broadcast_to(flux_err, flux.shape)) / safe
        weight = 1.0 / np.maximum(error**2 + self.config.reference_floor_mag**2, 1e-8)
        mag = NJY_ZERO_POINT_MAG - 2.5 * np.log10(safe)
        prior, prior_weight = np.where(known, mag, data.prior), np.where(known, weight, 0.0)
        return replace(data, prior=prior, prior_weight=prior_weight, absolute=True)

    def _problem(self, data: _Data) -> JointProblem:
        n_terms = data.design.shape[1]
        ridge = np.full((data.n_exposures, n_terms), self.config.spatial_prior_mag**-2)
        ridge[:, 0] = 1e-4  # a zero point may be anything: 100 mag
        return JointProblem(
            value=data.mag,
            weight=1.0 / data.variance,
            design=data.design,
            common=data.common,
            visit=data.exposure,
            star=data.star,
            prior_value=data.prior,
            prior_weight=data.prior_weight,
            ridge=ridge,
            common_ridge=np.full(data.common.shape[1], self.config.illumination_prior_mag**-2),
        )

    def _result(
        self, data: _Data, solution: JointSolution, used: NDArray[np.bool_], floor: float
    ) -> JointPhotometryResult:
        counts = np.bincount(data.exposure, used, data.n_exposures)
        solved = counts > 0
        zero_points = solution.visit_coefficients[:, 0]
        mean = float(zero_points[solved].mean())
        n_terms = data.design.shape[1]
        error = np.sqrt(np.diag(solution.covariance)[: data.n_exposures * n_terms : n_terms])
        if not data.absolute:
            # Without an anchor only differences are known: remove the error that all exposures share.
            error = _relative_error(solution.covariance, data.n_exposures, n_terms, solved)
        weight = used / (data.variance + floor**2)
        square = np.bincount(data.exposure, weight * solution.residual**2, data.n_exposures)
        total = np.bincount(data.exposure, weight, data.n_exposures)
        rms = np.sqrt(np.where(solved, square / np.where(solved, total, 1.0), np.nan))
        calibs = tuple(
            self._photo_calib(data, solution, v, zero_points[v] if solved[v] else mean, float(error[v]))
            for v in range(data.n_exposures)
        )
        seen = np.bincount(data.star, used, data.prior.size) > 0
        return JointPhotometryResult(
            calibs, error, solved, counts.astype(np.int64), rms, np.where(seen, solution.star_value, np.nan),
            np.where(seen, solution.star_err, np.nan), used, np.where(data.measured, solution.residual, np.nan), floor,
        )  # fmt: skip

    def _photo_calib(self, data: _Data, solution: JointSolution, v: int, zero_point: float, error: float) -> PhotoCalib:
        """Turn magnitudes into a flux scale: ``10**(-0.4 polynomial)`` is fitted by a polynomial of higher order."""
        kind = "absolute" if data.absolute else "relative"
        scale = 10.0 ** (-0.4 * zero_point)
        orders = (self.config.spatial_order, self.config.illumination_order)
        if max(orders) == 0:
            return PhotoCalib(scale=scale, scale_err=scale * error / _MAG_PER_LN, kind=kind)  # type: ignore[arg-type]
        nodes = np.cos(np.pi * (np.arange(11) + 0.5) / 11)
        u, w = (grid.ravel() for grid in np.meshgrid(nodes, nodes))
        spatial = polynomial_design(u, w, orders[0])[:, 1:] @ solution.visit_coefficients[v, 1:]
        spatial = spatial + polynomial_design(u, w, orders[1])[:, 1:] @ solution.common_coefficients
        order = min(2 * max(orders), 6)
        factor = np.linalg.lstsq(polynomial_design(u, w, order), 10.0 ** (-0.4 * spatial), rcond=None)[0]
        matrix = np.zeros((order + 1, order + 1))
        p, q = polynomial_powers(order).T
        matrix[p, q] = factor
        return PhotoCalib(
            scale=scale, scale_err=scale * error / _MAG_PER_LN, kind=kind, spatial=Polynomial2D(matrix),  # type: ignore[arg-type]
            center=data.center, half_size=data.half_size,
        )  # fmt: skip


def _extent(x: Vector, y: Vector) -> tuple[tuple[float, float], float]:
    if x.size == 0:
        return (0.0, 0.0), 1.0
    half_size = max(float(np.ptp(x)), float(np.ptp(y)), 2.0) / 2.0
    return (0.5 * float(x.min() + x.max()), 0.5 * float(y.min() + y.max())), half_size


def _relative_error(covariance: Vector, n_exposures: int, n_terms: int, solved: NDArray[np.bool_]) -> Vector:
    """Return errors of the zero points after the mean of the solved ones is removed."""
    zero_points = np.arange(n_exposures) * n_terms
    block = covariance[np.ix_(zero_points, zero_points)]
    project = np.eye(n_exposures) - np.where(solved, 1.0 / max(int(solved.sum()), 1), 0.0)
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", project, block, project), 0.0)))
