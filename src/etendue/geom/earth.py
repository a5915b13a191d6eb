"""Where an observatory is in space, relative to the centre of the Earth."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EQUATORIAL_RADIUS_KM = 6378.137
_FLATTENING = 1.0 / 298.257223563
_AU_KM = 149597870.7
_TAI_MINUS_UTC_DAYS = 37.0 / 86400.0  # since 2017; UT1 is within 0.9 s of UTC, which moves an observer by 0.4 km


def geocentric_position_au(
    *, mjd_tai: ArrayLike, longitude_deg: float, latitude_deg: float, elevation_m: float
) -> NDArray[np.float64]:
    """Return the position of an observer relative to the geocentre, along ICRS axes.

    Precession since J2000 (0.3 deg in 2020) is left out, which is 0.5% of a diurnal parallax.

    Parameters
    ----------
    mjd_tai : array_like, shape (n,)
        Times [d].
    longitude_deg, latitude_deg : float
        Geodetic coordinates on WGS84, longitude positive to the east [deg].
    elevation_m : float
        Height above the ellipsoid [m].

    Returns
    -------
    ndarray, float64, shape (n, 3)
        Position [au].
    """
    latitude = np.radians(latitude_deg)
    eccentricity2 = _FLATTENING * (2.0 - _FLATTENING)
    curvature_km = _EQUATORIAL_RADIUS_KM / np.sqrt(1.0 - eccentricity2 * np.sin(latitude) ** 2)
    from_axis = (curvature_km + elevation_m / 1e3) * np.cos(latitude)
    from_equator = (curvature_km * (1.0 - eccentricity2) + elevation_m / 1e3) * np.sin(latitude)
    sidereal = np.radians(sidereal_deg(np.asarray(mjd_tai, float) - _TAI_MINUS_UTC_DAYS, longitude_deg))
    x, y = from_axis * np.cos(sidereal), from_axis * np.sin(sidereal)
    return np.stack([x, y, np.full_like(x, from_equator)], axis=-1) / _AU_KM


def sidereal_deg(mjd_utc: ArrayLike, longitude_deg: float) -> NDArray[np.float64]:
    """Return the local sidereal time, UTC taken as UT1, without the quadratic term.

    Parameters
    ----------
    mjd_utc : array_like
        Time [day, UTC].
    longitude_deg : float
        Longitude, positive East [deg].

    Returns
    -------
    ndarray, float64
        Sidereal time, whole turns included [deg].

    References
    ----------
    Explanatory Supplement to the Astronomical Almanac (1992), eq. 2.24-1.
    """
    return np.asarray(280.46061837 + 360.98564736629 * (np.asarray(mjd_utc, float) - 51544.5) + longitude_deg)
