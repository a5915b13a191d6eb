"""Times of light curves: UTC, and TDB at the barycentre of the solar system."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.earth import geocentric_position_au
from etendue.geom.sphere import unit_vector

_LIGHT_DAYS_PER_AU = 499.004783836 / 86400.0
_MJD_ZERO = 2400000.5


def mjd_utc(mjd_tai: ArrayLike) -> NDArray[np.float64]:
    """Return UTC of TAI times; nothing is downloaded.

    Parameters
    ----------
    mjd_tai : array_like, shape (n,)
        Times [d].

    Returns
    -------
    ndarray, float64, shape (n,)
        MJD (UTC) [d].
    """
    return _convert(np.asarray(mjd_tai, float), "utc")


def bjd_tdb(
    mjd_tai: ArrayLike, *, ra_deg: ArrayLike, dec_deg: ArrayLike, longitude_deg: float = float("nan"),
    latitude_deg: float = float("nan"), elevation_m: float = 0.0,
) -> NDArray[np.float64]:  # fmt: skip
    """Return when light would have reached the barycentre of the solar system.

    The Earth is where astropy's built-in ephemeris has it (good to some 10 km, 0.03 ms); the observer's place on it
    counts (21 ms at most) where the site is known. No curvature of the wave front, no Shapiro delay (0.1 ms).

    Parameters
    ----------
    mjd_tai : array_like, shape (n_times,)
        Times at the observatory [d].
    ra_deg, dec_deg : array_like, shape (n_stars,)
        Directions, ICRS [deg].
    longitude_deg, latitude_deg, elevation_m : float
        Site, longitude positive to the east; NaN for the centre of the Earth.

    Returns
    -------
    ndarray, float64, shape (n_times, n_stars)
        BJD (TDB) [d].

    References
    ----------
    Eastman, Siverd & Gaudi (2010, PASP 122, 935).
    """
    from astropy.coordinates import get_body_barycentric
    from astropy.time import Time
    from astropy.utils import iers

    tai = np.atleast_1d(np.asarray(mjd_tai, float))
    with warnings.catch_warnings(), iers.conf.set_temp("auto_download", False):
        warnings.simplefilter("ignore")  # "dubious year"
        time = Time(tai, format="mjd", scale="tai")
        tdb = np.asarray(time.tdb.mjd)
        earth = get_body_barycentric("earth", time, ephemeris="builtin").xyz.to_value("au").T
    if np.isfinite(longitude_deg + latitude_deg):
        earth = earth + geocentric_position_au(
            mjd_tai=tai, longitude_deg=longitude_deg, latitude_deg=latitude_deg, elevation_m=elevation_m
        )
    stars = unit_vector(np.atleast_1d(ra_deg), np.atleast_1d(dec_deg))
    return np.asarray(_MJD_ZERO + tdb[:, None] + (earth @ stars.T) * _LIGHT_DAYS_PER_AU)


def _convert(mjd_tai: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    from astropy.time import Time
    from astropy.utils import iers

    with warnings.catch_warnings(), iers.conf.set_temp("auto_download", False):
        warnings.simplefilter("ignore")  # "dubious year"
        return np.asarray(getattr(Time(mjd_tai, format="mjd", scale="tai"), scale).mjd)
