"""Mask planes drawn by hand."""

from collections.abc import Sequence

import numpy as np

from etendue.camera.frame_override import Region
from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import offset, tangent_plane_inverse
from etendue.image.mask import Mask
from etendue.image.valid_polygon import Polygon

_CIRCLE_CORNERS = 72  # a circle on the sky becomes a polygon that is 0.1% of the radius too small at most


def hand_mask(regions: Sequence[Region], bbox: Box, wcs: SkyWcs | None) -> Mask:
    """Return the mask of regions.

    Parameters
    ----------
    regions : sequence of Region
        Shapes with their planes; parts outside the image do nothing.
    bbox : Box
        Pixels of the image.
    wcs : SkyWcs, optional
        Pixels to sky, needed for regions on the sky.

    Returns
    -------
    Mask
        A pixel is masked where its centre is inside; in boxes also on the edge.

    Raises
    ------
    AlgorithmError
        If a region on the sky meets an image without a WCS.
    """
    mask = Mask.empty(bbox)
    y, x = np.mgrid[bbox.y.start : bbox.y.stop, bbox.x.start : bbox.x.stop]
    for region in regions:
        mask.set_plane(region.plane, _inside(region, bbox, x, y, wcs))
    return mask


def _inside(region: Region, bbox: Box, x: np.ndarray, y: np.ndarray, wcs: SkyWcs | None) -> np.ndarray:
    """Tell which pixels a region holds; its own pixels count from 1."""
    if region.box is not None:
        inside = np.zeros(bbox.shape, bool)
        inside[region.box.intersection(bbox).slices_in(bbox)] = True
        return inside
    if region.circle is not None:
        x0, y0, radius = region.circle
        return np.hypot(x - (x0 - 1.0), y - (y0 - 1.0)) <= radius
    if region.polygon is not None:
        corners = np.array(region.polygon) - 1.0
        return Polygon(corners[:, 0], corners[:, 1]).contains(x=x, y=y)
    if wcs is None:
        raise AlgorithmError("a mask on the sky needs a WCS, and the frame has none")
    corner_x, corner_y = wcs.sky_to_pixel(**dict(zip(("ra_deg", "dec_deg"), _sky_corners(region), strict=True)))
    if not (np.isfinite(corner_x) & np.isfinite(corner_y)).all():  # behind the tangent point
        return np.zeros(bbox.shape, bool)
    return Polygon(corner_x, corner_y).contains(x=x, y=y)


def _sky_corners(region: Region) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline of a region on the sky [deg]."""
    if region.sky_circle is not None:
        ra, dec, radius = region.sky_circle
        angles = np.arange(_CIRCLE_CORNERS) * (360.0 / _CIRCLE_CORNERS)
        return offset(ra, dec, angles, radius / 3600.0)
    if region.sky_box is not None:
        ra, dec, width, height = region.sky_box
        xi, eta = (
            np.array(signs) * size / 7200.0 for signs, size in (((1, -1, -1, 1), width), ((1, 1, -1, -1), height))
        )
        return tangent_plane_inverse(xi, eta, ra, dec)
    corners = np.array(region.sky_polygon)
    return corners[:, 0], corners[:, 1]
