"""Spectra of stars: black bodies with lines, bent until their colours lie on the observed stellar locus."""

from functools import cache

import numpy as np
from numpy.polynomial.polynomial import polyval2d
from numpy.typing import NDArray

from etendue.simulate.light.lsst_bands import BANDS, lsst_band
from etendue.simulate.light.sed_grid import SedGrid, magnitude

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

WAVELENGTH_NM: Vector = np.arange(250.0, 1251.0, 1.0)
"""Wavelengths of the spectra of stars [nm]."""

_METALLICITY: Vector = np.array([-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.4])
_LOCUS_METALLICITY = -0.5
_BENDINGS = 10

# The main sequence at [Fe/H] = -0.5 in LSST bands: g-i, effective temperature [K], u-g, g-r, i-z, z-y (all AB).
# 0.4 < g-i < 3.3: locus of SDSS stars moved to LSST bands (Ivezic et al. 2008, ApJ 684, 287; Palaversa et al. 2025);
# bluer: colours of Vega and of B and O stars (Covey et al. 2007, AJ 134, 2398; Kraus & Hillenbrand 2007, AJ 134, 2340);
# redder: Pan-STARRS colours of late M and L dwarfs (Green et al. 2015, ApJ 810, 25). Temperatures: Pecaut & Mamajek
# (2013, ApJS 208, 9).
_LOCUS: Matrix = np.array(
    [
        (-0.93, 32000.0, -0.38, -0.54, -0.33, -0.18),
        (-0.67, 15700.0, 0.25, -0.38, -0.23, -0.11),
        (-0.47, 9700.0, 1.00, -0.25, -0.16, -0.09),
        (-0.16, 8200.0, 1.14, -0.06, -0.08, -0.05),
        (0.15, 7200.0, 1.08, 0.135, -0.035, -0.02),
        (0.30, 6700.0, 1.00, 0.235, -0.012, -0.015),
        (0.407, 6350.0, 1.025, 0.305, 0.008, -0.007),
        (0.59, 5800.0, 1.304, 0.432, 0.043, 0.018),
        (0.84, 5250.0, 1.715, 0.608, 0.093, 0.045),
        (1.10, 4850.0, 2.125, 0.787, 0.138, 0.073),
        (1.30, 4600.0, 2.360, 0.922, 0.170, 0.095),
        (1.527, 4350.0, 2.539, 1.069, 0.208, 0.119),
        (1.813, 4000.0, 2.621, 1.212, 0.277, 0.146),
        (2.138, 3750.0, 2.639, 1.260, 0.397, 0.186),
        (2.382, 3570.0, 2.663, 1.255, 0.504, 0.227),
        (2.584, 3430.0, 2.693, 1.263, 0.595, 0.270),
        (2.774, 3300.0, 2.779, 1.302, 0.666, 0.308),
        (2.915, 3200.0, 2.846, 1.333, 0.717, 0.339),
        (3.216, 3030.0, 2.943, 1.392, 0.836, 0.403),
        (3.80, 2750.0, 3.00, 1.470, 1.080, 0.530),
        (4.50, 2300.0, 3.00, 1.577, 1.420, 0.740),
    ]
)

# How the locus moves with metallicity: Yuan et al. (2015, ApJ 799, 134), table 1, valid for 0.3 < g-i < 1.6. Row p,
# column q: coefficient of (g-i)**p [Fe/H]**q.
_UG = (
    (1.5003, 0.0011, 0.1741, 0.0910, 0.0181),
    (-3.2190, 1.1675, 0.0875, 0.0031, 0.0),
    (7.9725, -0.8190, -0.0439, 0.0, 0.0),
    (-5.2923, 0.1339, 0.0, 0.0, 0.0),
    (1.1459, 0.0, 0.0, 0.0, 0.0),
)
_GR = (
    (0.0596, 0.0348, 0.0239, 0.0044),
    (0.6070, 0.0261, -0.0044, 0.0),
    (0.1532, -0.0136, 0.0, 0.0),
    (-0.0613, 0.0, 0.0, 0.0),
)
_IZ = (
    (-0.1060, -0.0357, -0.0123, -0.0017),
    (0.2543, -0.0010, -0.0050, 0.0),
    (-0.0381, -0.0071, 0.0, 0.0),
    (0.0030, 0.0, 0.0, 0.0),
)

# Molecular bands of M dwarfs (TiO, VO, CaH): head [nm], width [nm], depth at 3000 K.
_MOLECULES = (
    (495.0, 20.0, 0.40),
    (545.0, 25.0, 0.40),
    (617.0, 30.0, 0.45),
    (667.0, 35.0, 0.50),
    (705.0, 35.0, 0.60),
    (759.0, 30.0, 0.60),
    (843.0, 35.0, 0.50),
    (886.0, 30.0, 0.35),
)


def locus_colors(color_gi: Vector, metallicity: Vector) -> Matrix:
    """Return the colours of the stellar locus in LSST bands.

    Parameters
    ----------
    color_gi : ndarray, float64, shape (n,)
        g-i, -0.93 to 4.5; outside the ends hold.
    metallicity : ndarray, float64, shape (n,)
        [Fe/H].

    Returns
    -------
    ndarray, float64, shape (n, 5)
        u-g, g-r, r-i, i-z, z-y [mag].
    """
    x = np.clip(color_gi, _LOCUS[0, 0], _LOCUS[-1, 0])
    ug, gr, iz, zy = (np.interp(x, _LOCUS[:, 0], _LOCUS[:, k]) for k in (2, 3, 4, 5))
    # The polynomials fade out where hot stars have no metal lines and where they were not fitted.
    fade = np.clip(x / 0.3, 0.0, 1.0) * np.clip((3.0 - x) / 1.4, 0.0, 1.0)
    inside, here = np.clip(x, 0.3, 1.6), np.full_like(x, _LOCUS_METALLICITY)
    ug, gr, iz = (
        color + fade * (polyval2d(inside, metallicity, c) - polyval2d(inside, here, c))
        for color, c in ((ug, _UG), (gr, _GR), (iz, _IZ))
    )
    return np.stack([ug, gr, x - gr, iz, zy], axis=-1)


