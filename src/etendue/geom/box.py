"""Half-open integer intervals and boxes in parent pixel coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError


@dataclass(frozen=True, slots=True)
class Interval:
    """Pixels ``start`` to ``stop - 1`` of one axis.

    Parameters
    ----------
    start, stop : int
        First pixel, and one past the last pixel; equal for an empty interval.

    Raises
    ------
    InputError
        If ``stop`` is smaller than ``start``.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", int(self.start))
        object.__setattr__(self, "stop", int(self.stop))
        if self.stop < self.start:
            raise InputError("interval ends before it starts", value=(self.start, self.stop))

    @property
    def min(self) -> int:
        """First pixel inside."""
        return self.start

    @property
    def max(self) -> int:
        """Last pixel inside; ``start - 1`` if empty."""
        return self.stop - 1

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.stop - self.start

    @property
    def center(self) -> float:
        """Middle of the interval [px]; a pixel's own middle is its integer index."""
        return 0.5 * (self.start + self.stop - 1)

    def intersection(self, other: "Interval") -> "Interval":
        """Return the pixels in both intervals.

        Parameters
        ----------
        other : Interval
            The other interval.

        Returns
        -------
        Interval
            Empty (``start == stop``) if nothing is shared.
        """
        start = max(self.start, other.start)
        return Interval(start, max(start, min(self.stop, other.stop)))

    def dilated(self, n: int) -> "Interval":
        """Return the interval grown by ``n`` pixels at both ends.

        Parameters
        ----------
        n : int
            Pixels; negative shrinks, down to an empty interval.

        Returns
        -------
        Interval
        """
        start = self.start - n
        return Interval(start, max(start, self.stop + n))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels in parent coordinates.

    Parameters
    ----------
    y, x : Interval
        Rows and columns.
    """

    y: Interval
    x: Interval

    @classmethod
    def from_shape(cls, shape: tuple[int, ...], *, y0: int = 0, x0: int = 0) -> "Box":
        """Return the box of an array.

        Parameters
        ----------
        shape : tuple of int
            ``(ny, nx)`` [px].
        y0, x0 : int
            Parent coordinates of the array's first pixel.

        Returns
        -------
        Box
        """
        ny, nx = shape
        return cls(y=Interval(y0, y0 + ny), x=Interval(x0, x0 + nx))

    @classmethod
    def from_list(cls, limits: Sequence[int]) -> "Box":
        """Return the box written by `to_list`.

        Parameters
        ----------
        limits : sequence of int
            ``[y0, y1, x0, x1]``, half-open [px].

        Returns
        -------
        Box
        """
        y0, y1, x0, x1 = limits
        return cls(y=Interval(y0, y1), x=Interval(x0, x1))

    @classmethod
    def around(cls, *, x: float, y: float, width: int, height: int | None = None) -> "Box":
        """Return the box of a given size whose middle is nearest to a point.

        Parameters
        ----------
        x, y : float
            Centre [px].
        width, height : int
            Size [px]; ``height`` defaults to ``width``.

        Returns
        -------
        Box
        """
        height = width if height is None else height
        y0, x0 = (int(np.rint(c - 0.5 * (size - 1))) for c, size in ((y, height), (x, width)))
        return cls.from_shape((height, width), y0=y0, x0=x0)

    @classmethod
    def containing(cls, *, x: ArrayLike, y: ArrayLike) -> "Box":
        """Return the smallest box holding all points.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            Points [px]; NaN is left out.

        Returns
        -------
        Box
            Empty at the origin if there is no finite point.
        """
        x, y = np.asarray(x, float).ravel(), np.asarray(y, float).ravel()
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.any():
            return cls.from_shape((0, 0))
        low = [int(np.floor(c[finite].min() + 0.5)) for c in (y, x)]
        high = [int(np.floor(c[finite].max() + 0.5)) + 1 for c in (y, x)]
        return cls(y=Interval(low[0], high[0]), x=Interval(low[1], high[1]))

    def to_list(self) -> list[int]:
        """Return ``[y0, y1, x0, x1]``, half-open [px], for JSON.

        Returns
        -------
        list of int
        """
        return [self.y.start, self.y.stop, self.x.start, self.x.stop]

    @property
    def shape(self) -> tuple[int, int]:
        """``(ny, nx)`` [px]."""
        return self.y.size, self.x.size

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.y.size * self.x.size

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.area == 0

    def intersection(self, other: "Box") -> "Box":
        """Return the pixels in both boxes.

        Parameters
        ----------
        other : Box
            The other box.

        Returns
        -------
        Box
            Empty if nothing is shared.
        """
        return Box(y=self.y.intersection(other.y), x=self.x.intersection(other.x))

    def union(self, other: "Box") -> "Box":
        """Return the smallest box that holds both boxes; an empty one adds nothing.

        Parameters
        ----------
        other : Box
            The other box.

        Returns
        -------
        Box
        """
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        return Box(
            y=Interval(min(self.y.start, other.y.start), max(self.y.stop, other.y.stop)),
            x=Interval(min(self.x.start, other.x.start), max(self.x.stop, other.x.stop)),
        )

    def dilated(self, n: int) -> "Box":
        """Return the box grown by ``n`` pixels on every side.

        Parameters
        ----------
        n : int
            Pixels; negative shrinks, down to an empty box.

        Returns
        -------
        Box
        """
        return Box(y=self.y.dilated(n), x=self.x.dilated(n))

    def shifted(self, *, dx: int, dy: int) -> "Box":
        """Return the box moved by whole pixels.

        Parameters
        ----------
        dx, dy : int
            Shift [px].

        Returns
        -------
        Box
        """
        return Box.from_shape(self.shape, y0=self.y.start + dy, x0=self.x.start + dx)

    def contains(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Tell which points fall on a pixel of the box.

        Parameters
        ----------
        x, y : array_like
            Points [px]; pixel ``i`` covers ``i - 0.5 <= x < i + 0.5``.

        Returns
        -------
        ndarray, bool
            Broadcast shape of ``x`` and ``y``; False for NaN.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        inside_x = (x >= self.x.start - 0.5) & (x < self.x.stop - 0.5)
        inside_y = (y >= self.y.start - 0.5) & (y < self.y.stop - 0.5)
        return np.asarray(inside_x & inside_y)

    def contains_box(self, other: "Box") -> bool:
        """Tell whether every pixel of another box is inside; an empty box always is.

        Parameters
        ----------
        other : Box
            The other box.

        Returns
        -------
        bool
        """
        return other.is_empty or self.intersection(other) == other

    def slices_in(self, parent: "Box") -> tuple[slice, slice]:
        """Return the index of this box in an array that covers ``parent``.

        Parameters
        ----------
        parent : Box
            Box of the array.

        Returns
        -------
        tuple of slice
            For rows, then columns.

        Raises
        ------
        InputError
            If the box is not inside ``parent``.
        """
        if not parent.contains_box(self):
            raise InputError(
                f"box {self.to_list()} is not inside {parent.to_list()}", remedy="intersect the boxes first"
            )
        y0, x0 = self.y.start - parent.y.start, self.x.start - parent.x.start
        if self.is_empty:
            return slice(0, self.y.size), slice(0, self.x.size)
        return slice(y0, y0 + self.y.size), slice(x0, x0 + self.x.size)

    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the outer corners of the corner pixels, counterclockwise from the lower left.

        Returns
        -------
        x, y : ndarray, float64, shape (4,)
            Corners [px].
        """
        x0, x1, y0, y1 = self.x.start - 0.5, self.x.stop - 0.5, self.y.start - 0.5, self.y.stop - 0.5
        return np.array([x0, x1, x1, x0]), np.array([y0, y0, y1, y1])
