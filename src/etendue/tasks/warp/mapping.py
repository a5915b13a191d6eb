"""The mapping from target pixels to source pixels, sampled on a grid fine enough to interpolate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs

_MIN_STEP = 4


@dataclass(frozen=True, slots=True)
class PixelMapping:
    """Source pixels of target pixels at the nodes of a grid.

    Parameters
    ----------
    x, y : ndarray, float64, shape (gy, gx)
        Source pixel, parent coordinates, of target pixels ``bbox.start + step * (i, j)``; NaN where
        the target has no counterpart.
    area : ndarray, float64, shape (gy, gx)
        Area of a target pixel in source pixels.
    step : int
        Spacing of the nodes [target px].
    error : float
        Largest error of the bilinear interpolation at cell centres [source px].
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: NDArray[np.float64]
    step: int
    error: float


def map_pixels(
    *, source: SkyWcs, target: SkyWcs, bbox: Box, step: int, max_error: float, source_bbox: Box | None = None
) -> PixelMapping:
    """Sample the mapping, halving the step until interpolation is good enough.

    Parameters
    ----------
    source, target : SkyWcs
        Where pixels come from and where they go.
    bbox : Box
        Target pixels to cover.
    step : int
        First spacing tried [target px].
    max_error : float
        Largest interpolation error allowed [source px]; a spacing of 4 px is taken at the worst.
    source_bbox : Box, optional
        Source pixels that matter: far outside, a distortion polynomial is no guide to the spacing.

    Returns
    -------
    PixelMapping
        Reaches past the end of ``bbox``.
    """
    while True:
        nodes_x, nodes_y = _nodes(bbox, step)
        x, y = _transform(source, target, nodes_x, nodes_y)
        error = _interpolation_error(source, target, nodes_x, nodes_y, x, y, step, source_bbox)
        if error <= max_error or step <= _MIN_STEP:
            area = _pixel_area(target, nodes_x, nodes_y) / _pixel_area(source, x, y)
            return PixelMapping(x, y, np.ascontiguousarray(area), step, error)
        step //= 2


def _nodes(bbox: Box, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = bbox.x.start + step * np.arange(-(-bbox.x.size // step) + 1, dtype=np.float64)
    y = bbox.y.start + step * np.arange(-(-bbox.y.size // step) + 1, dtype=np.float64)
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x, grid_y


def _transform(
    source: SkyWcs, target: SkyWcs, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ra_deg, dec_deg = target.pixel_to_sky(x=x, y=y)
    source_x, source_y = source.sky_to_pixel(ra_deg=ra_deg, dec_deg=dec_deg)
    return np.ascontiguousarray(source_x), np.ascontiguousarray(source_y)


def _interpolation_error(
    source: SkyWcs,
    target: SkyWcs,
    nodes_x: NDArray[np.float64],
    nodes_y: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    step: int,
    source_bbox: Box | None,
) -> float:
    """Return the error at cell centres, where that of a smooth mapping is largest."""
    exact_x, exact_y = _transform(source, target, nodes_x[:-1, :-1] + 0.5 * step, nodes_y[:-1, :-1] + 0.5 * step)
    deviation = np.hypot(_cell_mean(x) - exact_x, _cell_mean(y) - exact_y)
    counted = np.isfinite(deviation)
    if source_bbox is not None:
        counted &= source_bbox.dilated(step).contains(x=exact_x, y=exact_y)
    return float(deviation[counted].max()) if counted.any() else 0.0


def _cell_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.25 * (values[:-1, :-1] + values[1:, :-1] + values[:-1, 1:] + values[1:, 1:])


def _pixel_area(wcs: SkyWcs, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return solid angles of pixels [arcsec**2]."""
    return np.asarray(np.abs(np.linalg.det(wcs.jacobian(x=x, y=y))))
