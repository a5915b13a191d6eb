"""HEALPix partitions of a catalog: which row belongs where, and where its file is."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROW_ORDER = 29
"""Order of the ``_healpix_29`` column."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A nested HEALPix pixel that holds rows.

    Parameters
    ----------
    order : int
        HEALPix order.
    pixel : int
        Nested pixel.
    """

    order: int
    pixel: int

    @property
    def path(self) -> str:
        """File of the partition inside a HATS catalog."""
        folder = self.pixel // 10000 * 10000
        return f"dataset/Norder={self.order}/Dir={folder}/Npix={self.pixel}.parquet"

    @property
    def first(self) -> int:
        """Smallest order-29 pixel inside."""
        return self.pixel << 2 * (ROW_ORDER - self.order)

    @property
    def last(self) -> int:
        """Largest order-29 pixel inside."""
        return (self.pixel + 1 << 2 * (ROW_ORDER - self.order)) - 1


def assign(rows: NDArray[np.int64], existing: Collection[Partition]) -> Iterator[tuple[Partition, NDArray[np.int64]]]:
    """Distribute rows over the existing partitions, and over new ones where there are none.

    A new partition is the largest pixel that overlaps no existing one.

    Parameters
    ----------
    rows : ndarray, int64, shape (n,)
        Order-29 pixels.
    existing : collection of Partition
        They do not overlap.

    Yields
    ------
    partition : Partition
    index : ndarray, int64
        Rows that belong to it.
    """
    left = np.arange(rows.size)
    order = 0
    while left.size:
        pixels = rows[left] >> 2 * (ROW_ORDER - order)
        finer = {part.pixel >> 2 * (part.order - order) for part in existing if part.order > order}
        here = ~np.isin(pixels, list(finer))
        for pixel in np.unique(pixels[here]).tolist():
            yield Partition(order, pixel), left[pixels == pixel]
        left = left[~here]
        order += 1


def split(
    partition: Partition, rows: NDArray[np.int64], max_rows: int, max_order: int
) -> Iterator[tuple[Partition, NDArray[np.int64]]]:
    """Split a partition until none holds more than ``max_rows`` rows.

    Parameters
    ----------
    partition : Partition
        Where all rows lie.
    rows : ndarray, int64, shape (n,)
        Order-29 pixels.
    max_rows : int
        Rows from which a partition is split.
    max_order : int
        Partitions of this order are never split.

    Yields
    ------
    partition : Partition
    index : ndarray, int64
        Rows that belong to it.
    """
    stack = [(partition, np.arange(rows.size))]
    while stack:
        part, index = stack.pop()
        if index.size <= max_rows or part.order >= max_order:
            yield part, index
            continue
        pixels = rows[index] >> 2 * (ROW_ORDER - part.order - 1)
        for pixel in np.unique(pixels).tolist()[::-1]:
            stack.append((Partition(part.order + 1, pixel), index[pixels == pixel]))
