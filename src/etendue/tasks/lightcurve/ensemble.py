"""Differential photometry against an ensemble of all stars."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.kernels.astrometry import polynomial_design
from etendue.kernels.lightcurve import solve_frames
from etendue.tasks.lightcurve.columns import reduce_frames
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ZERO_POINT_RIDGE = 1e-6  # a zero point may be anything: 1,000 mag
_MAD = 1.4826


class EnsembleConfig(TaskConfig):
    """Which stars compare, and what a frame may do to them."""

    spatial_order: int = Field(1, ge=0, le=3)
    """Order of the polynomial over the frame that each frame has of its own: transparency, airmass, twilight."""

    spatial_prior_mag: float = Field(0.02, gt=0.0)
    """Expected size of each spatial term at the edge of the frame [mag]."""

    min_frame_fraction: float = Field(0.5, ge=0.0, le=1.0)
    """Comparison stars are usable on at least this fraction of the frames."""

    good_err_mag: float = Field(0.02, gt=0.0)
    """Comparison stars have a median formal error of at most this: fainter ones follow the sky [mag]..."""

    preferred_comparisons: int = Field(40, ge=2)
    """...unless there are fewer than this many; then as many of the best..."""

    max_comparison_err_mag: float = Field(0.1, gt=0.0)
    """...that are better than this [mag]."""

    floor_mag: float = Field(0.003, gt=0.0)
    """Smallest intrinsic scatter of a star: scintillation, flat field [mag]."""

    clip_sigma: float = Field(4.5, gt=1.0)
    """Measurements farther off than this many times the star's scatter do not compare."""

    min_comparisons: int = Field(4, ge=2)
    """Fewest comparison stars of the series."""

    rounds: int = Field(8, ge=2, le=100)
    """Rounds of weighting and clipping."""

    sweeps: int = Field(6, ge=1, le=100)
    """Alternations between frames and stars per round."""


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleResult:
    """Solution of `EnsembleTask`.

    Parameters
    ----------
    mean_mag : ndarray, float64, shape (n_stars,)
        Mean instrumental magnitude of each star, one zero point for all; NaN where never usable.
    residual : ndarray, float64, shape (n_frames, n_stars)
        Magnitude against the other stars minus the star's mean [mag]; NaN where not usable.
    residual_err : ndarray, float64, shape (n_frames, n_stars)
        1-sigma error: formal error and that of the ensemble [mag].
    zero_point : ndarray, float64, shape (n_frames, n_terms)
        Coefficients of each frame [mag].
    weight : ndarray, float64, shape (n_frames, n_stars)
        Weight in the ensemble; zero for stars that do not compare.
    leverage : ndarray, float64, shape (n_frames, n_stars)
        Share of each star in its own zero point, taken out of ``residual``.
    scatter : ndarray, float64, shape (n_stars,)
        Robust scatter of ``residual`` [mag].
    """

    mean_mag: Real
    residual: Real
    residual_err: Real
    zero_point: Real
    weight: Real
    leverage: Real
    scatter: Real

    @property
    def is_comparison(self) -> Flags:
        """Stars that are in the ensemble of at least one frame."""
        return np.asarray(self.weight.any(axis=0))


