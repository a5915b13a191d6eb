"""Which objects vary: chi-square of forced light curves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.table.table import Table

_BAD_FLAGS = ("psfFlux_flag", "pixelFlags_bad", "pixelFlags_cr", "pixelFlags_edge", "pixelFlags_interpolatedCenter",
              "pixelFlags_nodata", "pixelFlags_saturated")  # fmt: skip


@dataclass(frozen=True)
class Variability:
    """One entry per object, in order of ``objectId``.

    Parameters
    ----------
    object_id : ndarray, int64, shape (n,)
        ``objectId``.
    count : ndarray, int64, shape (n,)
        Measurements used, all bands.
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
    snr: NDArray[np.float64]
    flux: NDArray[np.float64]
    chi2_per_dof: NDArray[np.float64]
    trimmed_chi2_per_dof: NDArray[np.float64]

    def most_variable(self, number: int, *, min_snr: float = 10.0, threshold: float = 3.0) -> NDArray[np.intp]:
        """Return the entries of the largest trimmed chi-square, the largest first.

        Parameters
        ----------
        number : int
            At most this many.
        min_snr : float
            Fainter objects are left out.
        threshold : float
            Less variable objects are left out.

        Returns
        -------
        ndarray, intp
        """
        chosen = np.flatnonzero((self.snr > min_snr) & (self.trimmed_chi2_per_dof > threshold))
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


def variability(forced: Table, *, min_count: int = 5, floor: float = 0.005) -> Variability:
    """Compare the fluxes of every object with a constant per band.

    Parameters
    ----------
    forced : Table
        ``forced_source`` rows; flagged ones are left out.
    min_count : int
        Fewest measurements of an object.
    floor : float
        Relative error added in quadrature, for calibration errors.

    Returns
    -------
    Variability
    """
    rows = forced.take(np.flatnonzero(usable_rows(forced)))
    object_id, group = np.unique(np.asarray(rows["objectId"]), return_inverse=True)
    n = object_id.size
    if n == 0:
        return Variability(object_id, np.zeros(0, np.int64), *(np.zeros(0) for _ in range(4)))
    flux, err = np.asarray(rows["psfFlux"], float), np.asarray(rows["psfFluxErr"], float)
    _, band = np.unique(np.asarray(rows["band"], str), return_inverse=True)
    curve = np.unique(group * (band.max() + 1) + band, return_inverse=True)[1]
    plain = _weighted_mean(flux, err**-2.0, curve)[curve]
    weight = 1.0 / (err**2 + (floor * plain) ** 2)
    pull2 = weight * (flux - _weighted_mean(flux, weight, curve)[curve]) ** 2
    worst = np.zeros(n)
    np.maximum.at(worst, group, pull2)
    count = np.bincount(group, minlength=n)
    chi2 = np.bincount(group, pull2, n)
    curves = np.zeros(n, np.int64)
    np.add.at(curves, group[np.unique(curve, return_index=True)[1]], 1)
    dof = count - curves
    keep = (count >= min_count) & (dof >= 2)
    order = np.lexsort((flux / err, group))
    middle = np.concatenate([[0], np.cumsum(count)[:-1]]) + (count - 1) // 2
    safe = np.maximum(dof, 2)
    columns: tuple[NDArray, ...] = (
        object_id, count, (flux / err)[order][middle], _weighted_mean(flux, weight, group),
        chi2 / safe, (chi2 - worst) / (safe - 1),
    )  # fmt: skip
    ids, counts, *others = (column[keep] for column in columns)
    return Variability(ids, counts, *others)


def _weighted_mean(values: NDArray, weight: NDArray, group: NDArray) -> NDArray[np.float64]:
    return np.asarray(np.bincount(group, weight * values) / np.bincount(group, weight))
