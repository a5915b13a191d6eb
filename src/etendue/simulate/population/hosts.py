"""Galaxies as places for transients and active nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_EXPONENTIAL = 1.67835  # half-light radius of an exponential disc in scale lengths


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """Columns of a galaxy layer; all have shape (n,).

    Parameters
    ----------
    object_id : ndarray, int64
        Galaxies.
    ra_deg, dec_deg : ndarray, float64
        Centres [deg].
    redshift : ndarray, float64
        Redshifts.
    half_light : ndarray, float64
        Half-light radius ``sqrt(a b)`` [arcsec].
    e1, e2 : ndarray, float64
        Ellipticity as in `Shapes`.
    weight : ndarray, float64 or None
        What the chance of a galaxy to be chosen goes with, such as its luminosity; None for equal chances.
    """

    object_id: NDArray[np.int64]
    ra_deg: Vector
    dec_deg: Vector
    redshift: Vector
    half_light: Vector
    e1: Vector
    e2: Vector
    weight: Vector | None = None

    def __len__(self) -> int:
        return int(self.object_id.size)

    def choose(self, rng: np.random.Generator, count: int, weight: Vector | None = None) -> NDArray[np.int64]:
        """Choose galaxies, each once while there are enough.

        Chances go with the weights as in draws without replacement (Efraimidis and Spirakis 2006, Inf. Process. Lett.
        97, 181); transients that share a galaxy are rare, and a field has few near ones.

        Parameters
        ----------
        rng : numpy.random.Generator
            Random numbers.
        count : int
            How many.
        weight : ndarray, float64, shape (n,), optional
            Multiplies the galaxies' own weights.

        Returns
        -------
        ndarray, int64, shape (count,)
            Rows; none if all weights are 0.
        """
        chance = np.ones(len(self)) if self.weight is None else np.maximum(self.weight, 0.0)
        chance = chance if weight is None else chance * weight
        usable = np.flatnonzero(chance > 0.0)
        if not usable.size:
            return np.zeros(0, np.int64)
        waiting = rng.exponential(size=usable.size) / chance[usable]
        order = usable[np.argsort(waiting, kind="stable")]
        return np.resize(order, count)

    def place(self, rng: np.random.Generator, rows: NDArray[np.int64], spread: float) -> tuple[Vector, Vector]:
        """Return positions that follow an exponential disc's light.

        Parameters
        ----------
        rng : numpy.random.Generator
            Random numbers.
        rows : ndarray, int64, shape (m,)
            Galaxies.
        spread : float
            Distances are multiplied with it: 0 puts everything into the centre, more than 1 beyond the light.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64, shape (m,)
            Positions [deg].
        """
        size = np.hypot(self.e1[rows], self.e2[rows]).clip(0.0, 0.999)
        root = ((1.0 + size) / (1.0 - size)) ** 0.25  # sqrt(a / b)
        angle = 0.5 * np.arctan2(self.e2[rows], self.e1[rows])
        radius = rng.gamma(2.0, 1.0, rows.size) / _EXPONENTIAL * self.half_light[rows] * spread
        turn = rng.uniform(0.0, 2.0 * np.pi, rows.size)
        along, across = radius * np.cos(turn) * root, radius * np.sin(turn) / root
        north = along * np.cos(angle) - across * np.sin(angle)
        east = along * np.sin(angle) + across * np.cos(angle)
        dec = self.dec_deg[rows] + north / 3600.0
        ra = self.ra_deg[rows] + east / 3600.0 / np.maximum(np.cos(np.radians(dec)), 1e-6)
        return np.remainder(ra, 360.0), np.clip(dec, -90.0, 90.0)
