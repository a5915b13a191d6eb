"""Statistics of the light curves of associated detections, band by band."""

import numpy as np
from numpy.typing import NDArray

from etendue.table.table import Table


def flux_summary(sources: Table, owner: NDArray[np.int64], count: int) -> dict[str, NDArray]:
    """Summarise difference fluxes per object, in the columns of ``dia_object``.

    Parameters
    ----------
    sources : Table
        ``dia_source`` rows.
    owner : ndarray, int64, shape (n,)
        Object number of every row; negative rows are left out.
    count : int
        Number of objects.

    Returns
    -------
    dict of str to ndarray, shape (count,)
        Counts, first and last times, and for every band weighted mean and its error, scatter, extremes,
        chi-square about the mean and steepest slope; NaN where a band has no detection.
    """
    use = owner >= 0
    group = owner[use]
    times = np.asarray(sources["midpointMjdTai"], float)[use]
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, group, times)
    np.maximum.at(last, group, times)
    columns: dict[str, NDArray] = {
        "nDiaSources": np.bincount(group, minlength=count),
        "firstDiaSourceMjdTai": first,
        "lastDiaSourceMjdTai": last,
    }
    bands = np.asarray(sources["band"])[use]
    flux = np.asarray(sources["psfFlux"], float)[use]
    err = np.asarray(sources["psfFluxErr"], float)[use]
    for band in np.unique(bands):
        inside = (bands == band) & np.isfinite(flux) & (err > 0.0)
        columns.update(_band_summary(str(band), group[inside], times[inside], flux[inside], err[inside], count))
    return columns


def _band_summary(
    band: str,
    group: NDArray[np.int64],
    times: NDArray[np.float64],
    flux: NDArray[np.float64],
    err: NDArray[np.float64],
    count: int,
) -> dict[str, NDArray]:
    number = np.bincount(group, minlength=count)
    empty = number == 0
    weight = err**-2
    total = np.where(empty, np.nan, np.bincount(group, weight, count))
    mean = np.bincount(group, weight * flux, count) / total
    deviation = flux - mean[group]
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, group, flux)
    np.maximum.at(high, group, flux)
    sigma = np.sqrt(np.bincount(group, deviation**2, count) / np.where(number > 1, number - 1, np.nan))
    return {
        f"{band}_psfFluxMean": mean,
        f"{band}_psfFluxMeanErr": total**-0.5,
        f"{band}_psfFluxSigma": sigma,
        f"{band}_psfFluxNdata": number,
        f"{band}_psfFluxMin": np.where(empty, np.nan, low),
        f"{band}_psfFluxMax": np.where(empty, np.nan, high),
        f"{band}_psfFluxErrMean": np.bincount(group, err, count) / np.where(empty, np.nan, number),
        f"{band}_psfFluxChi2": np.where(empty, np.nan, np.bincount(group, weight * deviation**2, count)),
        f"{band}_psfFluxMaxSlope": _steepest(group, times, flux, count),
    }


def _steepest(
    group: NDArray[np.int64], times: NDArray[np.float64], flux: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return the largest absolute slope between consecutive detections of an object [nJy/d]."""
    order = np.lexsort((times, group))
    same = np.diff(group[order]) == 0
    step = np.diff(times[order])[same]
    slope = np.abs(np.diff(flux[order])[same][step > 0.0] / step[step > 0.0])
    steepest = np.full(count, -np.inf)
    np.maximum.at(steepest, group[order][1:][same][step > 0.0], slope)
    return np.where(np.isfinite(steepest), steepest, np.nan)
