"""Numbers of stars and galaxies as others have counted them, to hold a simulated sky against."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

STAR_COUNTS = {
    20: (2.781, 3.089, 3.363, 3.612, 3.845, 4.057, 4.236, 4.382, 4.510, 4.633),
    30: (2.591, 2.875, 3.124, 3.349, 3.559, 3.748, 3.909, 4.046, 4.168, 4.286),
    60: (2.209, 2.458, 2.673, 2.869, 3.052, 3.226, 3.389, 3.538, 3.665, 3.772),
    90: (2.110, 2.347, 2.553, 2.744, 2.924, 3.092, 3.245, 3.382, 3.500, 3.604),
}
"""Logarithm of stars per square degree brighter than V = 15, 16 ... 24 by Galactic latitude, means over longitude
(Allen's Astrophysical Quantities, 4th edition, 2000)."""

STAR_COUNT_MAGS = np.arange(15.0, 25.0)
"""V magnitudes of `STAR_COUNTS`."""

CLUSTERING_MAGS = (20.4, 21.4)
"""Range in i of the galaxies of `galaxy_correlation`: 21 to 22 in r."""

_GALAXIES_25 = 46.0 * 3600.0  # brighter than i = 25, per square degree
_GALAXY_SLOPE = 0.31
_CORRELATION_ARCMIN, _CORRELATION_SLOPE = 0.07, 0.7


def star_counts(latitude_deg: float) -> tuple[Vector, Vector]:
    """Return numbers of stars per magnitude in V.

    Parameters
    ----------
    latitude_deg : float
        Galactic latitude; those below 20 deg have no counts [deg].

    Returns
    -------
    mag, count : ndarray, float64, shape (n,)
        Magnitude and stars per magnitude and square degree; none at low latitudes.
    """
    latitude = abs(latitude_deg)
    if latitude < min(STAR_COUNTS):
        return np.zeros(0), np.zeros(0)
    rows = np.array(list(STAR_COUNTS.values()))
    brighter = 10.0 ** np.array([np.interp(latitude, list(STAR_COUNTS), column) for column in rows.T])
    return 0.5 * (STAR_COUNT_MAGS[1:] + STAR_COUNT_MAGS[:-1]), np.diff(brighter)


def galaxy_counts_i() -> tuple[Vector, Vector]:
    """Return numbers of galaxies per magnitude in i (LSST Science Book, 2009, eq. 3.7).

    Returns
    -------
    mag, count : ndarray, float64, shape (n,)
        Magnitude 21 to 25.5, free of the Galaxy's dust, and galaxies per magnitude and square degree.
    """
    mag = np.linspace(21.0, 25.5, 10)
    return mag, _GALAXIES_25 * _GALAXY_SLOPE * np.log(10.0) * 10.0 ** (_GALAXY_SLOPE * (mag - 25.0))


def galaxy_correlation(separation_arcmin: Vector) -> Vector:
    """Return the angular correlation of galaxies of 21 < r < 22 (Connolly et al. 2002, ApJ 579, 42).

    Parameters
    ----------
    separation_arcmin : ndarray, float64, shape (n,)
        Separations; measured between 1 and 60 [arcmin].

    Returns
    -------
    ndarray, float64, shape (n,)
        A power law, 0.07 at one arcminute.
    """
    return np.asarray(_CORRELATION_ARCMIN * separation_arcmin**-_CORRELATION_SLOPE)
