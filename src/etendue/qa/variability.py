"""Which objects vary: chi-square of forced light curves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.table.table import Table

_BAD_FLAGS = ("psfFlux_flag", "pixelFlags_bad", "pixelFlags_cr", "pixelFlags_edge", "pixelFlags_interpolatedCenter",
              "pixelFlags_nodata", "pixelFlags_saturated")  # fmt: skip
_NOTHING = 1e-30  # relative weight of a measurement that is left out; zero would make empty means NaN


@dataclass(frozen=True)
class Variability:
    """One entry per object, in order of ``objectId``.

    Parameters
    ----------
    object_id : ndarray, int64, shape (n,)
        ``objectId``.
    count : ndarray, int64, shape (n,)
        Measurements used, all bands.
    flagged_fraction : ndarray, float64, shape (n,)
        Fraction of its measurements that were flagged and left out.
    snr : ndarray, float64, shape (n,)
        Median signal-to-noise ratio of a measurement.
    flux : ndarray, float64, shape (n,)
        Mean flux over all measurements, weighted [nJy].
    chi2_per_dof : ndarray, float64, shape (n,)
        About a constant flux in each band.
    trimmed_chi2_per_dof : ndarray, float64, shape (n,)
        The same without the most deviant measurement, so that one cosmic ray or passing asteroid makes no variable.
    """

    object_id: NDArray[np.int64]
    count: NDArray[np.int64]
    flagged_fraction: NDArray[np.float64]
    snr: NDArray[np.float64]
    flux: NDArray[np.float64]
    chi2_per_dof: NDArray[np.float64]
    trimmed_chi2_per_dof: NDArray[np.float64]

    def most_variable(
        self, number: int, *, min_snr: float = 10.0, threshold: float = 3.0, max_flagged: float = 0.25
    ) -> NDArray[np.intp]:
        """Return the entries of the largest trimmed chi-square, the largest first.

        Parameters
        ----------
        number : int
            At most this many.
        min_snr : float
            Fainter objects are left out.
        threshold : float
            Less variable objects are left out.
        max_flagged : float
            Objects with a larger fraction of flagged measurements are left out: what remains of them is no better.

        Returns
        -------
        ndarray, intp
        """
        good = (self.snr > min_snr) & (self.flagged_fraction <= max_flagged)
        chosen = np.flatnonzero(good & (self.trimmed_chi2_per_dof > threshold))
        return chosen[np.argsort(-self.trimmed_chi2_per_dof[chosen], kind="stable")][:number]


def usable_rows(forced: Table) -> NDArray[np.bool_]:
    """Return which ``forced_source`` rows are unflagged measurements.

    Parameters
    ----------
    forced : Table
        ``forced_source`` rows.

    Returns
    -------
    ndarray, bool, shape (n,)
    """
    good = np.isfinite(forced["psfFlux"]) & (forced["psfFluxErr"] > 0.0)
    for flag in _BAD_FLAGS:
        good &= ~np.asarray(forced[flag], bool)
    return good


def variability(
    forced: Table, *, covariate: NDArray[np.float64] | None = None, min_count: int = 5, floor: float = 0.005
) -> Variability:
    """Compare the fluxes of every object with a constant per band.

    Parameters
    ----------
    forced : Table
        ``forced_source`` rows; flagged ones are left out.
    covariate : ndarray, float64, shape (n,), optional
        A property of each row's visit, such as the seeing: a linear dependence of the fluxes on it is removed first,
        because the fluxes of blended objects follow the seeing.
    min_count : int
        Fewest measurements of an object.
    floor : float
        Relative error added in quadrature, for calibration errors.

    Returns
    -------
    Variability
    """
    used = np.flatnonzero(usable_rows(forced))
    rows = forced.take(used)
    object_id, group = np.unique(np.asarray(rows["objectId"]), return_inverse=True)
    n = object_id.size
    if n == 0:
        return Variability(object_id, np.zeros(0, np.int64), *(np.zeros(0) for _ in range(5)))
    flux, err = np.asarray(rows["psfFlux"], float), np.asarray(rows["psfFluxErr"], float)
    _, band = np.unique(np.asarray(rows["band"], str), return_inverse=True)
    curve = np.unique(group * (band.max() + 1) + band, return_inverse=True)[1]
    plain = _weighted_mean(flux, err**-2.0, curve)[curve]
    weight = 1.0 / (err**2 + (floor * plain) ** 2)
    trend = None if covariate is None else np.asarray(covariate, float)[used]
    pull2 = _squared_pulls(flux, weight, trend, curve)
    order = np.lexsort((pull2, group))
    count = np.bincount(group, minlength=n)
    worst = order[np.cumsum(count) - 1]
    trimmed = weight.copy()
    trimmed[worst] *= _NOTHING
    curves = np.bincount(group[np.unique(curve, return_index=True)[1]], minlength=n)
    dof = count - curves * (1 if trend is None else 2)
    keep = (count >= min_count) & (dof >= 2)
    by_snr = np.lexsort((flux / err, group))
    snr = (flux / err)[by_snr][np.cumsum(count) - count + (count - 1) // 2]
    columns: tuple[NDArray, ...] = (
        object_id, count, 1.0 - count / _count_all(forced, object_id), snr, _weighted_mean(flux, weight, group),
        np.bincount(group, pull2, n) / np.maximum(dof, 2),
        np.bincount(group, _squared_pulls(flux, trimmed, trend, curve), n) / np.maximum(dof - 1, 1),
    )  # fmt: skip
    ids, counts, *others = (column[keep] for column in columns)
    return Variability(ids, counts, *others)


def _count_all(forced: Table, object_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many rows each object has, flagged ones included."""
    known, count = np.unique(np.asarray(forced["objectId"]), return_counts=True)
    return np.asarray(count[np.searchsorted(known, object_id)])


def _squared_pulls(flux: NDArray, weight: NDArray, covariate: NDArray | None, curve: NDArray) -> NDArray[np.float64]:
    """Return each measurement's squared deviation from its light curve's mean and trend, times its weight."""
    residual = flux - _weighted_mean(flux, weight, curve)[curve]
    if covariate is not None:
        residual = _without_trend(residual, covariate, weight, curve)
    return np.asarray(weight * residual**2)


def _without_trend(residual: NDArray, x: NDArray, weight: NDArray, curve: NDArray) -> NDArray[np.float64]:
    """Subtract each light curve's linear dependence on ``x``; rows of unknown ``x`` stay as they are."""
    known = np.isfinite(x)
    x = np.where(known, x, 0.0)
    weight = np.where(known, weight, weight * _NOTHING)
    x = x - _weighted_mean(x, weight, curve)[curve]
    residual = residual - np.where(known, _weighted_mean(residual, weight, curve)[curve], 0.0)
    variance = np.bincount(curve, weight * x * x)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.bincount(curve, weight * x * residual) / variance
    slope = np.where(variance > 0.0, slope, 0.0)
    return np.where(known, residual - slope[curve] * x, residual)


def _weighted_mean(values: NDArray, weight: NDArray, group: NDArray) -> NDArray[np.float64]:
    return np.asarray(np.bincount(group, weight * values) / np.bincount(group, weight))
