"""The ratio of two flats of different gradients."""

import numpy as np
from numpy.typing import NDArray


def smooth_ratio(first: NDArray[np.float32], second: NDArray[np.float32], cell_size: int) -> NDArray[np.float64]:
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
    if len(points) < 6:
        return np.full(first.shape, np.nanmedian(ratio), dtype=np.float64)
    design = _quadratic(points[:, 0] / ny, points[:, 1] / nx)
    coefficients = np.linalg.lstsq(design, points[:, 2], rcond=None)[0]
    y, x = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    return np.asarray(_quadratic(y.ravel(), x.ravel()) @ coefficients).reshape(first.shape)


def _quadratic(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], axis=1)
