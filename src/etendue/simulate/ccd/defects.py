"""Defects: dead pixels and columns, columns that leak while they are read, single traps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.read_order import ReadOrder
from etendue.camera.section import parse_section
from etendue.kernels.charge_transfer import catch_in_traps
from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

Ints = NDArray[np.int64]


class DefectsSpec(EffectSpec):
    """Numbers are means for a whole detector; the camera's `bad_regions` are always dead."""

    dead_pixels: float = Field(100.0, ge=0.0)
    """Dead single pixels."""

    dead_columns: float = Field(2.0, ge=0.0)
    """Columns that are dead from a pixel to their end away from the register."""

    dead_response: float = Field(0.0, ge=0.0, lt=1.0)
    """Response of what is dead."""

    hot_columns: float = Field(2.0, ge=0.0)
    """Columns that take up charge from a leaking pixel while they are read, beyond that pixel."""

    hot_column_electrons: float = Field(300.0, gt=0.0)
    """Mean of the exponential distribution of the charge in each of their pixels [e]."""

    traps: float = Field(3.0, ge=0.0)
    """Single traps."""

    trap_electrons: float = Field(200.0, gt=0.0)
    """Mean of the exponential distribution of the charge that a trap holds [e]."""

    trap_release_px: float = Field(8.0, gt=0.0)
    """Rows after which a trap has given back all but 1/e of its charge [px]."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentDefects:
    """Defects of one amplifier, in read order; the first light-sensitive pixel is (0, 0).

    Parameters
    ----------
    dead_row, dead_col : ndarray, int64
        First dead pixels of dead columns.
    hot_row, hot_col, hot_charge : ndarray
        Leaking pixels and the charge that they leak into each row at and beyond them [e].
    trap_row, trap_col, trap_size : ndarray
        Traps and the charge that they hold [e].
    """

    dead_row: Ints
    dead_col: Ints
    hot_row: Ints
    hot_col: Ints
    hot_charge: Vector
    trap_row: Ints
    trap_col: Ints
    trap_size: Vector

    def pass_through(self, segment: NDArray[np.float32], order: ReadOrder, spec: DefectsSpec) -> None:
        """Read the columns over leaks and traps.

        Parameters
        ----------
        segment : ndarray, float32, shape (my, mx)
            Rows in read order, changed in place [e].
        order : ReadOrder
            Of the amplifier.
        spec : DefectsSpec
            Time scale of the traps.
        """
        rows = order.amplifier.bbox.shape[0]
        for row, col, charge in zip(self.hot_row.tolist(), self.hot_col.tolist(), self.hot_charge, strict=True):
            segment[row:rows, order.prescan + col] += np.float32(charge)
        release = 1.0 - np.exp(-1.0 / spec.trap_release_px)
        catch_in_traps(segment, self.trap_row, self.trap_col + order.prescan, self.trap_size, release)


@dataclass(frozen=True, slots=True, eq=False)
class DefectMap:
    """Defects of one detector.

    Parameters
    ----------
    segments : tuple of SegmentDefects
        One for each amplifier.
    dead : ndarray, bool, shape (ny, nx)
        Dead pixels of the trimmed frame.
    mask : ndarray, bool, shape (ny, nx)
        All pixels that a defect touches.
    """

    segments: tuple[SegmentDefects, ...]
    dead: NDArray[np.bool_]
    mask: NDArray[np.bool_]

    @classmethod
    def make(cls, spec: DefectsSpec, detector: Detector, orders: Sequence[ReadOrder], streams: Streams) -> "DefectMap":
        """Draw the defects.

        Parameters
        ----------
        spec : DefectsSpec
            Numbers and sizes.
        detector : Detector
            The detector.
        orders : sequence of ReadOrder
            One for each amplifier.
        streams : Streams
            The detector's.

        Returns
        -------
        DefectMap
        """
        rng = streams.rng("defects")
        dead = np.zeros(detector.bbox.shape, bool)
        size = dead.size
        dead.reshape(-1)[rng.integers(0, size, rng.poisson(spec.dead_pixels))] = True
        for region in detector.bad_regions:
            dead[parse_section(region).intersection(detector.bbox).slices_in(detector.bbox)] = True
        segments = tuple(
            _draw(spec, order.amplifier.bbox.shape, order.amplifier.bbox.area / size, rng) for order in orders
        )
        mask = np.zeros_like(dead)
        for segment, order in zip(segments, orders, strict=True):
            _paint(order.view(dead, detector), segment.dead_row, segment.dead_col)
            view = order.view(mask, detector)
            _paint(view, segment.hot_row, segment.hot_col)
            _paint(view, segment.trap_row, segment.trap_col)
        return cls(segments, dead, mask | dead)


def _draw(spec: DefectsSpec, shape: tuple[int, int], share: float, rng: np.random.Generator) -> SegmentDefects:
    (dead_row, dead_col), (hot_row, hot_col), (trap_row, trap_col) = (
        _places(shape, rng.poisson(mean * share), rng) for mean in (spec.dead_columns, spec.hot_columns, spec.traps)
    )
    return SegmentDefects(
        dead_row=dead_row,
        dead_col=dead_col,
        hot_row=hot_row,
        hot_col=hot_col,
        hot_charge=rng.exponential(spec.hot_column_electrons, hot_row.size),
        trap_row=trap_row,
        trap_col=trap_col,
        trap_size=rng.exponential(spec.trap_electrons, trap_row.size),
    )


def _places(shape: tuple[int, int], count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    return rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)


def _paint(view: NDArray[np.bool_], rows: Ints, cols: Ints) -> None:
    for row, col in zip(rows.tolist(), cols.tolist(), strict=True):
        view[row:, col] = True
