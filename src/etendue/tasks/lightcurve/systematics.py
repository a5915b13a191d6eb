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
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

_BLOCK = 200  # stars whose columns are held at once


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
class _Normal:
    """Normal equations of all columns, one set per fold of stars; a fit of some columns is a part of them."""

    matrix: Real
    right: Real
    square: Real
    ridge: float

    def solve(self, columns: Index, left_out: int = -1) -> Real:
        """Return the coefficients of some columns from all folds but one."""
        keep = np.arange(self.square.size) != left_out
        matrix = self.matrix[keep].sum(axis=0)[np.ix_(columns, columns)] + self.ridge * np.eye(columns.size)
        return np.asarray(np.linalg.solve(matrix, self.right[keep].sum(axis=0)[columns]))

    def held_out(self, columns: Index) -> float:
        """Return the chi-square of all stars, each fold predicted from the others."""
        total = 0.0
        for fold in range(self.square.size):
            fitted = self.solve(columns, fold)
            cross = self.matrix[fold][np.ix_(columns, columns)]
            total += float(self.square[fold] - 2.0 * fitted @ self.right[fold][columns] + fitted @ cross @ fitted)
        return total

    def rms(self, columns: Index, coefficients: Real, weight: float) -> float:
        """Return the weighted root mean square of what some columns do."""
        cross = self.matrix.sum(axis=0)[np.ix_(columns, columns)]
        return float(np.sqrt(max(coefficients @ cross @ coefficients, 0.0) / weight)) if weight > 0.0 else 0.0


class SystematicsTask(Task[SystematicsConfig]):
    """Fit effects to the residuals of the comparison stars; keep those that predict stars which were held out.

    Every effect is linear in known covariates. Its columns are centred star by star, because the mean of a star is
    free. Effects are tried in a fixed order, each on top of those accepted before; of the variants of an effect (orders
    of the polynomial) the one that predicts best counts.
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
        covariates = _Covariates.of(series, ensemble)
        residual, weight = ensemble.residual[:, stars], ensemble.weight[:, stars]
        weight = np.where(np.isfinite(residual), weight, 0.0)
        value = _centred(np.nan_to_num(residual), weight)
        normal = self._normal(value, weight, _centred(self._columns(covariates, stars), weight))
        accepted, effects, before = np.zeros(0, np.int64), [], float(normal.square.sum())
        for name, variants in self._effects():
            chi2 = [normal.held_out(np.concatenate([accepted, columns])) for columns in variants]
            best = int(np.argmin(chi2))
            both = np.concatenate([accepted, variants[best]])
            gain = 1.0 - chi2[best] / before if before > 0.0 else 0.0
            part = normal.solve(both)[accepted.size :]
            rms = normal.rms(variants[best], part, float(weight.sum()))
            keep = bool(gain >= self.config.min_gain)
            effects.append(Effect(name, variants[best].size, rms, float(gain), keep))
            if keep:
                accepted, before = both, chi2[best]
        if accepted.size == 0:
            return SystematicsResult(tuple(effects), np.zeros(series.shape))
        coefficients = np.zeros(normal.right.shape[1])
        coefficients[accepted] = normal.solve(accepted)
        return SystematicsResult(tuple(effects), self._correction(covariates, coefficients))

    def _normal(self, value: Real, weight: Real, columns: Real) -> _Normal:
        fold = np.arange(value.shape[1]) % self.config.folds
        matrix, right, square = [], [], []
        for k in range(self.config.folds):
            flat = columns[:, fold == k].reshape(-1, columns.shape[2])
            w, v = weight[:, fold == k].ravel(), value[:, fold == k].ravel()
            matrix.append(flat.T @ (w[:, None] * flat))
            right.append(flat.T @ (w * v))
            square.append(float((w * v * v).sum()))
        return _Normal(np.array(matrix), np.array(right), np.array(square), self.config.prior_mag**-2)

    def _effects(self) -> list[tuple[str, list[Index]]]:
        """Return what is tried: the name of each effect and its variants as column numbers, as in `_columns`."""
        found: list[tuple[str, list[Index]]] = []
        end = 0
        if self.config.response_orders:
            sizes = [_n_terms(order) for order in sorted(self.config.response_orders)]
            found.append(("response of the detector", [np.arange(size) for size in sizes]))
            end = sizes[-1]
        widths = [(f"sub-pixel phase, harmonic {k}", 4) for k in range(1, self.config.phase_harmonics + 1)]
        if self.config.phase_harmonics:
            widths.append(("sub-pixel phase times seeing", 4))
        if self.config.brightness_terms:
            widths += [(f"brightness times {name}", 2) for name in ("seeing", "airmass", "sky")]
        for name, width in widths:
            found.append((name, [np.arange(end, end + width)]))
            end += width
        return found

    def _columns(self, covariates: "_Covariates", stars: Index) -> Real:
        """Return the columns of some stars, those of all effects side by side."""
        u, v, x, y = (c[:, stars] for c in (covariates.u, covariates.v, covariates.x, covariates.y))
        parts = []
        if self.config.response_orders:
            full = polynomial_design(u.ravel(), v.ravel(), max(self.config.response_orders))
            parts.append(full[:, 1:].reshape(*u.shape, -1))
        phases = [_phase(x, y, harmonic) for harmonic in range(1, self.config.phase_harmonics + 1)]
        parts += phases
        if phases:
            parts.append(phases[0] * covariates.seeing[:, None, None])
        if self.config.brightness_terms:
            mag = covariates.mag[stars]
            for of_frame in (covariates.seeing, covariates.airmass, covariates.sky):
                linear = of_frame[:, None] * mag
                parts.append(np.stack([linear, 0.5 * linear * mag], axis=-1))
        return np.concatenate(parts, axis=2) if parts else np.zeros((*u.shape, 0))

    def _correction(self, covariates: "_Covariates", coefficients: Real) -> Real:
        """Return the fitted effects of all stars, block by block to bound the memory."""
        found = np.zeros(covariates.present.shape)
        n_stars = covariates.mag.size
        for first in range(0, n_stars, _BLOCK):
            stars = np.arange(first, min(first + _BLOCK, n_stars))
            found[:, stars] = self._columns(covariates, stars) @ coefficients
        return np.where(covariates.present, _centred(found, covariates.present.astype(float)), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Covariates:
    """What effects depend on; zero where a star is not on the frame."""

    present: Flags
    u: Real
    v: Real
    x: Real
    y: Real
    seeing: Real
    airmass: Real
    sky: Real
    mag: Real

    @classmethod
    def of(cls, series: Series, ensemble: EnsembleResult) -> "_Covariates":
        present = np.isfinite(series.x) & np.isfinite(series.y)
        sky = np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in series.sky])
        return cls(
            present, *scaled_positions(series.x, series.y, present), np.where(present, series.x, 0.0),
            np.where(present, series.y, 0.0), _standard(series.fwhm), _standard(series.airmass), _standard(sky),
            np.nan_to_num(ensemble.mean_mag - np.nanmedian(ensemble.mean_mag)),
        )  # fmt: skip


def _n_terms(order: int) -> int:
    return (order + 1) * (order + 2) // 2 - 1


def _phase(x: Real, y: Real, harmonic: int) -> Real:
    """Return cosine and sine of the sub-pixel position in x and in y."""
    angle = 2.0 * np.pi * harmonic * np.stack([x, y], axis=-1)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)


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
    mean = np.einsum("fs,fsk->sk", weight, wide) / np.where(total > 0.0, total, 1.0)[:, None]
    return np.asarray((wide - mean).reshape(columns.shape))
