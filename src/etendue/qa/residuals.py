"""Deviations of single measurements from the mean of their star."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import tangent_plane
from etendue.qa.repeatability import clean_rows
from etendue.table.table import Table

_MMAG_PER_RELATIVE = 2.5 / np.log(10.0) * 1e3


@dataclass(frozen=True)
class StarResiduals:
    """One entry per measurement.

    Parameters
    ----------
    detector : ndarray, int64, shape (n,)
        Detector.
    x, y : ndarray, float64, shape (n,)
        Position on it [px].
    dx_mas, dy_mas : ndarray, float64, shape (n,)
        Position minus the star's mean position, east and north [mas].
    mag_mmag : ndarray, float64, shape (n,)
        Magnitude of ``calibFlux`` minus the star's mean magnitude in the band [mmag].
    """

    detector: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    dx_mas: NDArray[np.float64]
    dy_mas: NDArray[np.float64]
    mag_mmag: NDArray[np.float64]

    def on(self, detector: int) -> "StarResiduals":
        """Return the measurements of one detector."""
        here = self.detector == detector
        return StarResiduals(*(values[here] for values in vars(self).values()))


def star_residuals(sources: Table, *, min_snr: float = 50.0, min_count: int = 3) -> StarResiduals:
    """Compare every bright measurement with the mean of its star and band.

    Parameters
    ----------
    sources : Table
        ``source`` rows of any number of visits.
    min_snr : float
        Fainter measurements are left out.
    min_count : int
        Fewest measurements of a star in a band.

    Returns
    -------
    StarResiduals
        Empty where nothing is left.
    """
    rows = sources.take(np.flatnonzero(clean_rows(sources) & (sources["psfFlux"] > min_snr * sources["psfFluxErr"])))
    _, band = np.unique(np.asarray(rows["band"], str), return_inverse=True)
    keys = np.stack([np.asarray(rows["isolated_star_id"]), band.astype(np.int64)], axis=1)
    group = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    n = np.bincount(group)
    rows, group = (rows.take(np.flatnonzero(n[group] >= min_count)), group[n[group] >= min_count])
    if group.size == 0:
        return StarResiduals(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(5)))
    count = np.maximum(np.bincount(group), 1)
    first = np.zeros(count.size, np.intp)
    first[group[::-1]] = np.arange(group.size)[::-1]
    ra, dec = np.asarray(rows["ra"]), np.asarray(rows["dec"])
    east, north = (axis * 3.6e6 for axis in tangent_plane(ra, dec, ra[first][group], dec[first][group]))
    flux = np.asarray(rows["calibFlux"], float)
    relative = flux / _mean(flux, group, count) - 1.0
    return StarResiduals(
        np.asarray(rows["detector"], np.int64), np.asarray(rows["x"], float), np.asarray(rows["y"], float),
        east - _mean(east, group, count), north - _mean(north, group, count), -relative * _MMAG_PER_RELATIVE,
    )  # fmt: skip


def _mean(values: NDArray, group: NDArray, count: NDArray) -> NDArray[np.float64]:
    """Return every measurement's group mean."""
    return np.asarray(np.bincount(group, values, count.size) / count)[group]
