"""Where stars are at a moment: proper motion, radial motion and parallax."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Observatory
from etendue.geom.sphere import sky_position, unit_vector
from etendue.simulate.population.observer import observe_from

Vector = NDArray[np.float64]

EPOCH_MJD_TAI = 57388.5
"""Epoch of catalog positions: J2016.0, as Gaia's [day]."""

KM_S_PER_AU_YEAR = 4.740470463533349
"""One astronomical unit per Julian year [km/s]."""

_DAYS_PER_YEAR = 365.25
_MAS = np.pi / 180.0 / 3.6e6


def tangents(ra_deg: Vector, dec_deg: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors along the parallel and the meridian.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions [deg].

    Returns
    -------
    east, north : ndarray, float64, shape (n, 3)
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    zero = np.zeros_like(ra)
    east = np.stack([-np.sin(ra), np.cos(ra), zero], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    return east, north


def positions_at(
    mjd_tai: float,
    site: Observatory | None,
    *,
    ra_deg: Vector,
    dec_deg: Vector,
    parallax_mas: Vector,
    pm_ra: Vector,
    pm_dec: Vector,
    radial_velocity: Vector,
) -> tuple[Vector, Vector]:
    """Return directions at a moment of stars that move uniformly in space.

    Parameters
    ----------
    mjd_tai : float
        Time [day].
    site : Observatory or None
        Where the observer stands; None for the centre of the Earth.
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions at J2016.0 as seen from the Solar System's barycentre [deg].
    parallax_mas : ndarray, float64, shape (n,)
        Parallaxes [mas].
    pm_ra, pm_dec : ndarray, float64, shape (n,)
        Proper motions along the parallel and the meridian [mas/yr].
    radial_velocity : ndarray, float64, shape (n,)
        Radial velocities [km/s].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Directions at the moment; no aberration, no refraction [deg].
    """
    years = (mjd_tai - EPOCH_MJD_TAI) / _DAYS_PER_YEAR
    observer = observe_from(mjd_tai, site).barycentric_au
    east, north = tangents(ra_deg, dec_deg)
    outwards = 1.0 + radial_velocity * parallax_mas * _MAS / KM_S_PER_AU_YEAR * years
    moved = unit_vector(ra_deg, dec_deg) * outwards[:, None]
    moved += east * (pm_ra * (_MAS * years))[:, None] + north * (pm_dec * (_MAS * years))[:, None]
    return sky_position(moved - (parallax_mas * _MAS)[:, None] * observer)


class MotionBound:
    """How far any of some stars can be from its catalog position.

    Parameters
    ----------
    parallax_mas, pm_ra, pm_dec : ndarray, float64, shape (n,)
        Parallaxes [mas] and proper motions [mas/yr].
    """

    def __init__(self, parallax_mas: Vector, pm_ra: Vector, pm_dec: Vector):
        self._parallax = float(np.max(parallax_mas, initial=0.0))
        self._speed = float(np.max(np.hypot(pm_ra, pm_dec), initial=0.0))

    def at(self, mjd_tai: float) -> float:
        """Return the largest distance at a time.

        Parameters
        ----------
        mjd_tai : float
            Time [day].

        Returns
        -------
        float
            Angle, with a tenth to spare for perspective and the Earth's way about the barycentre [deg].
        """
        years = abs(mjd_tai - EPOCH_MJD_TAI) / _DAYS_PER_YEAR
        return 1.1 * (self._speed * years + self._parallax) / 3.6e6
