"""Sun, moon and the turning sky over a site, good enough to plan nights."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.camera.camera import Observatory
from etendue.geom.earth import sidereal_deg

Vector = NDArray[np.float64]

_J2000 = 51544.5


class Horizontal(NamedTuple):
    """Where a direction stands over the horizon."""

    altitude_deg: Vector
    """Altitude [deg]."""

    parallactic_deg: Vector
    """Position angle of the zenith, from north through east [deg]."""


def sun_position(mjd: ArrayLike) -> tuple[Vector, Vector]:
    """Return right ascension and declination of the sun to 0.02 deg (Meeus 1998, chapter 25, low accuracy).

    Parameters
    ----------
    mjd : array_like
        Time, any scale [day].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64
        Of date [deg].
    """
    day = np.asarray(mjd, float) - _J2000
    anomaly = np.radians(357.529 + 0.98560028 * day)
    longitude = np.radians(280.459 + 0.98564736 * day + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly))
    return _equatorial(longitude, np.zeros_like(longitude), day)


def moon_position(mjd: ArrayLike) -> tuple[Vector, Vector]:
    """Return right ascension and declination of the moon's centre to 0.3 deg, without parallax (Meeus 1998, ch. 47).

    Parameters
    ----------
    mjd : array_like
        Time, any scale [day].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64
        Of date [deg].
    """
    day = np.asarray(mjd, float) - _J2000
    moon, sun = np.radians(134.963 + 13.064993 * day), np.radians(357.529 + 0.98560028 * day)
    elongation, node = np.radians(297.850 + 12.190749 * day), np.radians(93.272 + 13.229350 * day)
    longitude = np.radians(218.316 + 13.176396 * day) + np.radians(
        6.289 * np.sin(moon)
        + 1.274 * np.sin(2.0 * elongation - moon)
        + 0.658 * np.sin(2.0 * elongation)
        + 0.214 * np.sin(2.0 * moon)
        - 0.186 * np.sin(sun)
        - 0.114 * np.sin(2.0 * node)
    )
    latitude = np.radians(
        5.128 * np.sin(node) + 0.281 * np.sin(moon + node) + 0.278 * np.sin(moon - node)
        + 0.173 * np.sin(2.0 * elongation - node)
    )  # fmt: skip
    return _equatorial(longitude, latitude, day)


def horizontal(ra_deg: ArrayLike, dec_deg: ArrayLike, mjd_utc: ArrayLike, site: Observatory) -> Horizontal:
    """Return where directions stand over the horizon of a site, without refraction.

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Directions [deg].
    mjd_utc : array_like
        Time [day].
    site : Observatory
        The site.

    Returns
    -------
    Horizontal
    """
    hour_angle, dec = np.radians(sidereal_deg(mjd_utc, site.longitude_deg) - np.asarray(ra_deg)), np.radians(dec_deg)
    latitude = np.radians(site.latitude_deg)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    toward = np.arctan2(
        np.sin(hour_angle) * np.cos(latitude),
        np.sin(latitude) * np.cos(dec) - np.cos(latitude) * np.sin(dec) * np.cos(hour_angle),
    )
    return Horizontal(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))), np.degrees(toward))


def _equatorial(longitude: Vector, latitude: Vector, day: Vector) -> tuple[Vector, Vector]:
    tilt = np.radians(23.439 - 3.6e-7 * day)
    x = np.cos(latitude) * np.cos(longitude)
    y = np.cos(tilt) * np.cos(latitude) * np.sin(longitude) - np.sin(tilt) * np.sin(latitude)
    z = np.sin(tilt) * np.cos(latitude) * np.sin(longitude) + np.cos(tilt) * np.sin(latitude)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(z))
