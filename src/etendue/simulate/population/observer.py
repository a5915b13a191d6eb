"""Where the Sun, the Earth and the telescope are.

The Earth comes from the analytic series `epv00` of ERFA (Simon et al. 1994, fitted to DE405): heliocentric positions
within 13.4 km (9e-8 au) of DE405 from 1900 to 2100; nothing is downloaded. UT1 is taken as UTC (within 0.9 s, so
within 0.42 km at the telescope) and polar motion (10 m) is left out.
"""

from dataclasses import dataclass

import erfa
import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.camera.camera import Observatory

Vector = NDArray[np.float64]

AU_KM = 149597870.7
LIGHT_DAYS_PER_AU = 499.00478383615643 / 86400.0
_MJD0 = 2400000.5
_TT_MINUS_TAI = 32.184 / 86400.0
_TURNS_PER_DAY = 1.00273781191135448


@dataclass(frozen=True, slots=True, eq=False)
class Observer:
    """The telescope at one or many times; ICRS axes.

    Parameters
    ----------
    position_au, velocity_au_day : ndarray, float64, shape (..., 3)
        Relative to the Sun.
    geocentric_au : ndarray, float64, shape (..., 3)
        Position relative to the centre of the Earth.
    sun_velocity_au_day : ndarray, float64, shape (..., 3)
        Velocity of the Sun relative to the barycentre.
    barycentric_au : ndarray, float64, shape (..., 3)
        Position relative to the barycentre of the Solar System.
    """

    position_au: Vector
    velocity_au_day: Vector
    geocentric_au: Vector
    sun_velocity_au_day: Vector
    barycentric_au: Vector


def tdb_of_tai(mjd_tai: ArrayLike) -> Vector:
    """Return TDB, taken as TT (within 2 ms).

    Parameters
    ----------
    mjd_tai : array_like
        Times [day].

    Returns
    -------
    ndarray, float64
        Times [day].
    """
    return np.asarray(mjd_tai, float) + _TT_MINUS_TAI


def utc_of_tai(mjd_tai: ArrayLike) -> Vector:
    """Return UTC; after the last leap second known to ERFA their number stays.

    Parameters
    ----------
    mjd_tai : array_like
        Times, not before 1972 [day].

    Returns
    -------
    ndarray, float64
        Times [day].
    """
    table = erfa.leap_seconds.get()
    table = table[table["year"] >= 1972]
    starts = np.array([erfa.cal2jd(row["year"], row["month"], 1)[1] for row in table])
    tai = np.asarray(mjd_tai, float)
    last = np.searchsorted(starts + table["tai_utc"] / 86400.0, tai, side="right") - 1
    return tai - table["tai_utc"][np.maximum(last, 0)] / 86400.0


def to_celestial(mjd_tai: ArrayLike) -> Vector:
    """Return rotations from the Earth's axes (ITRS) to the celestial ones (GCRS), IAU 2000B nutation (1 mas).

    Parameters
    ----------
    mjd_tai : array_like, shape (...)
        Times [day].

    Returns
    -------
    ndarray, float64, shape (..., 3, 3)
        ``celestial = matrix @ terrestrial``.
    """
    tt, ut1 = tdb_of_tai(mjd_tai), utc_of_tai(mjd_tai)
    matrix = erfa.c2t00b(_MJD0, tt, _MJD0, ut1, 0.0, 0.0)
    return np.swapaxes(matrix, -1, -2)


def observe_from(mjd_tai: ArrayLike, site: Observatory | None) -> Observer:
    """Return where the telescope is.

    Parameters
    ----------
    mjd_tai : array_like, shape (...)
        Times [day].
    site : Observatory or None
        Where the telescope stands; None is the centre of the Earth.

    Returns
    -------
    Observer
    """
    tai = np.asarray(mjd_tai, float)
    helio, bary = erfa.epv00(_MJD0, tdb_of_tai(tai))
    place, motion = _on_earth(tai, site)
    return Observer(
        position_au=helio["p"] + place,
        velocity_au_day=helio["v"] + motion,
        geocentric_au=place,
        sun_velocity_au_day=bary["v"] - helio["v"],
        barycentric_au=bary["p"] + place,
    )


def barycentric_delay_day(mjd_tai: float, ra_deg: Vector, dec_deg: Vector) -> Vector:
    """Return how much later a plane wave reaches the Earth than it passes the barycentre, with the sign turned.

    Parameters
    ----------
    mjd_tai : float
        Time at the Earth [day].
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Directions of the stars [deg].

    Returns
    -------
    ndarray, float64, shape (n,)
        Roemer's delay, to be added to the Earth's time to get the barycentre's [day].
    """
    x, y, z = erfa.epv00(_MJD0, float(tdb_of_tai(mjd_tai)))[1]["p"]
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return (np.cos(dec) * (x * np.cos(ra) + y * np.sin(ra)) + z * np.sin(dec)) * LIGHT_DAYS_PER_AU


def _on_earth(mjd_tai: Vector, site: Observatory | None) -> tuple[Vector, Vector]:
    """Return position [au] and velocity [au/day] of a site relative to the geocentre."""
    if site is None:
        none = np.zeros((*mjd_tai.shape, 3))
        return none, none
    fixed = erfa.gd2gc(1, np.radians(site.longitude_deg), np.radians(site.latitude_deg), site.elevation_m)
    fixed = fixed / (AU_KM * 1e3)
    spin = 2.0 * np.pi * _TURNS_PER_DAY * np.array([-fixed[1], fixed[0], 0.0])
    matrix = to_celestial(mjd_tai)
    return matrix @ fixed, matrix @ spin
