"""Kinds of stamps: how many cells of how many pixels, and which share of the light they hold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SIZES = (24, 32, 48, 64, 96, 128, 192, 256)
"""Cells per side."""

FACTOR = 4
"""Cells of one level are so many of the one before."""

LEVELS = 4
SMOOTHING = 2.2
"""Cells; what a level draws is smooth enough for quintic splines."""

_TAPER_FROM = 0.6


@dataclass(frozen=True, slots=True)
class StampClass:
    """Stamps of one size and kind.

    Light that needs large stamps is split: `low_pass` of the next level's cells goes onto a coarser grid, so that the
    rest is compact.

    Parameters
    ----------
    size : int
        Cells per side.
    cell : int
        Pixels per cell side; coarse stamps hold coefficients of quintic splines.
    split : bool
        Only what is too sharp for the next level.
    tapered : bool
        The PSF ends at the stamp; the rest of it is drawn as a wing.
    """

    size: int
    cell: int = 1
    split: bool = False
    tapered: bool = False

    @property
    def reach(self) -> float:
        """Radius at which a tapered PSF ends [px]."""
        return 0.5 * self.size - 1.5

    def taper(self, radius: Vector) -> Vector:
        """Return the share of the PSF that is kept.

        Parameters
        ----------
        radius : ndarray, float64
            Distances from the centre [px].

        Returns
        -------
        ndarray, float64
            1 inside 0.6 of the reach, 0 outside the reach, a cosine in between.
        """
        if not self.tapered:
            return np.ones_like(radius)
        start = _TAPER_FROM * self.reach
        return 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - start) / (self.reach - start), 0.0, 1.0))

    @property
    def trusted(self) -> float:
        """Radius inside which nothing is tapered [px]."""
        return _TAPER_FROM * self.reach

    def window(self, kx: Vector, ky: Vector) -> Vector:
        """Return what the PSF's transform is multiplied with.

        Parameters
        ----------
        kx, ky : ndarray, float64
            Wavenumbers, broadcast with each other [rad/px].

        Returns
        -------
        ndarray, float64
            Pixel response, the share of this level, and the inverse of the spline on coarse levels.
        """
        result = np.sinc(kx / (2.0 * np.pi)) * np.sinc(ky / (2.0 * np.pi)) / self.cell**2
        square = kx * kx + ky * ky
        if self.split:
            result = result * (1.0 - low_pass(square, self.cell * FACTOR))
        if self.cell > 1:
            result = result / spline_transform(kx, ky, self.cell, 6)
        finer = self.cell
        while finer > 1:  # what each level before passed on: only so do the shares add up to one
            result = result * low_pass(square, finer)
            finer //= FACTOR
        return result


def low_pass(square: Vector, cell: int) -> Vector:
    """Return the share of a wave that goes on to a coarser grid: flat at small wavenumbers, 1e-8 at Nyquist's.

    Parameters
    ----------
    square : ndarray, float64
        Squared wavenumbers [rad**2/px**2].
    cell : int
        Pixels per cell.

    Returns
    -------
    ndarray, float64
    """
    z = 0.5 * (SMOOTHING * cell) ** 2 * square
    return np.exp(-z) * (1.0 + z + 0.5 * z * z)


def spline_transform(kx: Vector, ky: Vector, cell: int, order: int) -> Vector:
    """Return the transform of a B-spline that is ``order`` cells wide.

    Parameters
    ----------
    kx, ky : ndarray, float64
        Wavenumbers, broadcast with each other [rad/px].
    cell : int
        Pixels per cell.
    order : int
        4 for cubic, 6 for quintic.

    Returns
    -------
    ndarray, float64
    """
    return (np.sinc(kx * cell / (2.0 * np.pi)) * np.sinc(ky * cell / (2.0 * np.pi))) ** order


def coarse_class(radius: float, cell: int) -> StampClass:
    """Return the class of a coarse level for light of some radius.

    Parameters
    ----------
    radius : float
        Where the light ends [px].
    cell : int
        Pixels per cell of the level.

    Returns
    -------
    StampClass
        Split again where the largest stamp of the level would be too small and there is a coarser level.
    """
    needed = 2.0 * (radius / cell + 6.0 * SMOOTHING)
    fitting = [size for size in SIZES if size >= needed]
    last = cell >= FACTOR ** (LEVELS - 1)
    return StampClass(fitting[0], cell) if fitting else StampClass(SIZES[-1], cell, split=not last)
