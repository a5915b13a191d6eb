"""Long-exposure PSF of the air, as transfer functions."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gamma, j0, kv

Vector = NDArray[np.float64]

_RAD_ARCSEC = 180.0 * 3600.0 / np.pi
_KOLMOGOROV = 3.4421  # D(r) = 2 * 3.44 (r / r0)**(5/3); exp(-D / 2)
_FWHM_R0 = 0.9759  # FWHM of Kolmogorov's PSF in lambda / r0


def kolmogorov_transfer(frequency: Vector, fwhm_arcsec: float) -> Vector:
    """Return the transfer function of Kolmogorov turbulence (Fried 1966).

    Parameters
    ----------
    frequency : ndarray, float64
        Spatial frequencies [1/arcsec].
    fwhm_arcsec : float
        FWHM of the PSF [arcsec].

    Returns
    -------
    ndarray, float64
        1 at frequency 0.
    """
    return np.asarray(np.exp(-_KOLMOGOROV * (frequency * fwhm_arcsec / _FWHM_R0) ** (5.0 / 3.0)))


def von_karman_transfer(frequency: Vector, fwhm_arcsec: float, outer_scale_m: float, wavelength_nm: float) -> Vector:
    """Return the transfer function of turbulence with an outer scale (Conan 2000; Tokovinin 2002).

    Parameters
    ----------
    frequency : ndarray, float64
        Spatial frequencies [1/arcsec].
    fwhm_arcsec : float
        FWHM of the PSF [arcsec].
    outer_scale_m : float
        Outer scale [m].
    wavelength_nm : float
        Wavelength [nm].

    Returns
    -------
    ndarray, float64
        1 at frequency 0.
    """
    r0 = _fried_m(round(fwhm_arcsec, 4), outer_scale_m, round(wavelength_nm, 1))
    separation = frequency * wavelength_nm * 1e-9 * _RAD_ARCSEC
    return np.exp(-0.5 * _structure(separation, r0, outer_scale_m))


def moffat_transfer(frequency: Vector, fwhm_arcsec: float, beta: float) -> Vector:
    """Return the transfer function of a Moffat profile.

    Parameters
    ----------
    frequency : ndarray, float64
        Spatial frequencies [1/arcsec].
    fwhm_arcsec : float
        FWHM [arcsec].
    beta : float
        Exponent, above 1.

    Returns
    -------
    ndarray, float64
        1 at frequency 0.
    """
    scale = 0.5 * fwhm_arcsec / np.sqrt(2.0 ** (1.0 / beta) - 1.0)
    argument = np.maximum(2.0 * np.pi * frequency * scale, 1e-12)
    value = 2.0 ** (2.0 - beta) / gamma(beta - 1.0) * argument ** (beta - 1.0) * kv(beta - 1.0, argument)
    return np.where(np.isfinite(value), value, 0.0)


def _structure(separation_m: Vector, r0: float, outer_scale_m: float) -> Vector:
    """Return the phase structure function [rad**2], Conan (2000), eq. 2.13."""
    argument = np.maximum(2.0 * np.pi * separation_m / outer_scale_m, 1e-9)
    front = 2.0 ** (1.0 / 6.0) * gamma(11.0 / 6.0) / np.pi ** (8.0 / 3.0) * (4.8 * gamma(1.2)) ** (5.0 / 6.0)
    plateau = gamma(5.0 / 6.0) / 2.0 ** (1.0 / 6.0)
    wave = argument ** (5.0 / 6.0) * kv(5.0 / 6.0, argument)
    return np.asarray(front * (outer_scale_m / r0) ** (5.0 / 3.0) * (plateau - np.where(np.isfinite(wave), wave, 0.0)))


@lru_cache(maxsize=256)
def _fried_m(fwhm_arcsec: float, outer_scale_m: float, wavelength_nm: float) -> float:
    """Return the Fried parameter that gives a FWHM [m]."""
    kolmogorov = _FWHM_R0 * wavelength_nm * 1e-9 * _RAD_ARCSEC / fwhm_arcsec

    def excess(log_r0: float) -> float:
        return _fwhm_arcsec(float(np.exp(log_r0)), outer_scale_m, wavelength_nm) - fwhm_arcsec

    return float(np.exp(brentq(excess, np.log(0.2 * kolmogorov), np.log(1.2 * kolmogorov), xtol=1e-6)))


def _fwhm_arcsec(r0: float, outer_scale_m: float, wavelength_nm: float) -> float:
    """Return the FWHM of the von Karman PSF by a Hankel transform."""
    unit = wavelength_nm * 1e-9 / r0 * _RAD_ARCSEC  # lambda / r0
    frequency = np.linspace(0.0, 6.0, 3000) / unit
    transfer = np.exp(-0.5 * _structure(frequency * wavelength_nm * 1e-9 * _RAD_ARCSEC, r0, outer_scale_m))
    weight = transfer * frequency

    def profile(radius: float) -> float:
        return float(np.trapezoid(weight * j0(2.0 * np.pi * frequency * radius), frequency))

    half = 0.5 * profile(0.0)
    return 2.0 * float(brentq(lambda radius: profile(radius) - half, 1e-3 * unit, 2.0 * unit))
