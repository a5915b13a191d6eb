"""Where the zenith is, seen from a place on the sky."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.earth import sidereal_deg

_TAI_MINUS_UTC_DAYS = 37.0 / 86400.0  # since 2017; another second turns the sky by 15 arcsec

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def zenith_and_parallactic_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, *, mjd_tai: ArrayLike, longitude_deg: float, latitude_deg: float
) -> Pair:
    """Return zenith distances and parallactic angles, without refraction, precession and UT1 (to about 0.3 deg).

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Positions [deg].
    mjd_tai : array_like
        Times [d, TAI].
    longitude_deg, latitude_deg : float
        Site, longitude positive East [deg].

    Returns
    -------
    zenith_deg : ndarray, float64
        Zenith distances [deg].
    parallactic_deg : ndarray, float64
        Angles from north through east to the zenith, -180 to 180; positive west of the meridian for northern sites
        [deg].
    """
    mjd_utc = np.asarray(mjd_tai, np.float64) - _TAI_MINUS_UTC_DAYS
    hour_angle = np.radians(sidereal_deg(mjd_utc, longitude_deg) - np.asarray(ra_deg, np.float64))
    dec, latitude = np.radians(np.asarray(dec_deg, np.float64)), np.radians(latitude_deg)
    north = np.sin(latitude) * np.cos(dec) - np.cos(latitude) * np.sin(dec) * np.cos(hour_angle)
    east = np.cos(latitude) * np.sin(hour_angle)
    up = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    return np.degrees(np.arctan2(np.hypot(east, north), up)), np.degrees(np.arctan2(east, north))


def azimuth_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, *, mjd_tai: ArrayLike, longitude_deg: float, latitude_deg: float
) -> NDArray[np.float64]:
    """Return azimuths from north through east, 0 to 360 [deg], as good as `zenith_and_parallactic_deg`.

    Parameters
    ----------
    ra_deg, dec_deg, mjd_tai, longitude_deg, latitude_deg : array_like
        As in `zenith_and_parallactic_deg`.

    Returns
    -------
    ndarray, float64
    """
    mjd_utc = np.asarray(mjd_tai, np.float64) - _TAI_MINUS_UTC_DAYS
    hour_angle = np.radians(sidereal_deg(mjd_utc, longitude_deg) - np.asarray(ra_deg, np.float64))
    dec, latitude = np.radians(np.asarray(dec_deg, np.float64)), np.radians(latitude_deg)
    north = np.cos(latitude) * np.sin(dec) - np.sin(latitude) * np.cos(dec) * np.cos(hour_angle)
    return np.asarray(np.degrees(np.arctan2(-np.cos(dec) * np.sin(hour_angle), north)) % 360.0)


def toward_zenith(
    ra_deg: ArrayLike, dec_deg: ArrayLike, *, mjd_tai: ArrayLike, longitude_deg: float, latitude_deg: float
) -> Pair:
    """Return the vector along which refraction by colour moves sources, with the length ``tan z``.

    Parameters
    ----------
    ra_deg, dec_deg, mjd_tai, longitude_deg, latitude_deg : array_like
        As in `zenith_and_parallactic_deg`.

    Returns
    -------
    east, north : ndarray, float64
        ``tan z sin q`` and ``tan z cos q``; NaN below the horizon.
    """
    zenith, parallactic = zenith_and_parallactic_deg(
        ra_deg, dec_deg, mjd_tai=mjd_tai, longitude_deg=longitude_deg, latitude_deg=latitude_deg
    )
    length = np.where(zenith < 90.0, np.tan(np.radians(np.minimum(zenith, 89.9))), np.nan)
    return length * np.sin(np.radians(parallactic)), length * np.cos(np.radians(parallactic))
