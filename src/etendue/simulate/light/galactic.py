"""Galactic coordinates."""

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import sky_position, unit_vector

Vector = NDArray[np.float64]

_POLE_RA, _POLE_DEC, _NODE = 192.85948, 27.12825, 122.93192  # ESA (1997), The Hipparcos Catalogue, vol. 1, 1.5.3


def _rotation() -> NDArray[np.float64]:
    pole = unit_vector(_POLE_RA, _POLE_DEC)
    to_north = unit_vector(0.0, 90.0) - np.sin(np.radians(_POLE_DEC)) * pole
    to_north /= np.linalg.norm(to_north)
    sideways = np.cross(pole, to_north)
    node = np.radians(_NODE)
    x = np.cos(node) * to_north - np.sin(node) * sideways
    return np.stack([x, np.cross(pole, x), pole])


EQUATORIAL_TO_GALACTIC: NDArray[np.float64] = _rotation()
"""Matrix that takes ICRS vectors to the Galaxy's axes: the centre, the direction of rotation, the north pole."""


def to_galactic(ra_deg: Vector, dec_deg: Vector) -> tuple[Vector, Vector]:
    """Return Galactic coordinates.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        ICRS positions [deg].

    Returns
    -------
    l_deg, b_deg : ndarray, float64, shape (n,)
        Longitude, 0 to 360, and latitude [deg].
    """
    return sky_position(unit_vector(ra_deg, dec_deg) @ EQUATORIAL_TO_GALACTIC.T)


def from_galactic(l_deg: Vector, b_deg: Vector) -> tuple[Vector, Vector]:
    """Return ICRS positions of Galactic coordinates.

    Parameters
    ----------
    l_deg, b_deg : ndarray, float64, shape (n,)
        Longitude and latitude [deg].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions [deg].
    """
    return sky_position(unit_vector(l_deg, b_deg) @ EQUATORIAL_TO_GALACTIC)
