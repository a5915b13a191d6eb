"""Refraction of light in the air, by wavelength."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ARCSEC = 206264.80624709636
_TORR_PER_HPA = 0.750061683


def refractivity(
    wavelength_nm: ArrayLike, *, pressure_hpa: float, temperature_c: float, relative_humidity: float = 0.0
) -> NDArray[np.float64]:
    """Return the refractive index of air minus one.

    Parameters
    ----------
    wavelength_nm : array_like
        Wavelengths, about 300 to 1100 [nm].
    pressure_hpa : float
        Pressure at the telescope, not reduced to sea level [hPa].
    temperature_c : float
        Temperature of the air [C].
    relative_humidity : float
        Between 0 and 1.

    Returns
    -------
    ndarray, float64

    Notes
    -----
    Filippenko 1982, PASP 94, 715, equations 1 to 3 (Edlen 1953, Barrell 1951); the vapour pressure is Magnus' formula
    with the coefficients of WMO-No. 8.
    """
    wave = (np.asarray(wavelength_nm, np.float64) / 1000.0) ** -2
    torr = pressure_hpa * _TORR_PER_HPA
    expansion = 1.0 + 0.003661 * temperature_c
    density = torr * (1.0 + (1.049 - 0.0157 * temperature_c) * 1e-6 * torr) / (720.883 * expansion)
    dry = (64.328 + 29498.1 / (146.0 - wave) + 255.4 / (41.0 - wave)) * density
    vapour = relative_humidity * 6.112 * np.exp(17.62 * temperature_c / (243.12 + temperature_c)) * _TORR_PER_HPA
    return np.asarray(1e-6 * (dry - (0.0624 - 0.000680 * wave) * vapour / expansion))


def refraction_arcsec(
    wavelength_nm: ArrayLike,
    zenith_deg: ArrayLike,
    *,
    pressure_hpa: float,
    temperature_c: float,
    relative_humidity: float = 0.0,
) -> NDArray[np.float64]:
    """Return how far refraction moves sources towards the zenith, in a plane atmosphere.

    Parameters
    ----------
    wavelength_nm : array_like
        Wavelengths [nm].
    zenith_deg : array_like
        Zenith distances, below about 75 deg [deg].
    pressure_hpa, temperature_c, relative_humidity : float
        Air at the telescope [hPa], [C], 0 to 1.

    Returns
    -------
    ndarray, float64
        ``(n - 1) tan z`` [arcsec]; the differences between wavelengths are what matters.
    """
    index = refractivity(
        wavelength_nm, pressure_hpa=pressure_hpa, temperature_c=temperature_c, relative_humidity=relative_humidity
    )
    return np.asarray(index * _ARCSEC * np.tan(np.radians(np.asarray(zenith_deg, np.float64))))
