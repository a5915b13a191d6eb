"""Spectra of galaxies from elliptical to starburst, and of active nuclei, at any redshift."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.light.reddening import extinction_law
from etendue.simulate.light.sed_grid import SedGrid
from etendue.simulate.light.star_spectra import WAVELENGTH_NM, photosphere

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

LARGEST_REDSHIFT = 6.5
"""Spectra are given up to here; farther objects get this one."""

_REST_NM: Vector = np.arange(30.0, 1251.0, 0.5)
_TYPES: Vector = np.linspace(0.0, 1.0, 9)
_LOG_REDSHIFT: Vector = np.linspace(0.0, np.log1p(LARGEST_REDSHIFT), 161)

# Old, young and newborn stars: temperatures [K] and shares of light at 622 nm, the dust in front of each, and how much
# of each a type has. Their mixture puts the 4000 A break, the Balmer jump and the colours where Fukugita et al. (1995,
# PASP 107, 945, table 3) find them at redshift 0, and gives blue galaxies the ultraviolet of starbursts.
_OLD = ((5700.0, 0.20), (5000.0, 0.37), (4300.0, 0.28), (3600.0, 0.15))
_YOUNG = ((22000.0, 0.15), (9500.0, 0.60), (6000.0, 0.25))
_NEWBORN = ((32000.0, 0.85), (12000.0, 0.15))
_YOUNG_EXCESS, _NEWBORN_EXCESS = 0.14, 0.10
_YOUNG_SHARE = np.array([0.0, 0.03, 0.10, 0.22, 0.35, 0.46, 0.55, 0.56, 0.45])
_NEWBORN_SHARE = np.array([0.0, 0.0, 0.003, 0.008, 0.02, 0.05, 0.12, 0.24, 0.45])

# Nebular lines: wavelength [nm] and equivalent width [nm] at the starburst end; they grow as the type squared.
_NEBULAR = ((372.7, 7.0), (486.1, 2.0), (495.9, 1.8), (500.7, 5.4), (656.4, 11.0), (672.4, 2.0))
_NEBULAR_SIGMA_NM = 1.0

# Broad lines: wavelength and equivalent width [nm] of the composite quasar of Vanden Berk et al. (2001, AJ 122, 549).
_BROAD = ((121.6, 9.3), (154.9, 2.4), (190.9, 2.1), (279.8, 3.2), (486.3, 4.6), (500.7, 1.3), (656.5, 19.5))
_BROAD_RELATIVE_SIGMA = 0.011


@cache
def galaxy_spectra() -> SedGrid:
    """Return spectra of galaxies by type and ``log(1 + redshift)``, of magnitude 0 in i.

    Returns
    -------
    SedGrid
        Parameters: type, 0 (elliptical), about 0.45 (Sbc), 0.6 (Scd), 0.8 (irregular) to 1 (starburst), and the natural
        logarithm of 1 + redshift.
    """
    parts = (_mixture(_OLD, 0.0), _mixture(_YOUNG, _YOUNG_EXCESS), _mixture(_NEWBORN, _NEWBORN_EXCESS))
    shares = (1.0 - _YOUNG_SHARE - _NEWBORN_SHARE, _YOUNG_SHARE, _NEWBORN_SHARE)
    rest = sum((share[:, None] * part for share, part in zip(shares, parts, strict=True)), np.zeros((1, 1)))
    rest[:, _REST_NM < 91.2] *= 0.02
    lines = _lines(_NEBULAR, np.full(len(_NEBULAR), _NEBULAR_SIGMA_NM))
    return _redshifted(_TYPES, rest * (1.0 + lines * _TYPES[:, None] ** 2))


@cache
def active_nucleus_spectra() -> SedGrid:
    """Return power laws with broad lines by slope and ``log(1 + redshift)``, of magnitude 0 in i.

    Returns
    -------
    SedGrid
        Parameters: slope of ``f_nu`` over frequency, -1.5 to 0.5 (-0.44 is the mean), and the natural logarithm of
        1 + redshift.
    """
    slopes = np.linspace(-1.5, 0.5, 5)
    rest = (_REST_NM / 622.0) ** (-2.0 - slopes[:, None])
    rest = rest * (1.0 + _lines(_BROAD, _BROAD_RELATIVE_SIGMA * np.array([wave for wave, _ in _BROAD])))
    return _redshifted(slopes, rest)


def _mixture(parts: tuple[tuple[float, float], ...], excess: float) -> Vector:
    """Stars behind dust, 1 at 622 nm."""
    temperature, share = np.array(parts).T
    flux = share @ photosphere(temperature, _REST_NM) * 10.0 ** (-0.4 * excess * extinction_law(_REST_NM))
    return flux / np.interp(622.0, _REST_NM, flux)


def _lines(lines: tuple[tuple[float, float], ...], sigma: Vector) -> Vector:
    """Emission lines in units of the continuum."""
    wave, width = np.array(lines).T
    profile = np.exp(-0.5 * ((_REST_NM - wave[:, None]) / sigma[:, None]) ** 2)
    return (width / sigma / np.sqrt(2.0 * np.pi)) @ profile


def _redshifted(first: Vector, rest: Matrix) -> SedGrid:
    flux = np.empty((first.size, _LOG_REDSHIFT.size, WAVELENGTH_NM.size))
    for k, log_redshift in enumerate(_LOG_REDSHIFT):
        stretch = np.exp(log_redshift)
        through = _intergalactic(WAVELENGTH_NM, float(stretch))
        for row, spectrum in enumerate(rest):
            flux[row, k] = np.interp(WAVELENGTH_NM / stretch, _REST_NM, spectrum) * through
    return SedGrid(first, _LOG_REDSHIFT, WAVELENGTH_NM, flux, lsst_band("i"))


def _intergalactic(wavelength_nm: Vector, stretch: float) -> Vector:
    """Mean transmission of intergalactic hydrogen: four Lyman lines and the continuum (Madau 1995, ApJ 441, 18)."""
    depth = np.zeros_like(wavelength_nm)
    for line, strength in ((121.6, 3.6e-3), (102.6, 1.7e-3), (97.3, 1.2e-3), (95.0, 9.3e-4)):
        depth += np.where(wavelength_nm < line * stretch, strength * (wavelength_nm / line) ** 3.46, 0.0)
    limit = 91.2 * stretch
    depth += np.where(wavelength_nm < limit, 0.25 * (wavelength_nm / 91.2) ** 3 * np.log(limit / wavelength_nm), 0.0)
    return np.exp(-depth)
