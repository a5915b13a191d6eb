"""What all stars of a series share: response of the detector, sub-pixel phase, brightness against seeing and sky."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.astrometry import polynomial_design
from etendue.tasks.lightcurve.ensemble import EnsembleResult, scaled_positions
from etendue.tasks.lightcurve.series import Series
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]
Flags = NDArray[np.bool_]


class SystematicsConfig(TaskConfig):
    """Which effects are looked for, and when one is believed."""

    response_orders: tuple[int, ...] = (2, 4, 6)
    """Orders of the polynomial over the detector; the one that predicts best counts. Only a drift shows it."""

    phase_harmonics: int = Field(2, ge=0, le=4)
    """Harmonics of the sub-pixel phase in x and in y."""

    brightness_terms: bool = True
    """Magnitude times seeing, sky and airmass: non-linearity, aperture losses, blends at the detection limit."""

    max_stars: int = Field(400, ge=10)
    """Comparison stars of the largest weight that are fitted."""

    folds: int = Field(5, ge=2)
    """Groups of stars that are predicted in turn from the others."""

    min_gain: float = Field(0.002, ge=0.0)
    """Relative fall of the chi-square of held-out stars from which an effect is taken off."""

    prior_mag: float = Field(0.05, gt=0.0)
    """Expected size of a term [mag]."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect that was looked for.

    Parameters
    ----------
    name : str
        What it is.
    n_terms : int
        Free coefficients.
    amplitude_mag : float
        Root mean square of the effect over the measurements fitted [mag].
    gain : float
        Relative fall of the chi-square of held-out stars; negative where the effect predicts nothing.
    accepted : bool
        Whether it was taken off.
    """

    name: str
    n_terms: int
    amplitude_mag: float
    gain: float
    accepted: bool


@dataclass(frozen=True, slots=True, eq=False)
class SystematicsResult:
    """Effects, and what they do to every measurement.

    Parameters
    ----------
    effects : tuple of Effect
        In the order tried.
    correction : ndarray, float64, shape (n_frames, n_stars)
        To be subtracted from magnitudes [mag]; 0 where a star is not on the frame.
    """

    effects: tuple[Effect, ...]
    correction: Real


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """The measurements that are fitted, star after star in columns."""

    value: Real
    weight: Real
    fold: NDArray[np.int64]


class SystematicsTask(Task[SystematicsConfig]):
    """Fit effects to the residuals of the comparison stars; keep those that predict stars which were held out.

    Every effect is linear in known covariates. Its columns are centred star by star, because the mean of a star is
    free. Effects are tried in a fixed order, each on top of those accepted before.
    """

    def run(self, *, series: Series, ensemble: EnsembleResult) -> SystematicsResult:
        """Look for all effects.

        Parameters
        ----------
        series : Series
            Covariates.
        ensemble : EnsembleResult
            Residuals and weights.

        Returns
        -------
        SystematicsResult
        """
        total = ensemble.weight.sum(axis=0)
        stars = np.sort(np.argsort(-total, kind="stable")[: min(self.config.max_stars, int((total > 0.0).sum()))])
        value, weight = ensemble.residual[:, stars], ensemble.weight[:, stars]
        weight = np.where(np.isfinite(value), weight, 0.0)
        data = _Fitted(_centred(np.nan_to_num(value), weight), weight, np.arange(stars.size) % self.config.folds)
        accepted: list[Real] = []
        columns, before, effects = np.zeros((*data.value.shape, 0)), self._held_out(data, None), []
        for name, variants in self._effects(series, ensemble):
            tried = [np.concatenate([columns, _centred(full[:, stars], weight)], axis=2) for full in variants]
            chi2 = [self._held_out(data, both) for both in tried]
            best = int(np.argmin(chi2))
            gain = 1.0 - chi2[best] / before if before > 0.0 else 0.0
            keep, both = bool(gain >= self.config.min_gain), tried[best]
            part = both[..., columns.shape[2] :] @ self._solve(data, both)[columns.shape[2] :]
            rms = float(np.sqrt(np.mean(part[weight > 0.0] ** 2))) if (weight > 0.0).any() else 0.0
            effects.append(Effect(name, both.shape[2] - columns.shape[2], rms, float(gain), keep))
            if keep:
                columns, before, accepted = both, chi2[best], [*accepted, variants[best]]
        if not accepted:
            return SystematicsResult(tuple(effects), np.zeros(series.shape))
        fitted = np.concatenate(accepted, axis=2) @ self._solve(data, columns)
        present = np.isfinite(series.x)
        correction = np.where(present, _centred(fitted, present.astype(float)), 0.0)
        return SystematicsResult(tuple(effects), correction)

    def _effects(self, series: Series, ensemble: EnsembleResult) -> list[tuple[str, list[Real]]]:
        """Return what is tried, each effect with its variants."""
        present = np.isfinite(series.x) & np.isfinite(series.y)
        found: list[tuple[str, list[Real]]] = []
        if self.config.response_orders:
            found.append(
                ("response of the detector", [_response(series, present, k) for k in self.config.response_orders])
            )
        seeing = _standard(series.fwhm)
        for harmonics in range(1, self.config.phase_harmonics + 1):
            found.append((f"sub-pixel phase, harmonic {harmonics}", [_phase(series, present, harmonics)]))
        if self.config.phase_harmonics:
            found.append(("sub-pixel phase times seeing", [_phase(series, present, 1) * seeing[:, None, None]]))
        if self.config.brightness_terms:
            sky = np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in series.sky])
            for name, covariate in (
                ("seeing", seeing),
                ("airmass", _standard(series.airmass)),
                ("sky", _standard(sky)),
            ):
                found.append((f"brightness times {name}", [_brightness(ensemble, covariate)]))
        return found

    def _solve(self, data: _Fitted, columns: Real, left_out: int = -1) -> Real:
        weight = data.weight * (data.fold != left_out)
        flat = columns.reshape(data.value.size, columns.shape[2])
        weighted = flat * weight.reshape(-1, 1)
        normal = flat.T @ weighted + np.eye(flat.shape[1]) * self.config.prior_mag**-2
        return np.asarray(np.linalg.solve(normal, weighted.T @ data.value.ravel()))

    def _held_out(self, data: _Fitted, columns: Real | None) -> float:
        """Return the chi-square of all stars, each predicted from the other folds."""
        total = 0.0
        for fold in range(self.config.folds):
            inside = data.fold == fold
            predicted = 0.0 if columns is None else columns[:, inside] @ self._solve(data, columns, fold)
            total += float((data.weight[:, inside] * (data.value[:, inside] - predicted) ** 2).sum())
        return total


def _response(series: Series, present: Flags, order: int) -> Real:
    """Return all terms of a polynomial over the detector except the constant."""
    u, v = scaled_positions(series.x, series.y, present)
    return polynomial_design(u.ravel(), v.ravel(), order)[:, 1:].reshape(*u.shape, -1)


def _phase(series: Series, present: Flags, harmonic: int) -> Real:
    columns = []
    for coordinate in (series.x, series.y):
        angle = 2.0 * np.pi * harmonic * np.where(present, coordinate, 0.0)
        columns += [np.where(present, np.cos(angle), 0.0), np.where(present, np.sin(angle), 0.0)]
    return np.stack(columns, axis=-1)


def _brightness(ensemble: EnsembleResult, covariate: Real) -> Real:
    """Return a covariate of the frames times magnitude and times its square."""
    of_star = np.nan_to_num(ensemble.mean_mag - np.nanmedian(ensemble.mean_mag))
    linear = covariate[:, None] * of_star
    return np.stack([linear, linear * of_star / 2.0], axis=-1)


def _standard(covariate: Real) -> Real:
    """Return a covariate of mean 0 and unit spread; 0 where it is unknown or constant."""
    known = np.isfinite(covariate)
    spread = float(np.std(covariate[known])) if known.any() else 0.0
    if not spread > 0.0:
        return np.zeros(covariate.shape)
    return np.where(known, covariate - np.mean(covariate[known]), 0.0) / spread


def _centred(columns: Real, weight: Real) -> Real:
    """Subtract each star's weighted mean."""
    wide = columns.reshape(*weight.shape, -1)
    total = weight.sum(axis=0)
    mean = (weight[..., None] * wide).sum(axis=0) / np.where(total > 0.0, total, 1.0)[:, None]
    return np.asarray((wide - mean).reshape(columns.shape))
