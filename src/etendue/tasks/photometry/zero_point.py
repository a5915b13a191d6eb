"""Fit the zero point of one exposure to a reference catalog."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.photo_calib import NJY_ZERO_POINT_MAG, PhotoCalib
from etendue.kernels.astrometry import systematic_floor, weighted_fit
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]

_MAG_PER_LN = 2.5 / np.log(10.0)


class ZeroPointConfig(TaskConfig):
    """Which stars count, and whether a colour term is fitted."""

    min_snr: float = Field(10.0, ge=0.0)
    """Smallest signal-to-noise ratio of a star in the exposure."""

    fit_color_term: bool = False
    """Fit a term linear in the reference colour; needs colours and stars enough to span them."""

    color_term: float | None = None
    """A known term linear in the reference colour [mag/mag]: taken out, not fitted; stars without a colour count as
    of the pivot colour."""

    pivot_color: float | None = None
    """Colour of the star that the zero point is for [mag]; the median of the stars by default, which differs from
    field to field."""

    clip_sigma: float = Field(4.0, gt=1.0)
    """Stars farther off than this many sigmas are left out."""

    iterations: int = Field(8, ge=1, le=50)
    """Rounds of fitting, clipping and estimating the scatter."""

    min_stars: int = Field(5, ge=2)
    """Fewest stars for a zero point."""


@dataclass(frozen=True, slots=True, eq=False)
class ZeroPointResult:
    """Zero point of one exposure.

    Parameters
    ----------
    photo_calib : PhotoCalib
        Absolute scale, with its error.
    zero_point_mag, zero_point_err_mag : float
        AB magnitude of one image unit for a star of the mean colour of the fit, and its error [mag].
    color_term, color_term_err : float
        ``reference = instrumental + zero_point + color_term * (color - mean_color)``, and the error; 0
        where there is none, the error also where it was given.
    mean_color : float
        Colour at which the zero point holds [mag]; 0 without a colour term.
    used : ndarray, bool, shape (n,)
        Stars in the fit.
    residual_mag : ndarray, float64, shape (n,)
        Calibrated minus reference magnitude; NaN where it cannot be formed.
    scatter_mag : float
        Scatter that the formal errors leave unexplained [mag].
    n_used : int
        Number of stars in the fit.
    """

    photo_calib: PhotoCalib
    zero_point_mag: float
    zero_point_err_mag: float
    color_term: float
    color_term_err: float
    mean_color: float
    used: NDArray[np.bool_]
    residual_mag: Vector
    scatter_mag: float
    n_used: int


class ZeroPointTask(Task[ZeroPointConfig]):
    """Compare the instrumental magnitudes of matched stars with a reference catalog, robustly."""

    def run(
        self,
        *,
        flux: ArrayLike,
        flux_err: ArrayLike,
        ref_flux_njy: ArrayLike,
        ref_flux_err_njy: ArrayLike = 0.0,
        color_mag: ArrayLike | None = None,
    ) -> ZeroPointResult:
        """Fit one exposure.

        Parameters
        ----------
        flux, flux_err : array_like, shape (n,)
            Fluxes of matched stars, image units.
        ref_flux_njy, ref_flux_err_njy : array_like, shape (n,)
            Their reference fluxes [nJy]; an error that is not finite counts as 0.
        color_mag : array_like, shape (n,), optional
            Their reference colours [mag], for the colour term.

        Returns
        -------
        ZeroPointResult

        Raises
        ------
        AlgorithmError
            If too few stars can be used.
        """
        value, variance = _offsets(flux, flux_err, ref_flux_njy, ref_flux_err_njy)
        with np.errstate(invalid="ignore", divide="ignore"):
            bright = np.asarray(flux, float) >= self.config.min_snr * np.asarray(flux_err, float)
        use_color = self.config.fit_color_term and color_mag is not None and self.config.color_term is None
        color = np.zeros(value.size) if color_mag is None else np.asarray(color_mag, np.float64)
        known = self.config.color_term if color_mag is not None else None
        color = color if use_color else np.nan_to_num(color, nan=self._pivot(color)) if known else np.zeros(value.size)
        good = np.flatnonzero(np.isfinite(value) & np.isfinite(variance) & np.isfinite(color) & bright)
        if good.size < self.config.min_stars:
            raise AlgorithmError("too few stars for a zero point", usable=good.size, matched=value.size)
        mean_color = self._pivot(color[good]) if use_color or known else 0.0
        value = value - (known or 0.0) * (color - mean_color)
        design = np.stack([np.ones(value.size), color - mean_color], axis=1)[:, : 2 if use_color else 1]
        coefficients, covariance, used, scatter = self._fit(design[good], value[good], variance[good])
        errors = np.sqrt(np.diag(covariance))
        flags = np.zeros(value.size, bool)
        flags[good[used]] = True
        calib = PhotoCalib.from_zero_point(float(coefficients[0]), float(errors[0]), kind="absolute")
        term, term_err = (float(coefficients[1]), float(errors[1])) if use_color else (known or 0.0, 0.0)
        return ZeroPointResult(
            calib, float(coefficients[0]), float(errors[0]), term, term_err, mean_color, flags,
            design @ coefficients - value, scatter, int(used.sum()),
        )  # fmt: skip

    def _pivot(self, color: Vector) -> float:
        """Return the colour of the star that the zero point is for."""
        if self.config.pivot_color is not None:
            return self.config.pivot_color
        finite = color[np.isfinite(color)]
        return float(np.median(finite)) if finite.size else 0.0

    def _fit(self, design: Vector, value: Vector, variance: Vector) -> tuple[Vector, Vector, NDArray[np.bool_], float]:
        # The median starts the clipping: a fit to all stars would be pulled by variables and blends.
        deviation = np.abs(value - np.median(value))
        scatter = max(1.4826 * float(np.median(deviation)), 1e-4)
        used = deviation <= 2.0 * self.config.clip_sigma * np.sqrt(variance + scatter**2)
        for _ in range(self.config.iterations):
            weight = used / (variance + scatter**2)
            try:
                fit = weighted_fit(design, value, weight)
            except np.linalg.LinAlgError as error:
                raise AlgorithmError("stars do not span the terms of the zero point", stars=int(used.sum())) from error
            residual = value - design @ fit.coefficients
            leverage = weight * np.einsum("ij,jk,ik->i", design, fit.covariance, design)
            scatter = systematic_floor(residual[used], variance[used], 1.0 - leverage[used])
            kept = np.abs(residual) <= self.config.clip_sigma * np.sqrt(variance + max(scatter, 1e-4) ** 2)
            if kept.sum() < self.config.min_stars:
                break
            used = kept
        return fit.coefficients, fit.covariance, used, scatter


def _offsets(
    flux: ArrayLike, flux_err: ArrayLike, ref_flux_njy: ArrayLike, ref_flux_err_njy: ArrayLike
) -> tuple[Vector, Vector]:
    """Return reference minus instrumental magnitudes and their variances; NaN for flux that is not positive."""
    columns = (flux, flux_err, ref_flux_njy, ref_flux_err_njy)
    f, f_err, r, r_err = np.broadcast_arrays(*(np.asarray(c, np.float64) for c in columns))
    f, r = np.where(f > 0.0, f, np.nan), np.where(r > 0.0, r, np.nan)
    value = NJY_ZERO_POINT_MAG - 2.5 * np.log10(r / f)
    variance = _MAG_PER_LN**2 * ((f_err / f) ** 2 + (np.nan_to_num(r_err) / r) ** 2)
    return value, np.maximum(variance, 1e-12)
