"""The ratio of two flats of different gradients."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_FEWEST = 6


def smooth_ratio(first: NDArray[np.float32], second: NDArray[np.float32], cell_size: int) -> Vector:
    """Return the ratio of two flats as a quadratic surface fitted to the medians of cells.

    Parameters
    ----------
    first, second : ndarray, float32, shape (ny, nx)
        Flats; NaN pixels are left out.
    cell_size : int
        Side of the cells [px]; at most a fifth of the image.

    Returns
    -------
    ndarray, float64, shape (ny, nx)
    """
    ny, nx = first.shape
    coefficients = _coefficients(first, second, cell_size, 2)
    y, x = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    return np.asarray(_terms(y.ravel(), x.ravel(), 2) @ coefficients).reshape(first.shape)


def ratio_plane(first: NDArray[np.float32], second: NDArray[np.float32], cell_size: int) -> Vector:
    """Return the ratio of two flats as a plane fitted to the medians of cells.

    Parameters
    ----------
    first, second : ndarray, float32, shape (ny, nx)
        Flats; NaN pixels are left out.
    cell_size : int
        Side of the cells [px]; at most a fifth of the image.

    Returns
    -------
    ndarray, float64, shape (3,)
        Value in the first pixel, and changes over the height and over the width of the image.
    """
    return _coefficients(first, second, cell_size, 1)


def _coefficients(first: NDArray[np.float32], second: NDArray[np.float32], cell_size: int, degree: int) -> Vector:
    """Return the coefficients of `_terms`; those of a constant where there are too few cells."""
    ny, nx = first.shape
    cell_size = max(1, min(cell_size, ny // 5, nx // 5))  # a quadratic needs several cells along each axis
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(second > 0.0, first / second, np.nan)
    rows, cols = range(0, ny, cell_size), range(0, nx, cell_size)
    cells = [(r, c, ratio[r : r + cell_size, c : c + cell_size]) for r in rows for c in cols]
    points = np.array(
        [
            (r + 0.5 * (cell.shape[0] - 1), c + 0.5 * (cell.shape[1] - 1), np.nanmedian(cell))
            for r, c, cell in cells
            if np.isfinite(cell).sum() > cell.size // 2
        ]
    )
    if len(points) < _FEWEST:
        constant = np.zeros(3 if degree == 1 else 6)
        constant[0] = np.nanmedian(ratio)
        return constant
    design = _terms(points[:, 0] / ny, points[:, 1] / nx, degree)
    return np.asarray(np.linalg.lstsq(design, points[:, 2], rcond=None)[0])


def _terms(y: Vector, x: Vector, degree: int) -> Vector:
    linear = [np.ones_like(y), y, x]
    return np.stack(linear if degree == 1 else [*linear, y * y, x * y, x * x], axis=1)
