"""Colours and effective wavelengths of black bodies in a bandpass, from a table over temperature."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.bandpass import Bandpass

Vector = NDArray[np.float64]

_HC_OVER_K_NM_K = 1.438776877e7
_LOG_T = np.linspace(np.log(1000.0), np.log(2e5), 400)
_AB_ZERO_CGS = 3.631e-20  # erg/s/cm2/Hz
_TWO_H_OVER_C2 = 1.4745e-47  # 2 h / c**2 [g s]
_C_NM_S = 2.99792458e17


def planck(wavelength_nm: NDArray[np.float64], temperature_k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Planck's spectrum per frequency.

    Parameters
    ----------
    wavelength_nm, temperature_k : ndarray, float64
        Wavelengths [nm] and temperatures [K], of broadcastable shapes.

    Returns
    -------
    ndarray, float64
        ``B_nu`` [erg/s/cm2/Hz/sr].
    """
    nu = _C_NM_S / wavelength_nm
    return _TWO_H_OVER_C2 * nu**3 / np.expm1(np.minimum(_HC_OVER_K_NM_K / (wavelength_nm * temperature_k), 700.0))


def blackbody_mag(bandpass: Bandpass, temperature_k: Vector) -> Vector:
    """Return the AB magnitude of black bodies that fill one steradian.

    Parameters
    ----------
    bandpass : Bandpass
        Light that is collected.
    temperature_k : ndarray, float64, shape (...)
        Temperatures, 1000 to 200,000; beyond that the ends hold [K].

    Returns
    -------
    ndarray, float64, shape (...)
        Interpolated in log temperature to better than 1e-4 [mag].
    """
    return np.interp(np.log(temperature_k), _LOG_T, _table(bandpass)[0])


def monochromatic_mag(wavelength_nm: float, temperature_k: Vector) -> Vector:
    """Return the AB magnitude at one wavelength of black bodies that fill one steradian.

    Parameters
    ----------
    wavelength_nm : float
        Wavelength [nm].
    temperature_k : ndarray, float64, shape (...)
        Temperatures [K].

    Returns
    -------
    ndarray, float64, shape (...)
        Magnitudes [mag].
    """
    return -2.5 * np.log10(planck(np.array(wavelength_nm), temperature_k) / _AB_ZERO_CGS)


def effective_wavelength_nm(bandpass: Bandpass, temperature_k: Vector) -> Vector:
    """Return the mean wavelength of the electrons that black bodies make.

    Parameters
    ----------
    bandpass : Bandpass
        Light that is collected.
    temperature_k : ndarray, float64, shape (...)
        Temperatures [K].

    Returns
    -------
    ndarray, float64, shape (...)
        Wavelengths [nm].
    """
    return np.interp(np.log(temperature_k), _LOG_T, _table(bandpass)[1])


@lru_cache(maxsize=64)
def _table(bandpass: Bandpass) -> tuple[Vector, Vector]:
    wave, through = bandpass.wavelength_nm, bandpass.throughput
    photons = planck(wave[None, :], np.exp(_LOG_T)[:, None]) * through / wave
    total: Vector = np.asarray(np.trapezoid(photons, wave, axis=1))
    flat = float(np.trapezoid(through / wave, wave))
    mean: Vector = np.asarray(np.trapezoid(photons * wave, wave, axis=1)) / total
    return -2.5 * np.log10(total / flat / _AB_ZERO_CGS), mean
