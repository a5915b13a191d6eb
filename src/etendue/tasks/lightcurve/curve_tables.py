"""Light curves as tables."""

import numpy as np
from numpy.typing import NDArray

from etendue.table.table import Table
from etendue.tasks.lightcurve.columns import reduce_frames
from etendue.tasks.lightcurve.light_curves import LightCurves
from etendue.tasks.lightcurve.times import bjd_tdb, mjd_utc

Real = NDArray[np.float64]

_SATURATED = 0.1
_BLENDED = 1.0
_COMPLETE = 0.5


def light_curve_table(curves: LightCurves, *, site: tuple[float, float, float]) -> Table:
    """Return one row per star and image on which it lies.

    Parameters
    ----------
    curves : LightCurves
        Of one series.
    site : tuple of float
        Longitude and latitude [deg] and height [m] of the observatory; NaN where unknown.

    Returns
    -------
    Table
        ``light_curve``, sorted by star and time.
    """
    series = curves.series
    star, frame = np.nonzero(np.isfinite(series.x).T)
    barycentric = bjd_tdb(
        series.mjd_tai, ra_deg=series.ra_deg, dec_deg=series.dec_deg, longitude_deg=site[0], latitude_deg=site[1],
        elevation_m=site[2],
    )  # fmt: skip
    return Table("light_curve", {
        "isolated_star_id": series.star_id[star], "visit": series.visit[frame],
        "detector": np.full(star.size, series.detector), "band": np.full(star.size, series.band),
        "ra": series.ra_deg[star], "dec": series.dec_deg[star],
        "midpointMjdTai": series.mjd_tai[frame], "mjdUtc": mjd_utc(series.mjd_tai)[frame],
        "bjdTdb": barycentric[frame, star], "airmass": series.airmass[frame], "fwhm": series.fwhm[frame],
        "sky": series.sky[frame, star], "x": series.x[frame, star], "y": series.y[frame, star],
        "deltaMag": curves.raw[frame, star], "deltaMagErr": curves.error[frame, star],
        "deltaMagDetrended": curves.detrended[frame, star], "usable": np.isfinite(curves.raw[frame, star]),
    })  # fmt: skip


def light_curve_star_table(curves: LightCurves, *, zero_point_mag: float) -> Table:
    """Return one row per star.

    Parameters
    ----------
    curves : LightCurves
        Of one series.
    zero_point_mag : float
        Magnitude of one electron per second on the scale of the images.

    Returns
    -------
    Table
        ``light_curve_star``.
    """
    series, found = curves.series, curves.variability
    n_frames, n_stars = series.shape
    usable = np.isfinite(curves.raw)
    with np.errstate(invalid="ignore"):
        snr = 1.0857362 / curves.error
    total = curves.weight.sum(axis=1, keepdims=True)
    share = np.where(total > 0.0, curves.weight / np.where(total > 0.0, total, 1.0), 0.0)
    return Table("light_curve_star", {
        "isolated_star_id": series.star_id, "band": np.full(n_stars, series.band),
        "detector": np.full(n_stars, series.detector), "ra": series.ra_deg, "dec": series.dec_deg,
        "nImage": np.full(n_stars, n_frames), "nUsable": usable.sum(axis=0),
        "mag": curves.mean_mag + zero_point_mag, "snr": reduce_frames(np.nanmedian, snr),
        "apertureRadius": series.radii[curves.aperture], "isComparison": curves.weight.any(axis=0),
        "comparisonWeight": share.mean(axis=0), "rms": reduce_frames(np.nanstd, curves.raw),
        "rmsRobust": 1.4826 * reduce_frames(np.nanmedian, np.abs(curves.raw)),
        "rmsDetrended": reduce_frames(np.nanstd, curves.detrended), "rmsExpected": found.rms_expected,
        "nTrend": (curves.trends.amplitude != 0.0).sum(axis=0), "chi2PerDof": found.chi2_per_dof,
        "stetsonJ": found.stetson_j, "dipSnr": found.dip_snr, "vonNeumann": found.von_neumann,
        "significance": found.significance,
        "confirmedFraction": found.confirmed_fraction, "period": found.period_d,
        "periodFalseAlarm": found.false_alarm, "isVariable": found.is_variable,
        "flag_saturated": series.saturated.sum(axis=0) > _SATURATED * np.isfinite(series.x).sum(axis=0),
        "flag_blended": series.n_neighbours >= _BLENDED, "flag_incomplete": usable.sum(axis=0) < _COMPLETE * n_frames,
    })  # fmt: skip
