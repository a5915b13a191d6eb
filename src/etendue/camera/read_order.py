"""The order in which an amplifier reads its pixels, for any layout that a `Detector` can describe."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.camera.amplifier import Amplifier
from etendue.camera.detector import Detector
from etendue.geom.box import Box, Interval

Piece = tuple[Interval, int]  # raw pixels of one axis, and where they begin in the segment


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """One amplifier's segment: rows and columns in the order in which they are read.

    A segment has the columns prescan, data, serial overscan and the rows data, parallel overscan. The first pixel is
    read first. Unnamed columns and rows between the data and their overscan, which hold deferred charge, are overscan.

    Parameters
    ----------
    amplifier : Amplifier
        The amplifier.
    left, bottom : bool
        Whether low columns and rows of the raw frame are read first.
    columns, rows : tuple
        Pieces of the segment along each axis.
    """

    amplifier: Amplifier
    left: bool
    bottom: bool
    columns: tuple[Piece, ...]
    rows: tuple[Piece, ...]

    @classmethod
    def of(cls, amplifier: Amplifier, detector: Detector) -> "ReadOrder":
        """Find the order from where prescan and overscan lie.

        The prescan is read before the data and overscan after them. An amplifier without either is read in the order
        of the raw frame, but for one that stands above another without parallel overscan: its register is at the top.

        Parameters
        ----------
        amplifier : Amplifier
            The amplifier.
        detector : Detector
            Its detector.

        Returns
        -------
        ReadOrder
        """
        data = amplifier.raw_data
        before, after, parallel = amplifier.raw_prescan, amplifier.raw_serial_overscan, amplifier.raw_parallel_overscan
        left = bottom = True
        if before is not None and _apart(before.x, data.x):
            left = before.x.start < data.x.start
        elif after is not None and _apart(after.x, data.x):
            left = after.x.start > data.x.start
        if parallel is not None and _apart(parallel.y, data.y):
            bottom = parallel.y.start > data.y.start
        elif _stacked(amplifier, detector):
            bottom = amplifier.flip_y == _stands_on_another(amplifier, detector)
        prescan = before.x.size if before is not None else 0
        columns = [(before.x, 0)] if before is not None else []
        columns.append((data.x, prescan))
        if after is not None:
            columns.append((_up_to(after.x, data.x, _claimed_columns(detector)), prescan + data.x.size))
        rows = [(data.y, 0)]
        if parallel is not None:
            rows.append((_up_to(parallel.y, data.y, _claimed_rows(detector)), data.y.size))
        return cls(amplifier, left, bottom, tuple(columns), tuple(rows))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the segment [px]."""
        return sum(piece.size for piece, _ in self.rows), sum(piece.size for piece, _ in self.columns)

    @property
    def prescan(self) -> int:
        """Number of prescan columns [px]."""
        before = self.amplifier.raw_prescan
        return before.x.size if before is not None else 0

    @property
    def data(self) -> tuple[slice, slice]:
        """Where the light-sensitive pixels are in the segment."""
        ny, nx = self.amplifier.bbox.shape
        return slice(0, ny), slice(self.prescan, self.prescan + nx)

    def view(self, trimmed: NDArray, detector: Detector) -> NDArray:
        """Return the amplifier's pixels of a trimmed frame in read order.

        Parameters
        ----------
        trimmed : ndarray, shape (ny, nx)
            Frame of the detector's `bbox`.
        detector : Detector
            The detector.

        Returns
        -------
        ndarray
            A view.
        """
        step_y = 1 if self.bottom != self.amplifier.flip_y else -1
        step_x = 1 if self.left != self.amplifier.flip_x else -1
        pixels = trimmed[self.amplifier.bbox.slices_in(detector.bbox)]
        return pixels[::step_y, ::step_x]

    def boxes(self) -> list[tuple[Box, tuple[slice, slice]]]:
        """Return the boxes of the raw frame that the segment fills, and their places in the segment.

        Returns
        -------
        list of tuple
            Data, prescan and overscan, and the corners where rows and columns of overscan cross.
        """
        return [
            (Box(y=y, x=x), (slice(y0, y0 + y.size), slice(x0, x0 + x.size)))
            for y, y0 in self.rows
            for x, x0 in self.columns
        ]

    def read(self, raw: NDArray, segment: NDArray) -> None:
        """Copy an amplifier's pixels of a raw frame into a segment: the inverse of `write`.

        Parameters
        ----------
        raw : ndarray, shape (ny, nx)
            Raw frame.
        segment : ndarray, shape (my, mx)
            Changed in place; what exceeds `shape` is left alone.
        """
        step_y, step_x = 1 if self.bottom else -1, 1 if self.left else -1
        for box, place in self.boxes():
            segment[place] = raw[box.slices_in(Box.from_shape(raw.shape))][::step_y, ::step_x]

    def overscan_columns(self) -> slice:
        """Return the columns of the segment that the camera names as serial overscan, empty without."""
        after = self.amplifier.raw_serial_overscan
        return self._named(after.x, self.columns[-1]) if after is not None else slice(0, 0)

    def overscan_rows(self) -> slice:
        """Return the rows of the segment that the camera names as parallel overscan, empty without."""
        parallel = self.amplifier.raw_parallel_overscan
        return self._named(parallel.y, self.rows[-1]) if parallel is not None else slice(0, 0)

    @staticmethod
    def _named(interval: Interval, piece: Piece) -> slice:
        """Return where a named part of the last piece is; what is not named lies next to the light."""
        whole, begin = piece
        return slice(begin + whole.size - interval.size, begin + whole.size)

    def write(self, segment: NDArray, raw: NDArray) -> None:
        """Write a segment into the raw frame.

        Parameters
        ----------
        segment : ndarray, shape (my, mx)
            Pixels in read order; what exceeds `shape` is not written.
        raw : ndarray, shape (ny, nx)
            Raw frame, changed in place.
        """
        step_y, step_x = 1 if self.bottom else -1, 1 if self.left else -1
        for box, place in self.boxes():
            raw[box.slices_in(Box.from_shape(raw.shape))] = segment[place][::step_y, ::step_x]


