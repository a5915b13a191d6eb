"""How well repeated measurements of the same star agree, in position and in brightness."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.geom.sphere import tangent_plane, unit_vector
from etendue.table.table import Table

_MAG_PER_RELATIVE = 2.5 / np.log(10.0)


@dataclass(frozen=True)
class StarStatistics:
    """Scatter of repeated measurements, one entry per star and band.

    Parameters
    ----------
    star : ndarray, int64, shape (n,)
        ``isolated_star_id``.
    band : ndarray, str, shape (n,)
        Band.
    count : ndarray, int64, shape (n,)
        Number of measurements, at least the minimum asked for.
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Mean positions [deg].
    mag : ndarray, float64, shape (n,)
        Magnitude of the mean flux, on the flux scale of the tables.
    snr : ndarray, float64, shape (n,)
        Median signal-to-noise ratio of a single measurement.
    ra_scatter_mas, dec_scatter_mas : ndarray, float64, shape (n,)
        Standard deviation of the positions per axis, n - 1 in the denominator [mas].
    mag_scatter_mmag : ndarray, float64, shape (n,)
        Standard deviation of the relative fluxes [mmag].
    mag_error_mmag : ndarray, float64, shape (n,)
        Root mean square of the formal errors [mmag].
    """

    star: NDArray[np.int64]
    band: NDArray[np.str_]
    count: NDArray[np.int64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    mag: NDArray[np.float64]
    snr: NDArray[np.float64]
    ra_scatter_mas: NDArray[np.float64]
    dec_scatter_mas: NDArray[np.float64]
    mag_scatter_mmag: NDArray[np.float64]
    mag_error_mmag: NDArray[np.float64]


def clean_rows(sources: Table) -> NDArray[np.bool_]:
    """Return which ``source`` rows are unflagged measurements of a known star.

    Parameters
    ----------
    sources : Table
        ``source`` rows.

    Returns
    -------
    ndarray, bool, shape (n,)
    """
    flags = ("psfFlux_flag", "centroid_flag", "pixelFlags_saturated", "pixelFlags_crCenter", "pixelFlags_edge",
             "pixelFlags_interpolatedCenter", "pixelFlags_bad", "pixelFlags_nodata")  # fmt: skip
    bad = np.zeros(len(sources), bool)
    for flag in flags:
        bad |= np.asarray(sources[flag], bool)
    known = np.asarray(sources["isolated_star_id"]) != 0
    for name in ("psfFlux", "calibFlux"):
        bad |= ~(np.asarray(sources[name]) > 0.0) | ~(np.asarray(sources[f"{name}Err"]) > 0.0)
    return ~bad & known


def star_statistics(
    sources: Table, *, flux: str = "calibFlux", min_count: int = 3, point_sources: bool = True
) -> StarStatistics:
    """Group measurements by star and band and compute their scatter.

    Parameters
    ----------
    sources : Table
        ``source`` rows of any number of visits.
    flux : str
        Flux column whose scatter is measured, ``"calibFlux"`` or ``"psfFlux"``; its error is ``<flux>Err``.
    min_count : int
        Fewest measurements of a star in a band, at least 2.
    point_sources : bool
        Leave out stars whose median ``extendedness`` is 0.5 or more.

    Returns
    -------
    StarStatistics
        In order of star and band.
    """
    rows = sources.take(np.flatnonzero(clean_rows(sources)))
    band, band_code = np.unique(np.asarray(rows["band"], str), return_inverse=True)
    key = np.asarray(rows["isolated_star_id"]) * 1
    order = np.lexsort((band_code, key))
    if order.size == 0:
        return StarStatistics(*([np.zeros(0, np.int64), np.zeros(0, str), np.zeros(0, np.int64)] + [np.zeros(0)] * 8))
    change = (np.diff(key[order]) != 0) | (np.diff(band_code[order]) != 0)
    group = np.concatenate([[0], np.cumsum(change)])
    first = np.concatenate([[0], np.flatnonzero(change) + 1])
    n = np.bincount(group)
    columns = {name: np.asarray(rows[name], float)[order] for name in ("ra", "dec", flux, f"{flux}Err")}
    extended = np.nan_to_num(np.asarray(rows["extendedness"], float)[order], nan=0.0)
    ra0, dec0 = columns["ra"][first][group], columns["dec"][first][group]
    xi, eta = (a * 3.6e6 for a in tangent_plane(columns["ra"], columns["dec"], ra0, dec0))
    mean_flux = _mean(columns[flux], group, n)
    relative = columns[flux] / mean_flux[group]
    error = columns[f"{flux}Err"] / mean_flux[group] * _MAG_PER_RELATIVE * 1e3
    keep = n >= max(min_count, 2)
    if point_sources:
        keep &= _median(extended, group, first) < 0.5
    statistics = (
        key[order][first], band[band_code[order][first]], n,
        columns["ra"][first] + _mean(columns["ra"] - ra0, group, n),
        columns["dec"][first] + _mean(columns["dec"] - dec0, group, n),
        31.4 - 2.5 * np.log10(mean_flux),
        _median(columns[flux] / columns[f"{flux}Err"], group, first),
        _std(xi, group, n), _std(eta, group, n),
        _std(relative, group, n) * _MAG_PER_RELATIVE * 1e3,
        np.sqrt(_mean(error**2, group, n)),
    )  # fmt: skip
    return StarStatistics(*(np.asarray(column)[keep] for column in statistics))


def _mean(values: NDArray, group: NDArray, n: NDArray) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.bincount(group, values) / n
    return mean


def _std(values: NDArray, group: NDArray, n: NDArray) -> NDArray[np.float64]:
    deviation = values - _mean(values, group, n)[group]
    return np.sqrt(np.bincount(group, deviation**2) / np.maximum(n - 1, 1))


def _median(values: NDArray, group: NDArray, first: NDArray) -> NDArray[np.float64]:
    """Return the lower median of every group."""
    order = np.lexsort((values, group))
    stop = np.append(first[1:], values.size)
    return np.asarray(values[order][(first + stop - 1) // 2], float)


def astrometric_repeatability(statistics: StarStatistics, *, min_snr: float, max_snr: float = np.inf) -> float:
    """Return the median over stars of the positional scatter per axis.

    Parameters
    ----------
    statistics : StarStatistics
        Stars.
    min_snr, max_snr : float
        Limits of the single-measurement signal-to-noise ratio.

    Returns
    -------
    float
        The mean of both axes' medians [mas]; NaN without stars.
    """
    inside = (statistics.snr > min_snr) & (statistics.snr <= max_snr)
    if not inside.any():
        return float("nan")
    return 0.5 * float(np.median(statistics.ra_scatter_mas[inside]) + np.median(statistics.dec_scatter_mas[inside]))


def photometric_repeatability(statistics: StarStatistics, *, best: int | None = None, min_snr: float = 200.0) -> float:
    """Return the median over stars of the scatter of single measurements.

    Parameters
    ----------
    statistics : StarStatistics
        Stars.
    best : int, optional
        Use this many stars of the highest signal-to-noise ratio instead of all above ``min_snr``.
    min_snr : float
        LSST's PA1 uses 200 (SRD, LPM-17).

    Returns
    -------
    float
        Scatter [mmag]; NaN without stars.
    """
    if best is not None:
        chosen = np.argsort(-statistics.snr, kind="stable")[:best]
    else:
        chosen = np.flatnonzero(statistics.snr > min_snr)
    return float(np.median(statistics.mag_scatter_mmag[chosen])) if chosen.size else float("nan")


def error_calibration(statistics: StarStatistics, edges: tuple[float, ...]) -> list[dict[str, float]]:
    """Compare photometric scatter with formal errors in bins of signal-to-noise ratio.

    Parameters
    ----------
    statistics : StarStatistics
        Stars.
    edges : tuple of float
        Edges of the bins, increasing.

    Returns
    -------
    list of dict
        ``min_snr, max_snr, n, ratio``: the median of scatter over formal error, corrected for the median
        of the chi distribution with the star's degrees of freedom; NaN for an empty bin.
    """
    dof = np.maximum(statistics.count - 1, 1)
    expected = np.sqrt(1.0 - 2.0 / (9.0 * dof)) ** 3  # median of chi / sqrt(dof), Wilson and Hilferty
    ratio = statistics.mag_scatter_mmag / statistics.mag_error_mmag / expected
    table = []
    for low, high in pairwise(edges):
        inside = (statistics.snr > low) & (statistics.snr <= high)
        value = float(np.median(ratio[inside])) if inside.any() else float("nan")
        table.append({"min_snr": low, "max_snr": high, "n": int(inside.sum()), "ratio": value})
    return table


def separation_repeatability(
    sources: Table, *, separation_arcmin: float = 5.0, width_arcmin: float = 2.0, min_snr: float = 50.0,
    max_stars: int = 1000,
) -> float:  # fmt: skip
    """Return AM1 or its kin: the scatter of the distance between two stars from visit to visit.

    Parameters
    ----------
    sources : Table
        ``source`` rows.
    separation_arcmin, width_arcmin : float
        Centre and full width of the range of separations; AM1 of the SRD is at 5', AM2 at 20'.
    min_snr : float
        Fainter measurements are left out.
    max_stars : int
        Only the brightest stars are paired.

    Returns
    -------
    float
        Median over pairs of the standard deviation of the separation [mas]; NaN without pairs.
    """
    rows = sources.take(np.flatnonzero(clean_rows(sources) & (sources["psfFlux"] > min_snr * sources["psfFluxErr"])))
    star, code = np.unique(np.asarray(rows["isolated_star_id"]), return_inverse=True)
    visit, visit_code = np.unique(np.asarray(rows["visit"]), return_inverse=True)
    if star.size < 2:
        return float("nan")
    place = np.full((star.size, visit.size, 3), np.nan)
    place[code, visit_code] = unit_vector(rows["ra"], rows["dec"])
    often = np.flatnonzero(np.isfinite(place[..., 0]).sum(axis=1) >= 3)[:max_stars]
    place = place[often]
    mean = np.nanmean(place, axis=1) if often.size else np.zeros((0, 3))
    first, second = _pairs_in_annulus(mean, separation_arcmin, width_arcmin)
    if first.size == 0:
        return float("nan")
    chord = np.linalg.norm(place[first] - place[second], axis=-1)
    arc = 2.0 * np.degrees(np.arcsin(chord / 2.0)) * 3.6e6
    both = np.isfinite(arc).sum(axis=1) >= 3
    return float(np.median(np.nanstd(arc[both], axis=1, ddof=1))) if both.any() else float("nan")


def _pairs_in_annulus(
    vectors: NDArray[np.float64], separation_arcmin: float, width_arcmin: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if vectors.shape[0] < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    low, high = (np.radians((separation_arcmin + side * width_arcmin / 2) / 60.0) for side in (-1, 1))
    pairs = cKDTree(vectors).query_pairs(high, output_type="ndarray")
    distance = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)
    chosen = pairs[distance >= low]
    return chosen[:, 0], chosen[:, 1]
