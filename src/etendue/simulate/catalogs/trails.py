"""What a trail does to photometry and astrometry: a point's Gaussian PSF drawn out along a line."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Vector = NDArray[np.float64]

_LONGEST = 60.0  # of the tables, in standard deviations of the PSF
_STEPS = 241
_SAMPLES = 8001


def psf_fraction(length: Vector) -> Vector:
    """Return the share of a trail's flux that a fit of the PSF to its middle gives.

    Parameters
    ----------
    length : ndarray, float64, shape (n,)
        Lengths in standard deviations of the PSF.

    Returns
    -------
    ndarray, float64, shape (n,)
        ``integral(exp(-s**2 / 4), -u/2, u/2) / u``: 1 for a point.
    """
    u = np.maximum(length, 1e-6)
    return np.asarray(2.0 * np.sqrt(np.pi) / u * erf(u / 4.0))


def power_fraction(length: Vector) -> Vector:
    """Return the integral of a trail's squared profile over that of a point.

    Parameters
    ----------
    length : ndarray, float64, shape (n,)
        Lengths in standard deviations of the PSF.

    Returns
    -------
    ndarray, float64, shape (n,)
        Mean of ``exp(-(s - t)**2 / 4)`` over the trail: the variance of a fit of the trail is its inverse.
    """
    v = np.maximum(length, 1e-3) / 2.0
    return np.asarray((np.sqrt(np.pi) * v * erf(v) + np.expm1(-(v**2))) / v**2)


def squared_length_error(length: Vector) -> Vector:
    """Return the Cramer-Rao error of the square of a trail's length, flux and place free, in white noise.

    The square is what stays regular for short trails: fits scatter evenly about it, below zero too.

    Parameters
    ----------
    length : ndarray, float64, shape (n,)
        Lengths in standard deviations of the PSF.

    Returns
    -------
    ndarray, float64, shape (n,)
        Error times the signal-to-noise ratio of the trail, in variances of the PSF.
    """
    grid, square, _ = _tables()
    beyond = np.maximum(length / _LONGEST, 1.0) ** 1.5  # both ends are edges of their own
    return np.asarray(np.exp(np.interp(length, grid, np.log(square))) * beyond)


def along_error(length: Vector) -> Vector:
    """Return how much larger the error of a trail's place along it is than across it.

    Parameters
    ----------
    length : ndarray, float64, shape (n,)
        Lengths in standard deviations of the PSF.

    Returns
    -------
    ndarray, float64, shape (n,)
        1 for a point.
    """
    grid, _, along = _tables()
    return np.asarray(np.interp(length, grid, along) * np.sqrt(np.maximum(length / _LONGEST, 1.0)))


@lru_cache(maxsize=1)
def _tables() -> tuple[Vector, Vector, Vector]:
    """Return lengths, errors of their squares, and errors along the trail, by Fisher's information."""
    grid = np.linspace(0.0, _LONGEST, _STEPS)
    rows = [_informed(float(length)) for length in grid]
    return grid, *np.array(rows).T


def _informed(length: float) -> tuple[float, float]:
    x = np.linspace(-0.5 * _LONGEST - 8.0, 0.5 * _LONGEST + 8.0, _SAMPLES)
    step = 0.02
    low, high = max(length**2 - step, 0.0), length**2 + step
    profile = _profile(x, length)
    slope = (_profile(x, np.sqrt(high)) - _profile(x, np.sqrt(low))) / (high - low)
    shift = np.gradient(profile, x)
    power = float(np.trapezoid(profile**2, x))
    cross, own = float(np.trapezoid(profile * slope, x)), float(np.trapezoid(slope**2, x))
    # Divided by the power, information is that at a signal-to-noise ratio of 1.
    square = 1.0 / np.sqrt((own - cross**2 / power) / power)
    along = np.sqrt(power / float(np.trapezoid(shift**2, x)))
    return square, along / np.sqrt(2.0)


def _profile(x: Vector, length: float) -> Vector:
    if length < 1e-2:
        curve = 1.0 + length**2 / 24.0 * (x**2 - 1.0)
        return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi) * curve
    root = np.sqrt(2.0)
    return np.asarray((erf((x + 0.5 * length) / root) - erf((x - 0.5 * length) / root)) / (2.0 * length))