@lru_cache(maxsize=512)
def read_orders(detector: Detector) -> tuple[ReadOrder, ...]:
    """Return the read order of each amplifier of a detector.

    Parameters
    ----------
    detector : Detector
        The detector.

    Returns
    -------
    tuple of ReadOrder
        In the order of ``detector.amplifiers``.
    """
    return tuple(ReadOrder.of(amplifier, detector) for amplifier in detector.amplifiers)


def unread(orders: Sequence[ReadOrder], detector: Detector) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return, for each amplifier, the raw pixels that no amplifier's sections name and to which it is nearest.

    Parameters
    ----------
    orders : sequence of ReadOrder
        One for each amplifier.
    detector : Detector
        The detector.

    Returns
    -------
    list of tuple of ndarray, int64
        Rows and columns of the raw frame.
    """
    named = np.zeros(detector.raw_shape, bool)
    for order in orders:
        for box, _ in order.boxes():
            named[box.slices_in(detector.raw_bbox)] = True
    y, x = np.nonzero(~named)
    nearest, least = np.zeros(y.size, np.int64), np.full(y.size, np.inf)
    for number, order in enumerate(orders):
        data = order.amplifier.raw_data
        away = np.hypot(_outside(x, data.x), _outside(y, data.y))
        nearest[away < least] = number
        least = np.minimum(least, away)
    return [(y[nearest == number], x[nearest == number]) for number in range(len(orders))]


def _outside(place: NDArray[np.int64], interval: Interval) -> NDArray[np.float64]:
    return np.maximum(np.maximum(interval.min - place, place - interval.max), 0).astype(float)


def _apart(one: Interval, other: Interval) -> bool:
    return one.intersection(other).size == 0


def _up_to(overscan: Interval, data: Interval, claimed: list[Interval]) -> Interval:
    """Return an overscan with the unnamed pixels between it and the data."""
    if overscan.start > data.start:
        gap = Interval(data.stop, max(overscan.start, data.stop))
        wide = Interval(gap.start, overscan.stop)
    else:
        gap = Interval(min(overscan.stop, data.start), data.start)
        wide = Interval(overscan.start, gap.stop)
    named = any(not _apart(gap, interval) for interval in claimed)
    return overscan if named or not _apart(overscan, data) else wide


def _claimed_columns(detector: Detector) -> list[Interval]:
    sections = ("raw_data", "raw_prescan", "raw_serial_overscan")
    return [getattr(a, name).x for a in detector.amplifiers for name in sections if getattr(a, name) is not None]


def _claimed_rows(detector: Detector) -> list[Interval]:
    sections = ("raw_data", "raw_parallel_overscan")
    return [getattr(a, name).y for a in detector.amplifiers for name in sections if getattr(a, name) is not None]


def _neighbours(amplifier: Amplifier, detector: Detector) -> list[Amplifier]:
    """Return the amplifiers of other rows that share columns with one."""
    return [
        other
        for other in detector.amplifiers
        if _apart(other.bbox.y, amplifier.bbox.y) and not _apart(other.bbox.x, amplifier.bbox.x)
    ]


def _stacked(amplifier: Amplifier, detector: Detector) -> bool:
    return bool(_neighbours(amplifier, detector))


def _stands_on_another(amplifier: Amplifier, detector: Detector) -> bool:
    return any(other.bbox.y.start < amplifier.bbox.y.start for other in _neighbours(amplifier, detector))
