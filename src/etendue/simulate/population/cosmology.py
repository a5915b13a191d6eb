"""Distances and volumes in a flat universe of matter and a cosmological constant."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

HUBBLE_KM_S_MPC = 70.0
"""Expansion rate today [km/s/Mpc]."""

MATTER = 0.3
"""Matter density today, in units of the critical one."""

_LIGHT_KM_S = 299792.458
_GRID: Vector = np.expm1(np.linspace(0.0, np.log(13.0), 4001))
_NEAREST = 1e-6


def _comoving() -> Vector:
    slowness = 1.0 / np.sqrt(MATTER * (1.0 + _GRID) ** 3 + 1.0 - MATTER)
    steps = 0.5 * (slowness[1:] + slowness[:-1]) * np.diff(_GRID)
    return np.concatenate([[0.0], np.cumsum(steps)]) * _LIGHT_KM_S / HUBBLE_KM_S_MPC


_DISTANCE: Vector = _comoving()


def comoving_mpc(redshift: Vector) -> Vector:
    """Return comoving distances.

    Parameters
    ----------
    redshift : ndarray, float64, shape (n,)
        0 to 12.

    Returns
    -------
    ndarray, float64, shape (n,)
        Distances, good to 1e-6 [Mpc].
    """
    return np.interp(redshift, _GRID, _DISTANCE)


def distance_modulus(redshift: Vector) -> Vector:
    """Return distance moduli of the luminosity distance.

    Parameters
    ----------
    redshift : ndarray, float64, shape (n,)
        0 to 12.

    Returns
    -------
    ndarray, float64, shape (n,)
        Moduli [mag].
    """
    z = np.maximum(redshift, _NEAREST)
    return 5.0 * np.log10(comoving_mpc(z) * (1.0 + z)) + 25.0


def events_seen(rate_per_gpc3_year: float, evolution: float, largest: float) -> tuple[Vector, Vector]:
    """Return how many events a year of all sky holds, below each redshift.

    Parameters
    ----------
    rate_per_gpc3_year : float
        Rate at redshift 0 per comoving volume and proper time.
    evolution : float
        It goes as ``(1 + redshift)`` to this power.
    largest : float
        Largest redshift.

    Returns
    -------
    redshift, events : ndarray, float64, shape (400,)
        Ascending redshifts from 0, and the number of events nearer than each, per observed year.
    """
    z = np.linspace(0.0, largest, 400)
    shell = np.diff(4.0 / 3.0 * np.pi * (comoving_mpc(z) / 1e3) ** 3)
    middle = 0.5 * (z[1:] + z[:-1])
    return z, np.concatenate([[0.0], np.cumsum(rate_per_gpc3_year * shell * (1.0 + middle) ** (evolution - 1.0))])
