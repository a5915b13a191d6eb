"""Differential chromatic refraction of the atmosphere."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.simulate.night.planned_exposure import PlannedExposure

Vector = NDArray[np.float64]

_ARCSEC = 206264.80625


def refraction_arcsec(
    wavelength_nm: ArrayLike, zenith_deg: float, *, pressure_hpa: float = 740.0, temperature_c: float = 10.0
) -> Vector:
    """Return the refraction towards the zenith in a plane atmosphere (Filippenko 1982, PASP 94, 715; Edlen 1953).

    Parameters
    ----------
    wavelength_nm : array_like
        Wavelengths [nm].
    zenith_deg : float
        Zenith distance, below about 75 deg [deg].
    pressure_hpa, temperature_c : float
        Air at the telescope [hPa, C].

    Returns
    -------
    ndarray, float64
        ``(n - 1) tan z`` [arcsec].
    """
    wave = (np.asarray(wavelength_nm, float) / 1000.0) ** -2
    standard = 64.328 + 29498.1 / (146.0 - wave) + 255.4 / (41.0 - wave)
    torr = pressure_hpa * 0.750062
    local = torr * (1.0 + (1.049 - 0.0157 * temperature_c) * 1e-6 * torr) / (720.883 * (1.0 + 0.003661 * temperature_c))
    return np.asarray(standard * local * 1e-6 * _ARCSEC * np.tan(np.radians(zenith_deg)))


def colour_shift_arcsec(wavelength_nm: Vector, reference_nm: float, exposure: PlannedExposure) -> tuple[Vector, Vector]:
    """Return how far the air moves sources of other colours than the reference.

    Parameters
    ----------
    wavelength_nm : ndarray, float64, shape (n,)
        Effective wavelengths of the sources [nm].
    reference_nm : float
        Wavelength that is not moved [nm].
    exposure : PlannedExposure
        Zenith distance and parallactic angle.

    Returns
    -------
    east, north : ndarray, float64, shape (n,)
        Shifts on the sky [arcsec]; bluer sources move towards the zenith.
    """
    toward = refraction_arcsec(wavelength_nm, exposure.zenith_deg) - refraction_arcsec(
        reference_nm, exposure.zenith_deg
    )
    angle = np.radians(exposure.parallactic_deg)
    return toward * np.sin(angle), toward * np.cos(angle)
