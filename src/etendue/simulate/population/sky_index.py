"""Positions sorted into zones of declination, so that circles are cut out without looking at all of them."""

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import unit_vector

Vector = NDArray[np.float64]

_PER_ZONE = 300.0
_LARGEST_ZONE_DEG = 1.0
_SMALLEST_ZONE_DEG = 1e-3


class SkyIndex:
    """Positions in zones of declination, each sorted by right ascension.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions [deg].
    """

    def __init__(self, ra_deg: Vector, dec_deg: Vector):
        ra = np.mod(ra_deg, 360.0)
        # Zones as high as a circle of a few hundred positions, so that a large circle needs few of them.
        span = float(np.ptp(dec_deg)) if dec_deg.size else 1.0
        self._height = float(
            np.clip(span * np.sqrt(_PER_ZONE / max(dec_deg.size, 1)), _SMALLEST_ZONE_DEG, _LARGEST_ZONE_DEG)
        )
        zone = self._zone(dec_deg)
        self._rows = np.lexsort((ra, zone))
        self._ra = ra[self._rows]
        self._vectors = unit_vector(ra_deg, dec_deg)[self._rows]
        self._first = np.searchsorted(zone[self._rows], np.arange(int(180.0 / self._height) + 3))

    def circle(self, ra_deg: float, dec_deg: float, radius_deg: float) -> NDArray[np.int64]:
        """Return what lies in a circle.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Centre and radius [deg].

        Returns
        -------
        ndarray, int64, shape (k,)
            Ascending rows of the positions given.
        """
        half = _widest_ra(dec_deg, radius_deg)
        low, high = self._zone(np.clip(np.array([dec_deg - radius_deg, dec_deg + radius_deg]), -90.0, 90.0))
        pieces = [piece for zone in range(low, high + 1) for piece in self._pieces(zone, ra_deg % 360.0, half)]
        if not pieces:
            return np.zeros(0, np.int64)
        near = np.concatenate(pieces)
        chord2 = np.sum((self._vectors[near] - unit_vector(ra_deg, dec_deg)) ** 2, axis=1)
        return np.sort(self._rows[near[chord2 <= (2.0 * np.sin(np.radians(min(radius_deg, 180.0)) / 2.0)) ** 2]])

    def _zone(self, dec_deg: Vector) -> NDArray[np.int64]:
        return ((dec_deg + 90.0) / self._height).astype(np.int64)

    def _pieces(self, zone: int, ra_deg: float, half_deg: float) -> list[NDArray[np.int64]]:
        """Sorted places of one zone within some right ascensions."""
        start, stop = self._first[zone], self._first[zone + 1]
        if half_deg >= 180.0:
            return [np.arange(start, stop)]
        ra = self._ra[start:stop]
        low, high = ra_deg - half_deg, ra_deg + half_deg
        ranges = [(max(low, 0.0), min(high, 360.0))]
        ranges += [(low + 360.0, 360.0)] if low < 0.0 else []
        ranges += [(0.0, high - 360.0)] if high > 360.0 else []
        return [
            np.arange(start + np.searchsorted(ra, a, "left"), start + np.searchsorted(ra, b, "right"))
            for a, b in ranges
        ]


def _widest_ra(dec_deg: float, radius_deg: float) -> float:
    """Largest difference in right ascension from the centre of a circle to its rim."""
    if abs(dec_deg) + radius_deg >= 89.999:
        return 180.0
    return float(np.degrees(np.arcsin(np.sin(np.radians(radius_deg)) / np.cos(np.radians(dec_deg))))) + 1e-9
