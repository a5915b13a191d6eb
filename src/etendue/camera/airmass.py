"""Airmass from altitude, or from position, time and site."""

import numpy as np

from etendue.camera.camera import Observatory
from etendue.geom.earth import sidereal_deg


def airmass_of_altitude(altitude_deg: float) -> float:
    """Return the airmass by the formula of Pickering (2002, DIO 12, 20).

    Parameters
    ----------
    altitude_deg : float
        Altitude above the horizon [deg].

    Returns
    -------
    float
        Airmass; NaN at or below the horizon.
    """
    if not altitude_deg > 0.0:
        return float("nan")
    return float(1.0 / np.sin(np.radians(altitude_deg + 244.0 / (165.0 + 47.0 * altitude_deg**1.1))))


def altitude_of(ra_deg: float, dec_deg: float, mjd_utc: float, site: Observatory) -> float:
    """Return the altitude of a position, without refraction, precession and UT1 (to about 0.3 deg).

    Parameters
    ----------
    ra_deg, dec_deg : float
        Position [deg].
    mjd_utc : float
        Time [day, UTC].
    site : Observatory
        Observing site.

    Returns
    -------
    float
        Altitude [deg].
    """
    hour_angle = np.radians(sidereal_deg(mjd_utc, site.longitude_deg) - ra_deg)
    dec, latitude = np.radians([dec_deg, site.latitude_deg])
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    return float(np.degrees(np.arcsin(sine)))
