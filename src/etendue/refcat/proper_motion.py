"""Move catalog positions to another epoch."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.sphere import sky_position, unit_vector

_DAYS_PER_YEAR = 365.25
_RAD_PER_MAS = np.pi / 180.0 / 3.6e6


def apply_proper_motion(
    ra_deg: ArrayLike, dec_deg: ArrayLike, pmra_mas: ArrayLike, pmdec_mas: ArrayLike, days: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move positions along straight lines in space (no parallax, no radial velocity).

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions [deg].
    pmra_mas, pmdec_mas : array_like, shape (n,)
        Proper motions, the first times the cosine of the declination [mas/yr]; NaN counts as 0.
    days : array_like, shape (n,)
        New epoch minus old one [d]; NaN counts as 0.

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions at the new epoch [deg].

    Notes
    -----
    ESA 1997, The Hipparcos Catalogue, volume 1, equation 1.5.5 without its radial term.
    """
    years = np.nan_to_num(np.asarray(days, float)) / _DAYS_PER_YEAR
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    shift_east = np.nan_to_num(np.asarray(pmra_mas, float)) * years * _RAD_PER_MAS
    shift_north = np.nan_to_num(np.asarray(pmdec_mas, float)) * years * _RAD_PER_MAS
    vector = unit_vector(ra_deg, dec_deg)
    moved_ra, moved_dec = sky_position(vector + shift_east[..., None] * east + shift_north[..., None] * north)
    still = (shift_east == 0.0) & (shift_north == 0.0)
    # Stars that do not move keep their exact numbers.
    return np.where(still, np.asarray(ra_deg, float), moved_ra), np.where(still, np.asarray(dec_deg, float), moved_dec)
