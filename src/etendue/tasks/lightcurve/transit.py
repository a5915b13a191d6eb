"""Find and fit a transit or eclipse."""

from dataclasses import dataclass, replace
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import least_squares

from etendue.errors import AlgorithmError
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]

_STEPS = (1.0 / 1440.0, 1.0 / 1440.0, 0.02)  # of mid time [d], duration [d] and ingress fraction in derivatives


class TransitConfig(TaskConfig):
    """What shapes, places and baselines are tried."""

    min_duration_h: float = Field(0.3, gt=0.0)
    """Shortest transit, first to last contact [h]."""

    max_duration_fraction: float = Field(0.7, gt=0.0, lt=1.0)
    """Longest transit, in spans of the series (of a night)."""

    n_durations: int = Field(14, ge=2)
    """Durations tried at first."""

    baseline: tuple[str, ...] = ("time", "time squared", "airmass")
    """Terms that the baseline may have besides a constant: time, time squared, airmass, seeing."""

    min_outside: int = Field(6, ge=3)
    """Fewest measurements outside the transit."""

    min_inside: int = Field(4, ge=2)
    """Fewest measurements inside the transit."""

    clip_sigma: float = Field(4.0, gt=1.0)
    """Measurements farther from the fit than this are left out, once."""

    bin_minutes: tuple[float, ...] = (10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
    """Bins in which the residuals are averaged to find red noise [min]."""


@dataclass(frozen=True, slots=True, eq=False)
class TransitFit:
    """A trapezoid on a baseline.

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
        Terms of the baseline besides the constant, chosen by the Bayesian information criterion.
    beta : float
        Factor by which red noise enlarges all errors, at least 1 (Winn et al. 2008).
    rms_mag : float
        Scatter of the residuals [mag].
    chi2_per_dof : float
        With the errors given.
    delta_bic : float
        Fall of the criterion against the best baseline without a transit; large for a real transit.
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
    beta: float
    rms_mag: float
    chi2_per_dof: float
    delta_bic: float
    model_mag: Real
    baseline_mag: Real
    used: NDArray[np.bool_]

    @property
    def baseline_text(self) -> str:
        """The baseline in words."""
        return " + ".join(("constant", *self.baseline))


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    time: Real
    mag: Real
    weight: Real
    columns: dict[str, Real]


class TransitTask(Task[TransitConfig]):
    """Search one box over all times and durations, then fit a trapezoid together with the baseline.

    Baseline coefficients are linear and solved anew for every trapezoid, so a trend of the baseline cannot be mistaken
    for depth nor the other way round without its error saying so. Which terms the baseline has is decided by the
    Bayesian information criterion among all combinations. Errors are from the curvature of chi-square, scaled to the
    residuals where they exceed the formal errors, and by the factor beta for red noise: the largest ratio, over several
    bin sizes, of the scatter of binned residuals to that of white noise (Winn et al. 2008, ApJ 683, 1076).
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
        origin = float(np.mean(time_d[good]))
        time_d = time_d - origin
        fit = self._fit(time_d, mag, mag_err, covariates, good)
        residual = mag - fit.model_mag
        spread = 1.4826 * float(np.median(np.abs(residual[good])))
        with np.errstate(invalid="ignore"):
            kept = good & (np.abs(residual) <= self.config.clip_sigma * np.maximum(spread, mag_err))
        if least <= kept.sum() < good.sum():
            fit = self._fit(time_d, mag, mag_err, covariates, kept)
        return replace(fit, mid_time=fit.mid_time + origin)

    def _fit(
        self, time_d: Real, mag: Real, mag_err: Real, covariates: dict[str, Real | None], used: NDArray[np.bool_]
    ) -> TransitFit:
        whole = _Data(
            time_d, mag, np.where(used, 1.0 / np.where(used, mag_err, 1.0) ** 2, 0.0),
            self._columns(time_d, covariates, used),
        )  # fmt: skip
        data = _Data(time_d[used], mag[used], whole.weight[used], {name: c[used] for name, c in whole.columns.items()})
        scale = self._noise(data)
        names = tuple(data.columns)
        options = list(chain.from_iterable(combinations(names, k) for k in range(len(names) + 1)))
        best: tuple[float, tuple[str, ...], Real] | None = None
        starts = [start for option in ((), names) if (start := self._search(data, option)) is not None]
        for option, start in product(options, starts):
            shape = self._refine(data, option, start)
            bic = _chi2(data, option, shape) / scale + np.log(data.time.size) * (len(option) + 5)
            if best is None or bic < best[0]:
                best = float(bic), option, shape
        if best is None:
            raise AlgorithmError("no box fits into the series", measurements=int(used.sum()))
        without = min(
            _chi2(data, option, None) / scale + np.log(data.time.size) * (len(option) + 1) for option in options
        )
        return self._result(whole, data, used, best, float(without))

    def _columns(self, time_d: Real, covariates: dict[str, Real | None], used: NDArray[np.bool_]) -> dict[str, Real]:
        t = time_d - np.mean(time_d[used])
        t = t / max(float(np.ptp(time_d[used])) / 2.0, 1e-9)
        found = {"time": t, "time squared": t * t}
        for name, column in covariates.items():
            if column is not None and np.isfinite(column[used]).all() and np.ptp(column[used]) > 0.0:
                found[name] = (column - np.mean(column[used])) / float(np.std(column[used]))
        return {name: found[name] for name in self.config.baseline if name in found}

    def _noise(self, data: _Data) -> float:
        """Return the variance of successive differences over the formal one."""
        order = np.argsort(data.time, kind="stable")
        steps = np.diff(data.mag[order])
        formal = 1.0 / data.weight[order][1:] + 1.0 / data.weight[order][:-1]
        return max(float(np.median(steps**2 / formal)) / 0.4549364, 1e-12)

    def _search(self, data: _Data, option: tuple[str, ...]) -> Real | None:
        """Return the best box as mid time, duration and ingress."""
        span = float(np.ptp(data.time))
        shortest, longest = self.config.min_duration_h / 24.0, self.config.max_duration_fraction * span
        if longest <= shortest:
            return None
        best, start = np.inf, None
        for duration in np.geomspace(shortest, longest, self.config.n_durations):
            step = max(duration / 12.0, span / 400.0)
            for mid in np.arange(data.time.min(), data.time.max(), step):
                inside = int((np.abs(data.time - mid) < 0.4 * duration).sum())
                outside = int((np.abs(data.time - mid) > 0.5 * duration).sum())
                if inside < self.config.min_inside or outside < self.config.min_outside:
                    continue
                shape = np.array([mid, duration, 0.15])
                chi2 = _chi2(data, option, shape)
                if chi2 < best and _solve(data, option, shape)[0][-1] > 0.0:
                    best, start = chi2, shape
        return start

    def _refine(self, data: _Data, option: tuple[str, ...], start: Real) -> Real:
        span = float(np.ptp(data.time))
        low = [data.time.min(), self.config.min_duration_h / 24.0 / 1.5, 0.02]
        high = [data.time.max(), 1.2 * self.config.max_duration_fraction * span, 0.5]

        def residuals(shape: Real) -> Real:
            return np.sqrt(data.weight) * (data.mag - _solve(data, option, shape)[1])

        def jacobian(shape: Real) -> Real:
            columns = []
            for k, step in enumerate(_STEPS):
                shift = np.zeros(3)
                shift[k] = step
                columns.append((residuals(shape + shift) - residuals(shape - shift)) / (2.0 * step))
            return np.column_stack(columns)

        inside = np.clip(start, np.add(low, 1e-9), np.subtract(high, 1e-9))
        found = least_squares(residuals, inside, jac=jacobian, bounds=(low, high), x_scale=[0.01, 0.02, 0.1])
        return np.asarray(found.x)

    def _result(
        self, whole: _Data, data: _Data, used: NDArray[np.bool_], best: tuple[float, tuple[str, ...], Real],
        without: float,
    ) -> TransitFit:  # fmt: skip
        bic, option, shape = best
        coefficients, model = _solve(data, option, shape)
        residual = data.mag - model
        dof = max(data.time.size - len(option) - 5, 1)
        chi2_per_dof = float((data.weight * residual**2).sum() / dof)
        beta = red_noise_factor(data.time, residual, self.config.bin_minutes, dof)
        factor = max(chi2_per_dof, 1.0) ** 0.5 * beta
        covariance = self._covariance(data, option, shape, coefficients)
        errors = factor * np.sqrt(np.maximum(np.diag(covariance), 0.0))
        design = _design(whole, option)
        baseline = design @ coefficients[:-1]
        depth = float(coefficients[-1])
        return TransitFit(
            float(shape[0]), float(errors[0]), depth, float(errors[3]), float(shape[1]), float(errors[1]),
            float(shape[1] * shape[2]), depth / float(errors[3]) if errors[3] > 0.0 else 0.0, option, beta,
            float(np.sqrt(np.mean(residual**2))), chi2_per_dof, without - bic,
            baseline + depth * trapezoid(whole.time, shape), baseline, used,
        )  # fmt: skip

    def _covariance(self, data: _Data, option: tuple[str, ...], shape: Real, coefficients: Real) -> Real:
        """Return the covariance of mid time, duration, ingress fraction and depth, baseline marginalised."""
        columns = []
        for k, step in enumerate(_STEPS):
            shift = np.zeros(3)
            shift[k] = step
            upper, lower = trapezoid(data.time, shape + shift), trapezoid(data.time, shape - shift)
            columns.append(coefficients[-1] * (upper - lower) / (2.0 * step))
        columns.append(trapezoid(data.time, shape))
        jacobian = np.column_stack([*columns, _design(data, option)])
        normal = jacobian.T @ (data.weight[:, None] * jacobian)
        normal[2, 2] += 1.0 / 0.2**2  # the ingress is between 0 and half of the duration
        return np.asarray(np.linalg.pinv(normal)[:4, :4])


def trapezoid(time: Real, shape: Real) -> Real:
    """Return a trapezoid of unit depth.

    Parameters
    ----------
    time : ndarray, float64, shape (n,)
        Times.
    shape : ndarray, float64, shape (3,)
        Middle, duration from first to last contact, and ingress as a fraction of the duration (0 to 0.5).

    Returns
    -------
    ndarray, float64, shape (n,)
        From 0 outside to 1 at the bottom.
    """
    mid, duration, fraction = shape
    ingress = max(fraction, 1e-3) * duration
    return np.asarray(np.clip((0.5 * duration - np.abs(time - mid)) / ingress, 0.0, 1.0))


def red_noise_factor(time: Real, residual: Real, bin_minutes: tuple[float, ...], dof: int) -> float:
    """Return by how much binned residuals scatter more than white noise would, at least 1.

    Parameters
    ----------
    time, residual : ndarray, float64, shape (n,)
        Times [d] and residuals.
    bin_minutes : tuple of float
        Bin widths that are tried [min]; those of fewer than five bins or fewer than two points a bin are not.
    dof : int
        Degrees of freedom of the residuals.

    Returns
    -------
    float
        Largest ratio over the bin widths.
    """
    sigma = float(np.sqrt((residual**2).sum() / max(dof, 1)))
    largest = 1.0
    for minutes in bin_minutes:
        index = np.floor((time - time.min()) * 1440.0 / minutes).astype(int)
        count = np.bincount(index)
        sums = np.bincount(index, residual)[count > 0]
        count = count[count > 0]
        per_bin = float(np.mean(count))
        if count.size < 5 or per_bin < 1.6 or not sigma > 0.0:
            continue
        expected = sigma * float(np.sqrt(np.mean(1.0 / count))) * np.sqrt(count.size / (count.size - 1.0)) ** -1
        largest = max(largest, float(np.std(sums / count)) / expected)
    return largest


def _design(data: _Data, option: tuple[str, ...]) -> Real:
    return np.column_stack([np.ones(data.time.size), *(data.columns[name] for name in option)])


def _solve(data: _Data, option: tuple[str, ...], shape: Real | None) -> tuple[Real, Real]:
    """Return the linear coefficients, the depth last, and the model."""
    design = _design(data, option)
    if shape is not None:
        design = np.column_stack([design, trapezoid(data.time, shape)])
    normal = design.T @ (data.weight[:, None] * design)
    normal += 1e-9 * np.trace(normal) * np.eye(len(normal)) / len(normal)
    coefficients = np.linalg.solve(normal, design.T @ (data.weight * data.mag))
    return np.asarray(coefficients), np.asarray(design @ coefficients)


def _chi2(data: _Data, option: tuple[str, ...], shape: Real | None) -> float:
    return float((data.weight * (data.mag - _solve(data, option, shape)[1]) ** 2).sum())
