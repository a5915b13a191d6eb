"""Detected regions as runs of pixels, with their peaks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.box import Box, Interval


@dataclass(frozen=True, eq=False)
class SpanSet:
    """Horizontal runs of pixels.

    Parameters
    ----------
    y : ndarray, int32, shape (n,)
        Row of every run, parent coordinates.
    x0, x1 : ndarray, int32, shape (n,)
        First column, and one past the last column.

    Raises
    ------
    InputError
        If the columns differ in length or a run is empty.
    """

    y: NDArray[np.integer[Any]]
    x0: NDArray[np.integer[Any]]
    x1: NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        for name in ("y", "x0", "x1"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int32))
        if not self.y.shape == self.x0.shape == self.x1.shape:
            raise InputError(f"spans need columns of one length, got {self.y.size}, {self.x0.size}, {self.x1.size}")
        if (self.x1 <= self.x0).any():
            raise InputError("a span is empty", value=int(np.argmax(self.x1 <= self.x0)))

    @classmethod
    def from_mask(cls, where: NDArray[np.bool_], *, y0: int = 0, x0: int = 0) -> "SpanSet":
        """Return the runs of True pixels, by row and column.

        Parameters
        ----------
        where : ndarray, bool, shape (ny, nx)
            Pixels.
        y0, x0 : int
            Parent coordinates of the first pixel.

        Returns
        -------
        SpanSet
        """
        padded = np.zeros((where.shape[0], where.shape[1] + 2), dtype=np.int8)
        padded[:, 1:-1] = where
        step = np.diff(padded, axis=1)
        rows, starts = np.nonzero(step == 1)
        stops = np.nonzero(step == -1)[1]
        return cls(rows + y0, starts + x0, stops + x0)

    @classmethod
    def from_box(cls, box: Box) -> "SpanSet":
        """Return one run per row of a box.

        Parameters
        ----------
        box : Box
            Pixels.

        Returns
        -------
        SpanSet
        """
        rows = np.arange(box.y.start, box.y.stop if box.x.size else box.y.start)
        return cls(rows, np.full(rows.size, box.x.start), np.full(rows.size, box.x.stop))

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int((self.x1 - self.x0).sum())

    @property
    def bbox(self) -> Box:
        """Smallest box around the runs; empty at the origin if there are none."""
        if self.y.size == 0:
            return Box.from_shape((0, 0))
        rows = Interval(int(self.y.min()), int(self.y.max()) + 1)
        return Box(y=rows, x=Interval(int(self.x0.min()), int(self.x1.max())))

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return every pixel, run by run.

        Returns
        -------
        x, y : ndarray, int64, shape (area,)
            Parent coordinates.
        """
        lengths = (self.x1 - self.x0).astype(np.int64)
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        x = np.repeat(self.x0.astype(np.int64), lengths) + np.arange(lengths.sum()) - first
        return x, np.repeat(self.y.astype(np.int64), lengths)

    def mask(self, bbox: Box) -> NDArray[np.bool_]:
        """Return the runs as pixels of a box.

        Parameters
        ----------
        bbox : Box
            Pixels wanted; runs outside are left out.

        Returns
        -------
        ndarray, bool, shape (ny, nx)
        """
        x, y = self.pixels()
        inside = bbox.contains(x=x, y=y)
        where = np.zeros(bbox.shape, dtype=bool)
        where[y[inside] - bbox.y.start, x[inside] - bbox.x.start] = True
        return where


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima inside footprints.

    Parameters
    ----------
    x, y : ndarray, int32, shape (n,)
        Pixels, parent coordinates.
    value : ndarray, float32, shape (n,)
        Height, in the unit of the detection image; negative for negative footprints.

    Raises
    ------
    InputError
        If the columns differ in length.
    """

    x: NDArray[np.integer[Any]]
    y: NDArray[np.integer[Any]]
    value: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, dtype in (("x", np.int32), ("y", np.int32), ("value", np.float32)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        if not self.x.shape == self.y.shape == self.value.shape:
            raise InputError(f"peaks need columns of one length, got {self.x.size}, {self.y.size}, {self.value.size}")

    def __len__(self) -> int:
        return int(self.x.size)


@dataclass(frozen=True, eq=False)
class Footprint:
    """One detected region.

    Parameters
    ----------
    spans : SpanSet
        Its pixels.
    peaks : Peaks
        Its maxima, the highest first.
    """

    spans: SpanSet
    peaks: Peaks


@dataclass(frozen=True, eq=False)
class FootprintSet:
    """All footprints of an image in columns; footprint ``i`` owns the rows marked ``i``.

    Parameters
    ----------
    spans : SpanSet
        Runs of all footprints.
    span_owner : ndarray, int32, shape (n_spans,)
        Footprint of every run, ascending.
    peaks : Peaks
        Maxima of all footprints.
    peak_owner : ndarray, int32, shape (n_peaks,)
        Footprint of every peak, ascending.
    size : int
        Number of footprints.

    Raises
    ------
    InputError
        If an owner column has the wrong length, is not ascending, or names no footprint.
    """

    spans: SpanSet
    span_owner: NDArray[np.integer[Any]]
    peaks: Peaks
    peak_owner: NDArray[np.integer[Any]]
    size: int

    def __post_init__(self) -> None:
        for name, length in (("span_owner", self.spans.y.size), ("peak_owner", len(self.peaks))):
            owner = np.asarray(getattr(self, name), dtype=np.int32)
            object.__setattr__(self, name, owner)
            if owner.size != length:
                raise InputError(f"{name} has {owner.size} rows, its table has {length}")
            if owner.size and (owner[0] < 0 or owner[-1] >= self.size or (np.diff(owner) < 0).any()):
                raise InputError(f"{name} must ascend within 0 to {self.size - 1}")

    @classmethod
    def from_labels(
        cls, labels: NDArray[np.integer[Any]], detection: NDArray[np.float32], *, y0: int = 0, x0: int = 0
    ) -> "FootprintSet":
        """Return the footprints of a label image, one peak each.

        Parameters
        ----------
        labels : ndarray, int32, shape (ny, nx)
            0 outside, ``1 .. n`` inside footprints.
        detection : ndarray, float32, shape (ny, nx)
            Detection image; the peak is the pixel of largest absolute value.
        y0, x0 : int
            Parent coordinates of the first pixel.

        Returns
        -------
        FootprintSet
        """
        rows, columns = np.nonzero(labels)
        owner = labels[rows, columns] - 1
        order = np.lexsort((columns, rows, owner))
        rows, columns, owner = rows[order], columns[order], owner[order]
        starts = np.ones(owner.size, dtype=bool)
        starts[1:] = (np.diff(owner) != 0) | (np.diff(rows) != 0) | (np.diff(columns) != 1)
        stops = np.append(starts[1:], True)[: owner.size]
        spans = SpanSet(rows[starts] + y0, columns[starts] + x0, columns[stops] + 1 + x0)
        value = detection[rows, columns]
        brightest = np.lexsort((-np.abs(value), owner))
        first = np.ones(owner.size, dtype=bool)
        first[1:] = np.diff(owner[brightest]) != 0
        peak = brightest[first]
        peaks = Peaks(columns[peak] + x0, rows[peak] + y0, value[peak])
        return cls(spans, owner[starts], peaks, owner[peak], int(labels.max(initial=0)))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Footprint:
        """Return footprint ``index``, its highest peak first."""
        if not 0 <= index < self.size:
            raise IndexError(f"footprint {index} of {self.size}")
        rows = slice(*np.searchsorted(self.span_owner, [index, index + 1]))
        own = slice(*np.searchsorted(self.peak_owner, [index, index + 1]))
        order = np.argsort(-np.abs(self.peaks.value[own]), kind="stable")
        peaks = Peaks(self.peaks.x[own][order], self.peaks.y[own][order], self.peaks.value[own][order])
        return Footprint(SpanSet(self.spans.y[rows], self.spans.x0[rows], self.spans.x1[rows]), peaks)

    def areas(self) -> NDArray[np.int64]:
        """Return the number of pixels of every footprint.

        Returns
        -------
        ndarray, int64, shape (size,)
        """
        lengths = self.spans.x1 - self.spans.x0
        return np.bincount(self.span_owner, weights=lengths, minlength=self.size).astype(np.int64)

    def mask(self, bbox: Box) -> NDArray[np.bool_]:
        """Return the pixels of a box that belong to any footprint.

        Parameters
        ----------
        bbox : Box
            Pixels wanted.

        Returns
        -------
        ndarray, bool, shape (ny, nx)
        """
        return self.spans.mask(bbox)

    @classmethod
    def concat(cls, sets: "list[FootprintSet]") -> "FootprintSet":
        """Return the footprints of several sets, renumbered in order.

        Parameters
        ----------
        sets : list of FootprintSet
            For example positive, then negative detections.

        Returns
        -------
        FootprintSet
        """
        first = np.cumsum([0, *(one.size for one in sets)])
        spans = [np.concatenate([getattr(one.spans, name) for one in sets]) for name in ("y", "x0", "x1")]
        peaks = [np.concatenate([getattr(one.peaks, name) for one in sets]) for name in ("x", "y", "value")]
        owners = [
            np.concatenate([getattr(one, name) + start for one, start in zip(sets, first, strict=False)])
            for name in ("span_owner", "peak_owner")
        ]
        return cls(SpanSet(*spans), owners[0], Peaks(*peaks), owners[1], int(first[-1]))
