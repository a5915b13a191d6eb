"""Coarse grids under a detector: large galaxies, and the far wings of all stars by one convolution."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from etendue.kernels.coarse_grid import deposit, spread
from etendue.simulate.drawing.psf_tables import PsfTables
from etendue.simulate.drawing.stamp_class import FACTOR, StampClass, spline_transform

Vector = NDArray[np.float64]

MARGIN = 3
"""Cells before the first pixel of the detector."""

_NO_WING = 1e-9  # of the light


class Canvases:
    """Spline coefficients at every coarse level, made as they are needed.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image [px].
    """

    def __init__(self, shape: tuple[int, int]):
        self._shape = shape
        self._levels: dict[int, NDArray[np.float32]] = {}

    def at(self, cell: int) -> NDArray[np.float32]:
        """Return the coefficients of one level.

        Parameters
        ----------
        cell : int
            Pixels per cell.

        Returns
        -------
        ndarray, float32
            To be added to.
        """
        if cell not in self._levels:
            cells = [-(-n // cell) + 2 * MARGIN for n in self._shape]
            self._levels[cell] = np.zeros((cells[0], cells[1]), np.float32)
        return self._levels[cell]

    def spread(self, image: NDArray[np.float32]) -> None:
        """Add all levels to the image.

        Parameters
        ----------
        image : ndarray, float32, shape (ny, nx)
            Changed in place.
        """
        for cell, coefficients in self._levels.items():
            spread(image, coefficients, cell, MARGIN)


class Wings:
    """Light that tapered stamps leave out, as points on one coarse grid per class.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image [px].
    tables : PsfTables
        PSF; its mean over the detector gives the wings.
    """

    def __init__(self, shape: tuple[int, int], tables: PsfTables):
        self._tables = tables
        self._margin = int(np.ceil(tables.half_px / FACTOR)) + MARGIN + 4
        self._grid = tuple(fft.next_fast_len(-(-n // FACTOR) + 2 * self._margin, real=True) for n in shape)
        self._sum: NDArray[np.complex64] | None = None

    def add(self, kind: StampClass, x: Vector, y: Vector, electrons: Vector) -> None:
        """Add the wings of the pieces of one class.

        Parameters
        ----------
        kind : StampClass
            Tapered class.
        x, y : ndarray, float64, shape (n,)
            Positions in the image [px].
        electrons : ndarray, float64, shape (n,)
            Electrons in the wings.
        """
        mean = self._tables.mean_image
        r = np.arange(mean.shape[0], dtype=np.float64) - (mean.shape[0] - 1) // 2
        kernel = mean * (1.0 - kind.taper(np.hypot(r[:, None], r[None, :])))
        if not kernel.sum() > _NO_WING:
            return
        lights, spread_light = np.zeros(self._grid, np.float32), np.zeros(self._grid, np.float32)
        deposit(lights, x / FACTOR + self._margin, y / FACTOR + self._margin, electrons)
        rows, columns = (n // 2 for n in self._grid)
        v, u = (values.ravel() / FACTOR for values in np.meshgrid(r, r, indexing="ij"))
        deposit(spread_light, u + columns, v + rows, (kernel / kernel.sum()).ravel())
        product = fft.rfft2(lights) * fft.rfft2(np.roll(spread_light, (-rows, -columns), axis=(0, 1)))
        self._sum = product if self._sum is None else self._sum + product

    def finish(self, canvases: Canvases) -> None:
        """Add the wings to the finest coarse level.

        Parameters
        ----------
        canvases : Canvases
            Changed in place.
        """
        if self._sum is None:
            return
        ky = 2.0 * np.pi * fft.fftfreq(self._grid[0])[:, None] / FACTOR
        kx = 2.0 * np.pi * fft.rfftfreq(self._grid[1])[None, :] / FACTOR
        deposits = spline_transform(kx, ky, FACTOR, 8)
        window = StampClass(self._grid[0], FACTOR).window(kx, ky) / deposits
        level = canvases.at(FACTOR)
        start = self._margin - MARGIN
        wings = fft.irfft2(self._sum * window.astype(np.float32), s=self._grid)
        level += wings[start : start + level.shape[0], start : start + level.shape[1]]