def effective_temperature(color_gi: Vector) -> Vector:
    """Return the temperatures of main-sequence stars.

    Parameters
    ----------
    color_gi : ndarray, float64, shape (n,)
        g-i.

    Returns
    -------
    ndarray, float64, shape (n,)
        Effective temperature [K].
    """
    return np.exp(np.interp(color_gi, _LOCUS[:, 0], np.log(_LOCUS[:, 1])))


@cache
def star_spectra() -> SedGrid:
    """Return spectra of stars by g-i and [Fe/H], of magnitude 0 in r.

    Returns
    -------
    SedGrid
        Parameters: g-i and metallicity.
    """
    color_gi = np.union1d(np.arange(-0.9, 4.5, 0.1), _LOCUS[:, 0])
    gi, metallicity = (part.ravel() for part in np.meshgrid(color_gi, _METALLICITY, indexing="ij"))
    flux = _bent(photosphere(effective_temperature(gi), WAVELENGTH_NM), locus_colors(gi, metallicity))
    shape = (color_gi.size, _METALLICITY.size, WAVELENGTH_NM.size)
    return SedGrid(color_gi, _METALLICITY, WAVELENGTH_NM, flux.reshape(shape), lsst_band("r"))


@cache
def white_dwarf_spectra() -> SedGrid:
    """Return black bodies by the logarithm of temperature, of magnitude 0 in r.

    Returns
    -------
    SedGrid
        Parameters: ``log10(temperature / K)``, 3.5 to 5, and nothing.
    """
    log_temperature = np.linspace(3.5, 5.0, 31)
    flux = black_body(10.0**log_temperature, WAVELENGTH_NM)[:, None, :]
    return SedGrid(log_temperature, np.zeros(1), WAVELENGTH_NM, flux, lsst_band("r"))


def black_body(temperature: Vector, wavelength_nm: Vector) -> Matrix:
    """Return Planck's law.

    Parameters
    ----------
    temperature : ndarray, float64, shape (n,)
        Temperatures [K].
    wavelength_nm : ndarray, float64, shape (m,)
        Wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Flux per wavelength, 1 at 622 nm.
    """

    def radiance(wave: Vector) -> Matrix:
        return wave**-5.0 / np.expm1(np.minimum(1.438777e7 / (wave * temperature[:, None]), 500.0))

    return radiance(wavelength_nm) / radiance(np.array([622.0]))


def photosphere(temperature: Vector, wavelength_nm: Vector) -> Matrix:
    """Return black bodies with a Balmer jump, metal lines below 450 nm and molecular bands where they belong.

    Parameters
    ----------
    temperature : ndarray, float64, shape (n,)
        Temperatures [K].
    wavelength_nm : ndarray, float64, shape (m,)
        Wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Flux per wavelength, 1 at 622 nm.
    """
    log_t = np.log10(temperature)[:, None]
    balmer = 0.9 * np.exp(-0.5 * ((log_t - 3.98) / 0.10) ** 2)
    metals = 0.9 / (1.0 + np.exp((log_t - 3.76) / 0.02))
    molecules = np.clip((3900.0 - temperature) / 900.0, 0.0, 1.3)[:, None]
    jump = 1.0 / (1.0 + np.exp((wavelength_nm - 369.0) / 3.0))
    blanket = np.clip((450.0 - wavelength_nm) / 150.0, 0.0, 1.0) + 0.4 / (1.0 + np.exp((wavelength_nm - 398.0) / 3.0))
    depth = balmer * jump + metals * blanket
    for head, width, strength in _MOLECULES:
        # A band is deepest at its head and fades to the red.
        after = wavelength_nm - head
        profile = np.where(after < 0.0, np.exp(np.minimum(after, 0.0) / 2.0), np.exp(-np.maximum(after, 0.0) / width))
        depth = depth - np.log1p(-np.minimum(strength * molecules, 0.95) * profile)
    return black_body(temperature, wavelength_nm) * np.exp(-depth)


def _bent(flux: Matrix, colors: Matrix) -> Matrix:
    """Multiply by broken lines with nodes at the bands' pivots so that synthetic colours are as wanted."""
    bands = [lsst_band(name) for name in BANDS]
    pivots = np.array([band.pivot_nm for band in bands])
    wanted = np.concatenate([np.zeros((len(colors), 1)), -np.cumsum(colors, axis=1)], axis=1)
    wanted -= wanted[:, 2:3]
    bend = np.zeros_like(wanted)
    broken = np.stack([np.interp(WAVELENGTH_NM, pivots, row) for row in np.eye(pivots.size)])
    for _ in range(_BENDINGS):
        bent = flux * 10.0 ** (-0.4 * (bend @ broken))
        have = np.stack([magnitude(WAVELENGTH_NM, bent, band) for band in bands], axis=1)
        bend += wanted - (have - have[:, 2:3])
    return bent / 10.0 ** (-0.4 * have[:, 2:3])
