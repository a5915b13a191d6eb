"""Sunlight reflected by small bodies: colours by spectral type."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.population.blackbody import effective_wavelength_nm

Vector = NDArray[np.float64]

TYPES = ("C", "S", "D", "R")
"""Spectral types: carbonaceous, stony, Trojan-like red, ultra-red of the trans-Neptunian region."""

_WAVE = np.array([320.0, 355.0, 468.0, 551.0, 616.0, 748.0, 893.0, 975.0, 1100.0])
# Sun in AB, absolute (Willmer 2018, ApJS 236, 47: SDSS ugriz, LSST y, Johnson V), held beyond.
_SUN_AB = np.array([6.80, 6.39, 5.11, 4.80, 4.65, 4.53, 4.50, 4.50, 4.50])
_SUN_V_AB_MINUS_VEGA = -0.02
# Reflectance relative to 551 nm, rounded from the mean SDSS colours of the types (Ivezic et al. 2001, AJ 122, 2749;
# DeMeo and Carry 2013, Icarus 226, 723); R goes up by 25% per 100 nm.
_REFLECTANCE = np.array(
    [
        [0.85, 0.88, 0.985, 1.0, 1.00, 1.00, 0.99, 0.99, 1.00],
        [0.65, 0.71, 0.90, 1.0, 1.07, 1.15, 1.08, 1.04, 1.08],
        [0.80, 0.84, 0.93, 1.0, 1.06, 1.18, 1.29, 1.35, 1.42],
        [0.50, 0.57, 0.80, 1.0, 1.16, 1.49, 1.83, 2.00, 2.20],
    ]
)
_SUN_K = 5772.0


def reflected_colour(bandpass: Bandpass, kind: NDArray[np.int64], tilt_per_100nm: Vector) -> Vector:
    """Return the AB magnitude in a band minus the V (Vega) magnitude that absolute magnitudes are in.

    The Sun is a straight line between seven broad bands, taken at the band's pivot: good to about 0.05 mag.

    Parameters
    ----------
    bandpass : Bandpass
        Band.
    kind : ndarray, int64, shape (n,)
        Place in `TYPES`.
    tilt_per_100nm : ndarray, float64, shape (n,)
        What an object's slope has beyond its type's.

    Returns
    -------
    ndarray, float64, shape (n,)
        Colour [mag].
    """
    pivot = bandpass.pivot_nm
    sun = float(np.interp(pivot, _WAVE, _SUN_AB)) - float(np.interp(551.0, _WAVE, _SUN_AB)) + _SUN_V_AB_MINUS_VEGA
    of_type = np.array([np.interp(pivot, _WAVE, row) for row in _REFLECTANCE])
    reflectance = of_type[kind] * np.maximum(1.0 + tilt_per_100nm * (pivot - 551.0) / 100.0, 0.1)
    return sun - 2.5 * np.log10(reflectance)


def sunlight_wavelength_nm(bandpass: Bandpass) -> float:
    """Return the effective wavelength of sunlight in a band [nm].

    Parameters
    ----------
    bandpass : Bandpass
        Band.

    Returns
    -------
    float
        Wavelength [nm].
    """
    return float(effective_wavelength_nm(bandpass, np.array(_SUN_K)))
