"""Find and fit a transit or eclipse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.kernels.lightcurve import whiten_red
from etendue.tasks.lightcurve.transit_posterior import Curve, Noise, Posterior, Search, trapezoids
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]
Flags = NDArray[np.bool_]


class TransitConfig(TaskConfig):
    """What shapes, places, baselines and noises are tried."""

    min_duration_h: float = Field(0.3, gt=0.0)
    """Shortest transit, first to last contact [h]."""

    max_duration_fraction: float = Field(0.7, gt=0.0, lt=1.0)
    """Longest transit, in spans of the series (of a night)."""

    baseline: tuple[str, ...] = ("time", "time squared", "airmass")
    """Terms that the baseline may have besides a constant: time, time squared, airmass, seeing."""

    baseline_prior_mag: float = Field(0.005, gt=0.0)
    """Expected size of each term of the baseline over the series [mag]."""

    red_noise_prior: float = Field(0.5, ge=0.0, lt=1.0)
    """Probability beforehand that the star has red noise."""

    min_outside: int = Field(6, ge=3)
    """Fewest measurements outside the transit."""

    min_inside: int = Field(4, ge=2)
    """Fewest measurements inside the transit."""

    clip_sigma: float = Field(4.0, gt=1.0)
    """Measurements farther from the fit than this are left out, once."""


@dataclass(frozen=True, slots=True, eq=False)
class TransitFit:
    """A trapezoid on a baseline: medians of the posterior, errors half of its central 68%.

    Parameters
    ----------
    mid_time, mid_time_err : float
        Middle [d], in the scale of the times given.
    depth_mag, depth_err_mag : float
        Depth of the bottom [mag], positive for fainter.
    duration_d, duration_err_d : float
        First to last contact [d].
    ingress_d : float
        First to second contact [d].
    snr : float
        Depth over its error.
    baseline : tuple of str
        Terms of the most probable baseline besides the constant.
    baseline_probability : float
        How probable it is; the errors hold the others too.
    red_noise_mag : float
        Mean standard deviation of the red noise over its posterior [mag].
    rms_mag : float
        Scatter of the residuals [mag].
    chi2_per_dof : float
        With the errors given.
    log_odds : float
        Natural logarithm of the Bayes factor against no transit; beyond 10 a transit is real or the noise is unlike
        all that was tried.
    model_mag, baseline_mag : ndarray, float64, shape (n,)
        The whole model and its baseline at the times given [mag].
    used : ndarray, bool, shape (n,)
        Measurements that were fitted.
    """

    mid_time: float
    mid_time_err: float
    depth_mag: float
    depth_err_mag: float
    duration_d: float
    duration_err_d: float
    ingress_d: float
    snr: float
    baseline: tuple[str, ...]
    baseline_probability: float
    red_noise_mag: float
    rms_mag: float
    chi2_per_dof: float
    log_odds: float
    model_mag: Real
    baseline_mag: Real
    used: Flags

    @property
    def baseline_text(self) -> str:
        """The baseline in words."""
        return " + ".join(("constant", *self.baseline))


class TransitTask(Task[TransitConfig]):
    """Weigh trapezoids everywhere, with all baselines and several noises, and marginalise what is not asked for.

    Chi-square as a function of the middle is no parabola where few measurements lie in ingress and egress, several
    baselines fit about equally well, and red noise looks like ingress; an error from the curvature at the best fit of
    the best baseline, scaled to the residuals, comes out too small. So the posterior is computed on a grid of middles,
    widths and ingresses; baseline coefficients, depth and the common factor of all errors are integrated analytically
    (Gaussian and Jeffreys' priors), and it is averaged over combinations of baseline terms and over noises: white, or
    white and an Ornstein-Uhlenbeck process of 0.3 to 1.2 times its size and a memory of 2% to 12% of the series
    (Gaussian-process noise as in Gibson et al. 2012, MNRAS 419, 2683; averaging over baselines as in Gibson 2014, MNRAS
    445, 3401).
    """

    def run(
        self, *, time_d: Real, mag: Real, mag_err: Real, airmass: Real | None = None, seeing: Real | None = None
    ) -> TransitFit:
        """Fit one event.

        Parameters
        ----------
        time_d, mag, mag_err : ndarray, float64, shape (n,)
            Light curve, not detrended [d], [mag]; NaN are left out.
        airmass, seeing : ndarray, float64, shape (n,), optional
            For the baseline.

        Returns
        -------
        TransitFit

        Raises
        ------
        AlgorithmError
            If there are too few measurements, or no box fits.
        """
        good = np.isfinite(time_d) & np.isfinite(mag) & (mag_err > 0.0)
        least = self.config.min_inside + self.config.min_outside
        if good.sum() < least:
            raise AlgorithmError("too few measurements for a transit", measurements=int(good.sum()), needed=least)
        covariates = {"airmass": airmass, "seeing": seeing}
        fit = self._fit(time_d, mag, mag_err, covariates, good)
        residual = mag - fit.model_mag
        spread = 1.4826 * float(np.median(np.abs(residual[good])))
        with np.errstate(invalid="ignore"):
            kept = good & (np.abs(residual) <= self.config.clip_sigma * np.maximum(spread, mag_err))
        return self._fit(time_d, mag, mag_err, covariates, kept) if least <= kept.sum() < good.sum() else fit

    def _fit(
        self, time_d: Real, mag: Real, mag_err: Real, covariates: dict[str, Real | None], used: Flags
    ) -> TransitFit:
        origin, level = float(np.mean(time_d[used])), float(np.median(mag[used]))
        terms = self._terms(time_d - origin, covariates, used)
        order = np.flatnonzero(used)[np.argsort(time_d[used], kind="stable")]
        scale = _noise(mag[order], mag_err[order])
        curve = Curve(
            time_d[order] - origin, mag[order] - level, scale * mag_err[order],
            {name: column[order] for name, column in terms.items()},
        )  # fmt: skip
        span = float(np.ptp(curve.time))
        shortest, longest = self.config.min_duration_h / 24.0, self.config.max_duration_fraction * span
        search = Search(
            shortest, longest, self.config.min_inside, self.config.min_outside, self.config.baseline_prior_mag,
            self.config.red_noise_prior,
        )  # fmt: skip
        found = search.posterior(curve) if longest > shortest else None
        if found is None:
            raise AlgorithmError("no box fits into the series", measurements=int(used.sum()))
        shape = _Shape.of(found)
        option = found.best_baseline()
        coefficients = _solved(curve, option, found.best_noise(option), shape, self.config.baseline_prior_mag)
        design = np.column_stack([np.ones(time_d.size), *(terms[name] for name in option)])
        baseline = level + design @ coefficients[:-1]
        model = baseline + coefficients[-1] * shape.values(time_d - origin)
        residual = (mag - model)[used]
        low, depth, high = found.of_depth()
        depth_err, dof = float(high - low) / 2.0, max(curve.time.size - len(option) - 5, 1)
        return TransitFit(
            shape.middle + origin, shape.middle_err, float(depth), depth_err, shape.duration, shape.duration_err,
            shape.ingress * shape.duration, float(depth) / depth_err, option, found.share(option), found.red_sigma,
            float(np.sqrt(np.mean(residual**2))), float(((residual / mag_err[used]) ** 2).sum() / dof), found.log_odds,
            model, baseline, used,
        )  # fmt: skip

    def _terms(self, t: Real, covariates: dict[str, Real | None], used: Flags) -> dict[str, Real]:
        t = t / max(float(np.ptp(t[used])) / 2.0, 1e-9)
        found = {"time": t, "time squared": t * t - np.mean(t[used] ** 2)}
        for name, column in covariates.items():
            if column is not None and np.isfinite(column[used]).all() and np.ptp(column[used]) > 0.0:
                found[name] = (column - np.mean(column[used])) / float(np.std(column[used]))
        return {name: found[name] for name in self.config.baseline if name in found}


@dataclass(frozen=True, slots=True)
class _Shape:
    """Medians of the posterior."""

    middle: float
    middle_err: float
    duration: float
    duration_err: float
    ingress: float

    @classmethod
    def of(cls, found: Posterior) -> "_Shape":
        low, middle, high = found.of_shape(found.shapes.middle)
        first, duration, last = found.of_shape(found.shapes.duration)
        width, ingress = (float(found.of_shape(v)[1]) for v in (found.shapes.width, found.shapes.ingress))
        return cls(float(middle), float(high - low) / 2.0, float(duration), float(last - first) / 2.0,
                   min(max(1.0 - width / float(duration), 0.02), 0.5) if duration > width else ingress)  # fmt: skip

    def values(self, time: Real) -> Real:
        """Return the trapezoid of unit depth."""
        return trapezoids(time, *(np.array([v]) for v in (self.middle, self.duration, self.ingress)))[:, 0]


def _noise(mag: Real, mag_err: Real) -> float:
    """Return the scatter of successive differences over the formal one."""
    variance = mag_err[1:] ** 2 + mag_err[:-1] ** 2
    return max(float(np.median(np.diff(mag) ** 2 / variance)) / 0.4549364, 1e-6) ** 0.5


def _solved(curve: Curve, option: tuple[str, ...], noise: Noise, shape: _Shape, prior_mag: float) -> Real:
    """Return coefficients of the baseline and the depth, generalised least squares with the posterior's prior."""
    parts = [np.ones(curve.time.size), *(curve.terms[name] for name in option), shape.values(curve.time), curve.mag]
    flat, _ = whiten_red(np.column_stack(parts), curve.time, curve.sigma**2, noise.red_sigma, noise.memory)
    normal = flat[:, :-1].T @ flat[:, :-1] + np.diag([1e-12, *[prior_mag**-2] * len(option), 1e-12])
    return np.asarray(np.linalg.solve(normal, flat[:, :-1].T @ flat[:, -1]))