class EnsembleTask(Task[EnsembleConfig]):
    """The inhomogeneous ensemble of Honeycutt (1992, PASP 104, 435), weighted by measured scatter.

    Magnitudes are modelled as star plus frame, where a frame has a zero point and low-order spatial terms with a
    Gaussian prior. Stars need not be on all frames. Weights follow from the formal error and each star's own scatter
    about the ensemble, iterated as in Broeg, Fernandez & Neuhaeuser (2005, AN 326, 134), so that variables and bad
    stars lose their vote. Residuals are those of the star left out of the ensemble: r / (1 - leverage).
    """

    def run(self, *, mag: Real, mag_err: Real, usable: Flags, x: Real, y: Real) -> EnsembleResult:
        """Solve all frames.

        Parameters
        ----------
        mag, mag_err : ndarray, float64, shape (n_frames, n_stars)
            Instrumental magnitudes and formal errors; finite.
        usable : ndarray, bool, shape (n_frames, n_stars)
            Which of them count.
        x, y : ndarray, float64, shape (n_frames, n_stars)
            Positions [px]; NaN allowed where not usable.

        Returns
        -------
        EnsembleResult

        Raises
        ------
        AlgorithmError
            If too few stars can compare.
        """
        design = frame_design(x, y, usable, self.config.spatial_order)
        candidate = self._candidates(mag_err, usable)
        if candidate.sum() < self.config.min_comparisons:
            raise AlgorithmError("too few comparison stars", stars=mag.shape[1], usable=int(candidate.sum()))
        allowed, extra = usable & candidate, np.full(mag.shape[1], 0.01)
        mean = _means(mag, usable / mag_err**2)
        for _ in range(self.config.rounds):
            weight = allowed / (mag_err**2 + extra**2)
            mean, coefficients, model, variance = self._sweep(mag, usable, mag_err, extra, weight, mean, design)
            leverage = np.minimum(weight * variance, 0.9)
            residual = np.where(usable, (mag - model - mean) / (1.0 - leverage), np.nan)
            residual = residual - reduce_frames(np.nanmedian, residual)
            scatter = _MAD * reduce_frames(np.nanmedian, np.abs(residual))
            extra = self._intrinsic(scatter, mag_err, usable)
            with np.errstate(invalid="ignore"):
                near = np.abs(residual) <= self.config.clip_sigma * np.sqrt(mag_err**2 + extra**2)
            allowed = usable & candidate & near
        mean = np.where(usable.any(axis=0), mean, np.nan)
        error = np.sqrt(mag_err**2 + variance)
        return EnsembleResult(mean, residual, error, coefficients, weight, leverage, scatter)

    def _candidates(self, mag_err: Real, usable: Flags) -> Flags:
        often = usable.mean(axis=0) >= self.config.min_frame_fraction
        error = np.where(usable.any(axis=0), reduce_frames(np.nanmedian, np.where(usable, mag_err, np.nan)), np.inf)
        error = np.where(often, error, np.inf)
        best = np.sort(error)[min(self.config.preferred_comparisons, error.size) - 1]
        limit = min(max(self.config.good_err_mag, best), self.config.max_comparison_err_mag)
        return np.asarray(error <= limit)

    def _sweep(
        self, mag: Real, usable: Flags, mag_err: Real, extra: Real, weight: Real, mean: Real, design: Real
    ) -> tuple[Real, Real, Real, Real]:
        """Alternate between the frames and the stars."""
        ridge = np.full(design.shape[2], self.config.spatial_prior_mag**-2)
        ridge[0] = _ZERO_POINT_RIDGE
        every = usable / (mag_err**2 + extra**2)
        anchor = float(np.average(mean, weights=weight.sum(axis=0)))
        for _ in range(self.config.sweeps):
            value = np.where(usable, mag - mean, 0.0)
            coefficients, model, variance = solve_frames(value, weight, design, ridge)
            mean = _means(mag - model, every)
            mean = mean - (float(np.average(mean, weights=weight.sum(axis=0))) - anchor)
        return mean, coefficients, model, variance

    def _intrinsic(self, scatter: Real, mag_err: Real, usable: Flags) -> Real:
        formal = reduce_frames(np.nanmedian, np.where(usable, mag_err, np.nan))
        excess = np.nan_to_num(scatter**2 - formal**2, nan=1.0)
        return np.sqrt(np.maximum(excess, self.config.floor_mag**2))


def frame_design(x: Real, y: Real, usable: Flags, order: int) -> Real:
    """Return the spatial terms of every measurement, scaled to the frame.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n_frames, n_stars)
        Positions [px].
    usable : ndarray, bool, shape (n_frames, n_stars)
        Where they count; terms are those of the centre elsewhere.
    order : int
        Order of the polynomial.

    Returns
    -------
    ndarray, float64, shape (n_frames, n_stars, n_terms)
    """
    u, v = scaled_positions(x, y, usable)
    flat = polynomial_design(u.ravel(), v.ravel(), order)
    return np.ascontiguousarray(flat.reshape(*u.shape, -1))


def scaled_positions(x: Real, y: Real, usable: Flags) -> tuple[Real, Real]:
    """Return positions from -1 to 1 over the longer side of what is covered; 0 where not usable."""
    inside = usable & np.isfinite(x) & np.isfinite(y)
    if not inside.any():
        return np.zeros_like(x), np.zeros_like(y)
    half = max(float(np.ptp(x[inside])), float(np.ptp(y[inside])), 2.0) / 2.0
    middle = [0.5 * (float(c[inside].min()) + float(c[inside].max())) for c in (x, y)]
    return tuple(np.where(inside, (c - c0) / half, 0.0) for c, c0 in zip((x, y), middle, strict=True))  # type: ignore[return-value]


def _means(value: Real, weight: Real) -> Real:
    total = weight.sum(axis=0)
    return np.asarray((weight * value).sum(axis=0) / np.where(total > 0.0, total, 1.0))
