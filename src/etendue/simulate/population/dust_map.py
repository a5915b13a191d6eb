"""The Galaxy's dust over one field."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.dust import Dust
from etendue.simulate.light.galactic import to_galactic
from etendue.simulate.population.layer import Field

Vector = NDArray[np.float64]

_STEP_DEG = 0.015  # a seventh of the smallest clouds
_MOST_NODES = 161
_MARGIN = 1.02


class DustMap:
    """Dust with its clouds tabulated over a field; many layers may share one.

    Parameters
    ----------
    dust : Dust
        Where the dust is.
    field : Field
        Field; outside it the rim's clouds hold.
    seed : int
        Seed of the survey.
    """

    def __init__(self, dust: Dust, field: Field, seed: int):
        self.dust = dust
        self._field = field
        self._east = _nodes(min(field.half_width_deg * _MARGIN, 180.0))
        self._north = _nodes(min(field.half_height_deg * _MARGIN, 90.0))
        shape = (self._north.size, self._east.size)
        if dust.constant_excess is not None:
            self._clouds = np.ones(shape)
        else:
            ra, dec = field.to_sky(*(part.ravel() for part in np.meshgrid(self._east, self._north)))
            self._clouds = dust.clouds(ra, dec, seed).reshape(shape)

    def excess(self, ra_deg: Vector, dec_deg: Vector, distance_kpc: Vector | float) -> Vector:
        """Return colour excesses.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Directions [deg].
        distance_kpc : ndarray, float64, shape (n,), or float
            Distances; infinity behind all dust [kpc].

        Returns
        -------
        ndarray, float64, shape (n,)
            E(B-V) [mag].
        """
        if self.dust.constant_excess is not None:
            return np.full(ra_deg.size, self.dust.constant_excess)
        distance = np.broadcast_to(np.asarray(distance_kpc, float), ra_deg.shape)
        return self.dust.smooth(*to_galactic(ra_deg, dec_deg), distance) * self._factor(ra_deg, dec_deg)

    def least_factor(self) -> float:
        """Return the least that clouds multiply a column with.

        Returns
        -------
        float
        """
        return float(self._clouds.min())

    def _factor(self, ra_deg: Vector, dec_deg: Vector) -> Vector:
        east, north = self._field.from_sky(ra_deg, dec_deg)
        x = np.clip((east - self._east[0]) / (self._east[1] - self._east[0]), 0.0, self._east.size - 1.001)
        y = np.clip((north - self._north[0]) / (self._north[1] - self._north[0]), 0.0, self._north.size - 1.001)
        column, row = x.astype(np.int64), y.astype(np.int64)
        x, y = x - column, y - row
        lower = self._clouds[row, column] * (1.0 - x) + self._clouds[row, column + 1] * x
        upper = self._clouds[row + 1, column] * (1.0 - x) + self._clouds[row + 1, column + 1] * x
        return lower * (1.0 - y) + upper * y


def _nodes(half_deg: float) -> Vector:
    count = int(np.clip(np.ceil(2.0 * half_deg / _STEP_DEG), 2, _MOST_NODES - 1)) + 1
    return np.linspace(-half_deg, half_deg, count)
