"""Sersic profiles: their Fourier transforms, and how far out they are bright."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma, gammaincinv

from etendue.kernels.light_spectra import EXPONENTIAL

Vector = NDArray[np.float64]

INDICES: Vector = np.geomspace(0.5, 6.0, 45)
"""Sersic indices of the rows of the table."""

OCTAVES = 35
PER_OCTAVE = 64
STEEPNESS = 4096.0
"""The table is over ``1 + STEEPNESS kappa**2``: wings make transforms of high indices fall at small wavenumbers."""
_STEP = float(np.log(INDICES[1] / INDICES[0]))
_EXPONENTIAL_SLOPE = float(gammaincinv(2.0, 0.5) ** -2.0)


@cache
def table() -> NDArray[np.float32]:
    """Return the Fourier transforms of profiles of unit flux and half-light radius.

    Returns
    -------
    ndarray, float32, shape (indices, OCTAVES * PER_OCTAVE + 1)
        Over nodes of ``1 + STEEPNESS kappa**2`` that are evenly spaced within each octave, where kappa is the
        wavenumber times the half-light radius; made by ``tools/make_sersic_table.py``.
    """
    return np.load(Path(__file__).with_name("sersic.npy"), allow_pickle=False)


def rows(index: Vector) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows of the table to combine for some indices, by cubic interpolation in the logarithm.

    Index 1 needs no table: its transform is ``(1 + (kappa / b)**2)**-1.5``.

    Parameters
    ----------
    index : ndarray, float64, shape (n,)
        Sersic indices, 0.5 to 6.

    Returns
    -------
    first : ndarray, int64, shape (n,)
        First of four rows; `EXPONENTIAL` for index 1.
    weight : ndarray, float32, shape (n, 4)
        Lagrange weights; ``b**-2`` for index 1.
    """
    place = np.log(index / INDICES[0]) / _STEP
    first = np.clip(np.floor(place).astype(np.int64) - 1, 0, INDICES.size - 4)
    t = place - first
    weight = np.stack(
        [
            -(t - 1.0) * (t - 2.0) * (t - 3.0) / 6.0,
            t * (t - 2.0) * (t - 3.0) / 2.0,
            -t * (t - 1.0) * (t - 3.0) / 2.0,
            t * (t - 1.0) * (t - 2.0) / 6.0,
        ],
        axis=1,
    )
    exponential = index == 1.0
    first[exponential], weight[exponential] = EXPONENTIAL, _EXPONENTIAL_SLOPE
    return first, weight.astype(np.float32)


def bright_radius(flux: Vector, radius: Vector, index: Vector, floor: float) -> Vector:
    """Return where round profiles have fallen to a surface brightness.

    Parameters
    ----------
    flux : ndarray, float64, shape (n,)
        Integrals; their signs do not matter.
    radius : ndarray, float64, shape (n,)
        Half-light radii [px].
    index : ndarray, float64, shape (n,)
        Sersic indices.
    floor : float
        Surface brightness [flux / px**2].

    Returns
    -------
    ndarray, float64, shape (n,)
        Radii [px]; 0 where even the centre is fainter, and for points.
    """
    b = gammaincinv(2.0 * index, 0.5)
    area = 2.0 * np.pi * index * gamma(2.0 * index) * b ** (-2.0 * index) * np.maximum(radius, 1e-6) ** 2
    depth = np.log(np.maximum(np.abs(flux) / (area * floor), 1.0))
    return radius * (depth / b) ** index
