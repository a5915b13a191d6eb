"""Light curves of any lengths, side by side in flat columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]
Texts = NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class CurveStore:
    """Points of n curves in k bands, sorted by curve, band and day.

    Parameters
    ----------
    names : ndarray, str, shape (n,)
        Names of the curves, ascending.
    bands : ndarray, str, shape (k,)
        Bands, ascending.
    first : ndarray, int64, shape (n * k + 1,)
        Points of curve ``i`` in band ``j`` are the rows ``first[i * k + j]`` to ``first[i * k + j + 1]``.
    day, mag : ndarray, float64, shape (m,)
        Points; infinite magnitudes are dark.
    """

    names: Texts
    bands: Texts
    first: Rows
    day: Vector
    mag: Vector

    @classmethod
    def of(cls, curve: Texts, band: Texts, day: Vector, mag: Vector) -> "CurveStore":
        """Sort points in any order.

        Parameters
        ----------
        curve, band : ndarray, str, shape (m,)
            Which curve and band each point belongs to.
        day, mag : ndarray, float64, shape (m,)
            Points.

        Returns
        -------
        CurveStore
        """
        names, place = np.unique(curve, return_inverse=True)
        bands, light = np.unique(band, return_inverse=True)
        group = place * bands.size + light
        order = np.lexsort((day, group))
        first = np.searchsorted(group[order], np.arange(names.size * bands.size + 1))
        return cls(names, bands, first.astype(np.int64), day[order], mag[order])

    def rows(self, names: Texts) -> Rows:
        """Return the numbers of curves.

        Parameters
        ----------
        names : ndarray, str, shape (l,)
            Names.

        Returns
        -------
        ndarray, int64, shape (l,)
            -1 for unknown ones.
        """
        if self.names.size == 0:
            return np.full(names.size, -1)
        place = np.minimum(np.searchsorted(self.names, names), self.names.size - 1)
        return np.where(self.names[place] == names, place, -1)

    def has(self, rows: Rows, band: str) -> NDArray[np.bool_]:
        """Tell which curves have points in a band.

        Parameters
        ----------
        rows : ndarray, int64, shape (l,)
            Curves.
        band : str
            Band.

        Returns
        -------
        ndarray, bool, shape (l,)
        """
        if band not in self.bands:
            return np.zeros(rows.size, bool)
        first, last = self._limits(rows, band)
        return last > first

    def extent(self, rows: Rows) -> tuple[Vector, Vector]:
        """Return the first and the last day of curves, over all bands.

        Parameters
        ----------
        rows : ndarray, int64, shape (l,)
            Curves.

        Returns
        -------
        first, last : ndarray, float64, shape (l,)
        """
        starts = self.first[:: self.bands.size][:-1] if self.names.size else np.zeros(0, np.int64)
        if starts.size == 0:
            return np.zeros(0), np.zeros(0)
        return np.minimum.reduceat(self.day, starts)[rows], np.maximum.reduceat(self.day, starts)[rows]

    def mags(self, rows: Rows, band: str, days: Vector, closed: NDArray[np.bool_], *, steady: bool) -> Vector:
        """Return magnitudes, linear between points.

        Parameters
        ----------
        rows : ndarray, int64, shape (l,)
            Curves that `has` points in the band.
        band : str
            Band.
        days : ndarray, float64, shape (l,)
            Days, or phases from 0 to 1 of closed curves.
        closed : ndarray, bool, shape (l,)
            Curves whose last point is followed by their first one, a turn later.
        steady : bool
            Whether the ends of other curves hold beyond them; else there is no light.

        Returns
        -------
        ndarray, float64, shape (l,)
            Infinite where there is no light [mag].
        """
        if rows.size == 0:
            return np.zeros(0)
        first, last = self._limits(rows, band)
        right = self._right_of(first, last, days)
        before, after = right == first, right == last
        turn_left, turn_right = np.where(before & closed, -1.0, 0.0), np.where(after & closed, 1.0, 0.0)
        left = np.where(before, np.where(closed, last - 1, first), right - 1)
        right = np.where(after, np.where(closed, first, last - 1), right)
        start, end = self.day[left] + turn_left, self.day[right] + turn_right
        width = end - start
        part = np.where(width > 0.0, (days - start) / np.where(width > 0.0, width, 1.0), 0.0)
        with np.errstate(invalid="ignore"):
            mag = (1.0 - part) * self.mag[left] + part * self.mag[right]
        mag = np.where(part <= 0.0, self.mag[left], np.where(part >= 1.0, self.mag[right], mag))
        ended = ((before & (days < self.day[first])) | (after & (days > self.day[last - 1]))) & ~closed
        return np.where(np.isnan(mag) | (ended & (not steady)), np.inf, mag)

    def _limits(self, rows: Rows, band: str) -> tuple[Rows, Rows]:
        group = rows * self.bands.size + int(np.searchsorted(self.bands, band))
        return self.first[group], self.first[group + 1]

    def _right_of(self, first: Rows, last: Rows, days: Vector) -> Rows:
        """Return the first point after each day, ``last`` if there is none: bisection of all curves at once."""
        low, high = first.copy(), last.copy()
        while np.any(low < high):
            middle = (low + high) // 2
            later = self.day[np.minimum(middle, self.day.size - 1)] > days
            open_ = low < high
            high = np.where(open_ & later, middle, high)
            low = np.where(open_ & ~later, middle + 1, low)
        return low
