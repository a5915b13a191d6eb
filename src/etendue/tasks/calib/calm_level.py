"""The smooth level under bright light, from what surrounds it."""

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box
from etendue.image.background import Background
from etendue.kernels.background import cell_edges, smooth_cells
from etendue.kernels.overscan import line_levels

Plane = NDArray[np.float32]
_CELL, _LEAST, _CLIP, _PASSES = 64, 64, 4.0, 2
_UNEVEN = 3.0  # chi2 per cell above which a quadratic surface does not describe the cells
_EVEN = 5.0  # a surface that lowers chi2 by less than this times its coefficients adds more noise than it takes


def calm_level(pixels: Plane, usable: NDArray[np.bool_], *, columns: bool = False) -> tuple[Plane, float]:
    """Return what the usable pixels say about the level of all, and their noise.

    A smooth surface, and what the rows show beyond it: their level in an overscan is known less well than by hundreds
    of dark pixels. Rows alone are the least noisy; there is a surface only where the means of cells of 64 px show one:
    a quadratic one if they agree with it, else a spline through the cells.

    Parameters
    ----------
    pixels : ndarray, float32, shape (ny, nx)
        Pixels [ADU].
    usable : ndarray, bool, shape (ny, nx)
        Those without bright light.
    columns : bool
        Whether columns differ, too: pixels from which no bias was subtracted.

    Returns
    -------
    surface : ndarray, float32, shape (ny, nx)
        [ADU]; 0 if no cell has 64 usable pixels.
    noise : float
        Typical standard deviation of a pixel [ADU].
    """
    level = np.full(pixels.shape, np.median(pixels[usable]) if usable.any() else 0.0, np.float32)
    left = np.where(usable, pixels - level, np.float32(np.nan))
    noise = 1.0
    for _ in range(_PASSES):  # lines and surface in turn: neither sees the same pixels everywhere
        step = _lines(left)[:, None]
        if columns:
            step = step + _lines(np.ascontiguousarray((left - step).T))[None, :]
        surface, noise = _surface(left - step)
        level += step + surface
        left -= step + surface
    return level + _lines(left)[:, None], noise


def _surface(left: Plane) -> tuple[Plane, float]:
    """Return a smooth surface through the pixels that are not NaN, and their noise."""
    y_edges, x_edges = (cell_edges(size, _CELL) for size in left.shape)
    level, error, noise = (np.full((y_edges.size - 1, x_edges.size - 1), np.nan) for _ in range(3))
    for j in range(y_edges.size - 1):
        for i in range(x_edges.size - 1):
            values = left[y_edges[j] : y_edges[j + 1], x_edges[i] : x_edges[i + 1]].ravel()
            values = values[np.isfinite(values)]
            if values.size >= _LEAST:
                level[j, i], noise[j, i], count = _clipped(values)
                error[j, i] = noise[j, i] / np.sqrt(count)
    if not np.isfinite(level).any():
        return np.zeros(left.shape, np.float32), 1.0
    typical = max(float(np.nanmedian(noise)), 0.3)
    surface = _quadratic(level, np.maximum(error, 0.3 / _CELL), y_edges, x_edges, left.shape)
    if surface is None:
        filled = smooth_cells(level, size=3, tolerance=0.25 * typical)
        surface = Background(filled.astype(np.float32), Box.from_shape(left.shape), _CELL).image().array
    return surface, typical


def _lines(left: Plane) -> Plane:
    """Return the mean of each line without outliers, 0 where few pixels tell."""
    level, _, used = line_levels(left, _CLIP, 3)
    return np.where(used >= _LEAST, level, 0.0).astype(np.float32)


def _clipped(values: Plane) -> tuple[float, float, int]:
    low, middle, high = np.percentile(values, [15.8655, 50.0, 84.1345])
    sigma = max(0.5 * (high - low), 0.3)
    for _ in range(2):
        kept = values[np.abs(values - middle) < _CLIP * sigma]
        middle, sigma = float(kept.mean(dtype=np.float64)), max(float(kept.std(dtype=np.float64)), 0.3)
    return middle, sigma, kept.size


def _quadratic(
    level: NDArray[np.float64],
    error: NDArray[np.float64],
    y_edges: NDArray[np.int64],
    x_edges: NDArray[np.int64],
    shape: tuple[int, ...],
) -> Plane | None:
    """Return an even or a quadratic surface through cells, None if they follow neither."""
    known = np.isfinite(level)
    if known.sum() < 12:
        return np.full(shape, np.average(level[known], weights=error[known] ** -2), np.float32)
    y, x = np.meshgrid(*((edges[:-1] + edges[1:] - 1) / 2.0 for edges in (y_edges, x_edges)), indexing="ij")
    design, weight = _powers(y, x, shape), 1.0 / error
    use = known.copy()
    for _ in range(3):
        solution = np.linalg.lstsq(design[use] * weight[use, None], level[use] * weight[use], rcond=None)[0]
        left = np.where(known, (level - design @ solution) * weight, np.inf)
        use = np.abs(left) < _CLIP * max(1.4826 * float(np.median(np.abs(left[known]))), 1.0)
    if np.mean(left[use] ** 2) > _UNEVEN:
        return None
    grid = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    plain = np.average(level[use], weights=weight[use] ** 2)
    gain = np.sum(((level[use] - plain) * weight[use]) ** 2) - np.sum(left[use] ** 2)
    if gain < _EVEN * solution.size:
        return np.full(shape, plain, np.float32)
    return (_powers(*grid, shape) @ solution).astype(np.float32)


def _powers(y: NDArray, x: NDArray, shape: tuple[int, ...]) -> NDArray[np.float64]:
    v, u = y / shape[0] - 0.5, x / shape[1] - 0.5
    return np.stack([np.ones_like(v), v, u, v * v, u * v, u * u], axis=-1)
