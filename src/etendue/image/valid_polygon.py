"""Polygons in pixel coordinates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.box import Box


@dataclass(frozen=True, eq=False)
class Polygon:
    """A simple polygon.

    Parameters
    ----------
    x, y : array_like, float64, shape (n,)
        Corners in order, ``n >= 3`` [px]; the last is joined to the first.

    Raises
    ------
    InputError
        If there are fewer than three corners.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        x, y = np.array(self.x, dtype=np.float64), np.array(self.y, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or x.size < 3:
            raise InputError(f"polygon needs at least 3 corners in x and y, shapes are {x.shape} and {y.shape}")
        x.flags.writeable = y.flags.writeable = False
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    @classmethod
    def from_box(cls, box: Box) -> "Polygon":
        """Return the outline of a box.

        Parameters
        ----------
        box : Box
            Pixels.

        Returns
        -------
        Polygon
        """
        return cls(*box.corners())

    @property
    def area(self) -> float:
        """Area [px^2], positive for either direction."""
        return 0.5 * abs(float(np.dot(self.x, np.roll(self.y, -1)) - np.dot(self.y, np.roll(self.x, -1))))

    def contains(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Tell which points are inside (even-odd rule).

        Parameters
        ----------
        x, y : array_like
            Points [px], of broadcastable shapes.

        Returns
        -------
        ndarray, bool
            A point on a left or lower edge is inside, on a right or upper edge outside.
        """
        px, py = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        inside = np.zeros(px.shape, dtype=bool)
        for x0, y0, x1, y1 in zip(self.x, self.y, np.roll(self.x, -1), np.roll(self.y, -1), strict=True):
            if y0 == y1:
                continue
            crosses = (y0 <= py) != (y1 <= py)
            inside ^= crosses & (px < x0 + (py - y0) * (x1 - x0) / (y1 - y0))
        return inside

    def to_list(self) -> list[list[float]]:
        """Return ``[[x, y], ...]`` for JSON.

        Returns
        -------
        list of list of float
        """
        return np.stack([self.x, self.y], axis=1).tolist()

    @classmethod
    def from_list(cls, corners: list[list[float]]) -> "Polygon":
        """Return the polygon written by `to_list`.

        Parameters
        ----------
        corners : list of list of float
            ``[[x, y], ...]`` [px].

        Returns
        -------
        Polygon
        """
        points = np.array(corners, dtype=np.float64).reshape(-1, 2)
        return cls(points[:, 0], points[:, 1])
