"""Shapes of galaxies and comae on the sky: sums of elliptical profiles."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Parts of n shapes, ragged; all columns but ``first`` have shape (m,).

    Parameters
    ----------
    first : ndarray, int64, shape (n + 1,)
        Parts of shape ``k`` are the rows ``first[k]`` to ``first[k + 1]``.
    flux : ndarray, float64
        Fraction of the shape's flux; sums to 1 over each shape. Negative for dust.
    east, north : ndarray, float64
        Offset of the centre [arcsec].
    half_light : ndarray, float64
        Half-light radius of the circle of equal area, ``sqrt(a b)`` [arcsec].
    sersic : ndarray, float64
        Sersic index, 0.5 (a Gaussian) to 6.
    e1, e2 : ndarray, float64
        Ellipticity ``(a**2 - b**2) / (a**2 + b**2)`` times cosine and sine of twice the position angle of the major
        axis, from north through east.
    """

    first: NDArray[np.int64]
    flux: Vector
    east: Vector
    north: Vector
    half_light: Vector
    sersic: Vector
    e1: Vector
    e2: Vector

    def __len__(self) -> int:
        return int(self.first.size - 1)

    @classmethod
    def none(cls) -> "Shapes":
        """Return no shape."""
        empty = np.zeros(0)
        return cls(np.zeros(1, np.int64), empty, empty, empty, empty, empty, empty, empty)

    @classmethod
    def concat(cls, parts: Sequence["Shapes"]) -> "Shapes":
        """Join shapes; rows of a later one follow those of an earlier one.

        Parameters
        ----------
        parts : sequence of Shapes
            At least one.

        Returns
        -------
        Shapes
        """
        counts = np.concatenate([np.diff(part.first) for part in parts])
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _columns()}
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), **columns)


def _columns() -> list[str]:
    return [field.name for field in fields(Shapes) if field.name != "first"]
