"""A straight line across an image, and the pixels along it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.streaks import straighten


@dataclass(frozen=True, slots=True)
class TrailLine:
    """A line as ``column = offset + slope * row`` with a slope of at most 1, of the image or of its transpose.

    Parameters
    ----------
    offset : float
        Column in row 0 [px].
    slope : float
        Columns per row.
    turned : bool
        Whether rows and columns are those of the transposed image.
    """

    offset: float
    slope: float
    turned: bool

    @classmethod
    def through(cls, x0: float, y0: float, x1: float, y1: float) -> "TrailLine":
        """Return the line through two points.

        Parameters
        ----------
        x0, y0, x1, y1 : float
            Pixel indices of the array.

        Returns
        -------
        TrailLine
        """
        turned = abs(y1 - y0) < abs(x1 - x0)
        if turned:
            x0, y0, x1, y1 = y0, x0, y1, x1
        slope = (x1 - x0) / (y1 - y0)
        return cls(x0 - slope * y0, slope, turned)

    @property
    def foreshortening(self) -> float:
        """Distance from the line per column."""
        return float(1.0 / np.hypot(1.0, self.slope))

    def rows_inside(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the first row and the one behind the last in which the line is on the image.

        Parameters
        ----------
        shape : tuple of int
            Of the array, not transposed.

        Returns
        -------
        tuple of int
            Equal numbers if it misses the image.
        """
        rows, columns = shape[::-1] if self.turned else shape
        place = self.offset + self.slope * np.arange(rows)
        inside = np.flatnonzero((place >= 0.0) & (place <= columns - 1.0))
        return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)

    def point(self, row: float) -> tuple[float, float]:
        """Return x and y of the line's point in a row.

        Parameters
        ----------
        row : float
            Row of the image, or of its transpose.

        Returns
        -------
        tuple of float
            Pixel indices of the array, not transposed.
        """
        column = self.offset + self.slope * row
        return (row, column) if self.turned else (column, row)

    def strip(
        self, image: NDArray[np.float32], bad: NDArray[np.bool_], half: int, rows: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return the pixels around the line in some rows, see `etendue.kernels.streaks.straighten`.

        Parameters
        ----------
        image : ndarray, float32, shape (ny, nx)
            Pixels.
        bad : ndarray, bool, shape (ny, nx)
            Pixels that are left out.
        half : int
            Columns on each side.
        rows : tuple of int
            First row and the one behind the last.

        Returns
        -------
        ndarray, float32, shape (rows, 2 half + 1)
            NaN where there is none.
        """
        if self.turned:
            image, bad = image.T, bad.T
        part = slice(*rows)
        strip = np.empty((rows[1] - rows[0], 2 * half + 1), np.float32)
        offset = self.offset + self.slope * rows[0]
        straighten(image[part], bad[part], offset, self.slope, strip)
        return strip

    def shifted(
        self, rows: NDArray[np.float64], columns: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> "TrailLine":
        """Return the line moved by a straight fit to how far off it is.

        Parameters
        ----------
        rows : ndarray, float64, shape (n,)
            Rows.
        columns : ndarray, float64, shape (n,)
            Columns to the right of the line [px].
        weights : ndarray, float64, shape (n,)
            Weights; with fewer than two that are positive only the offset moves.

        Returns
        -------
        TrailLine
        """
        if np.count_nonzero(weights) < 2:
            return TrailLine(self.offset + float(np.average(columns, weights=weights)), self.slope, self.turned)
        tilt, move = np.polyfit(rows, columns, 1, w=np.sqrt(weights))
        return TrailLine(self.offset + float(move), self.slope + float(tilt), self.turned)
