"""Directions, separations and the gnomonic projection on the celestial sphere."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def unit_vector(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Return unit vectors of sky positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (...)
        Positions [deg].

    Returns
    -------
    ndarray, float64, shape (..., 3)
        x towards RA 0, z towards the north pole.
    """
    ra, dec = np.broadcast_arrays(np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float)))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def sky_position(vector: ArrayLike) -> Points:
    """Return the sky positions of vectors of any length.

    Parameters
    ----------
    vector : array_like, shape (..., 3)
        Directions.

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (...)
        ``0 <= ra_deg < 360`` [deg].
    """
    v = np.asarray(vector, float)
    ra = np.degrees(np.arctan2(v[..., 1], v[..., 0]))
    return _wrapped(ra), np.degrees(np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1])))


def separation_deg(
    ra1_deg: ArrayLike, dec1_deg: ArrayLike, ra2_deg: ArrayLike, dec2_deg: ArrayLike
) -> NDArray[np.float64]:
    """Return angles between positions, accurate at all separations (Vincenty's formula).

    Parameters
    ----------
    ra1_deg, dec1_deg, ra2_deg, dec2_deg : array_like
        Positions [deg], of broadcastable shapes.

    Returns
    -------
    ndarray, float64
        Separation, 0 to 180 [deg].
    """
    ra1, dec1, ra2, dec2 = (np.radians(np.asarray(a, float)) for a in (ra1_deg, dec1_deg, ra2_deg, dec2_deg))
    delta = ra2 - ra1
    east = np.cos(dec2) * np.sin(delta)
    north = np.cos(dec1) * np.sin(dec2) - np.sin(dec1) * np.cos(dec2) * np.cos(delta)
    along = np.sin(dec1) * np.sin(dec2) + np.cos(dec1) * np.cos(dec2) * np.cos(delta)
    return np.degrees(np.arctan2(np.hypot(east, north), along))


def offset(ra_deg: ArrayLike, dec_deg: ArrayLike, position_angle_deg: ArrayLike, distance_deg: ArrayLike) -> Points:
    """Move along great circles.

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Start [deg].
    position_angle_deg : array_like
        Direction at the start, from north through east [deg].
    distance_deg : array_like
        Length of the arc [deg].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64
        End [deg].
    """
    ra, dec, angle, arc = (
        np.radians(np.asarray(a, float)) for a in (ra_deg, dec_deg, position_angle_deg, distance_deg)
    )
    sin_dec = np.sin(dec) * np.cos(arc) + np.cos(dec) * np.sin(arc) * np.cos(angle)
    east = np.sin(arc) * np.sin(angle)
    along = np.cos(dec) * np.cos(arc) - np.sin(dec) * np.sin(arc) * np.cos(angle)
    new_ra = ra + np.arctan2(east, along)
    return _wrapped(np.degrees(new_ra)), np.degrees(np.arctan2(sin_dec, np.hypot(east, along)))


def tangent_plane(ra_deg: ArrayLike, dec_deg: ArrayLike, ra0_deg: ArrayLike, dec0_deg: ArrayLike) -> Points:
    """Project positions on the tangent plane at ``ra0_deg, dec0_deg``.

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Positions [deg].
    ra0_deg, dec0_deg : array_like
        Tangent points [deg].

    Returns
    -------
    xi_deg, eta_deg : ndarray, float64
        Standard coordinates, east and north [deg]; NaN at 90 deg from the tangent point or farther.
    """
    delta = np.radians(np.asarray(ra_deg, float) - np.asarray(ra0_deg, float))
    dec, dec0 = np.radians(np.asarray(dec_deg, float)), np.radians(np.asarray(dec0_deg, float))
    along = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(delta)
    scale = np.degrees(1.0) / np.where(along > 1e-12, along, np.nan)
    north = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(delta)
    return np.cos(dec) * np.sin(delta) * scale, north * scale


def tangent_plane_inverse(xi_deg: ArrayLike, eta_deg: ArrayLike, ra0_deg: ArrayLike, dec0_deg: ArrayLike) -> Points:
    """Return positions of points on the tangent plane at ``ra0_deg, dec0_deg``.

    Parameters
    ----------
    xi_deg, eta_deg : array_like
        Standard coordinates [deg].
    ra0_deg, dec0_deg : array_like
        Tangent points [deg].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64
        Positions, ``0 <= ra_deg < 360`` [deg].
    """
    xi, eta = np.radians(np.asarray(xi_deg, float)), np.radians(np.asarray(eta_deg, float))
    dec0 = np.radians(np.asarray(dec0_deg, float))
    along = np.cos(dec0) - eta * np.sin(dec0)
    ra = np.asarray(ra0_deg, float) + np.degrees(np.arctan2(xi, along))
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, along))
    return _wrapped(ra), np.degrees(dec)


def tangent_plane_inverse_jacobian(xi_deg: ArrayLike, eta_deg: ArrayLike, dec0_deg: float) -> NDArray[np.float64]:
    """Return the derivative of sky position with respect to standard coordinates.

    Parameters
    ----------
    xi_deg, eta_deg : array_like, shape (...)
        Standard coordinates [deg].
    dec0_deg : float
        Declination of the tangent point [deg].

    Returns
    -------
    ndarray, float64, shape (..., 2, 2)
        d(east, north)/d(xi, eta), where east and north are along the axes at the point itself.
        At a pole, east and north are those of the meridian ``xi = 0``.
    """
    xi, eta = np.radians(np.asarray(xi_deg, float)), np.radians(np.asarray(eta_deg, float))
    sin0, cos0 = np.sin(np.radians(dec0_deg)), np.cos(np.radians(dec0_deg))
    along, height = cos0 - eta * sin0, sin0 + eta * cos0
    axis = np.hypot(xi, along)
    at_pole = axis == 0.0
    safe = np.where(at_pole, 1.0, axis)
    sin_ra, cos_ra = np.where(at_pole, 0.0, xi / safe), np.where(at_pole, 1.0, along / safe)
    square = 1.0 + xi**2 + eta**2
    east = np.stack([cos_ra, sin_ra * sin0], axis=-1) / np.sqrt(square)[..., None]
    north = np.stack([-height * sin_ra, axis * cos0 + height * cos_ra * sin0], axis=-1) / square[..., None]
    return np.stack([east, north], axis=-2)


def _wrapped(ra_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring right ascensions to [0, 360): the remainder of a tiny negative number is 360 itself."""
    wrapped = np.remainder(ra_deg, 360.0)
    return np.where(wrapped >= 360.0, 0.0, wrapped)
