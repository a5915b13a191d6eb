"""Tracts, the large images that a skymap cuts the sky into, and their patches."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.box import Box, Interval
from etendue.geom.sky_wcs import Points, SkyWcs
from etendue.geom.sphere import offset

_EDGE_SAMPLES = 8


@dataclass(frozen=True)
class Patch:
    """One tile of a tract.

    Parameters
    ----------
    id : int
        Number within the tract, along rows from the lower left.
    inner : Box
        Pixels that belong to this patch alone; the inner boxes tile the tract.
    outer : Box
        ``inner`` with a border that overlaps the neighbours, cut at the tract's edge.
    wcs : SkyWcs
        The tract's.
    """

    id: int
    inner: Box
    outer: Box
    wcs: SkyWcs = field(repr=False)

    @property
    def polygon(self) -> Points:
        """Corners of the outer box on the sky, ``(ra_deg, dec_deg)`` of shape (4,) [deg]."""
        x, y = self.outer.corners()
        return self.wcs.pixel_to_sky(x=x, y=y)


@dataclass(frozen=True)
class Tract:
    """A gnomonic image that is tiled by patches.

    Parameters
    ----------
    id : int
        Number within the skymap.
    wcs : SkyWcs
        Pixels to sky; the lower left pixel is (0, 0).
    bbox : Box
        All pixels.
    patch_size : int
        Side of the inner patches [px]; divides the sides of ``bbox``.
    patch_border : int
        Width by which outer patches overlap [px].

    Raises
    ------
    InputError
        If the patches do not tile the tract.
    """

    id: int
    wcs: SkyWcs
    bbox: Box
    patch_size: int
    patch_border: int

    def __post_init__(self) -> None:
        if self.bbox.is_empty or any(size % self.patch_size for size in self.bbox.shape):
            raise InputError(f"patches of {self.patch_size} px do not tile a tract of {self.bbox.shape}")

    @classmethod
    def around(
        cls,
        id: int,
        *,
        ra_deg: float,
        dec_deg: float,
        half_size_deg: float,
        pixel_scale: float,
        patch_size: int,
        patch_border: int,
    ) -> "Tract":
        """Return the smallest tract of whole patches around a square on the sky.

        Parameters
        ----------
        id : int
            Number within the skymap.
        ra_deg, dec_deg : float
            Centre and tangent point [deg].
        half_size_deg : float
            Angle from the centre to the middle of an edge [deg].
        pixel_scale : float
            At the centre [arcsec/px].
        patch_size, patch_border : int
            See the class [px].

        Returns
        -------
        Tract
        """
        step = pixel_scale / 3600.0
        wcs = SkyWcs.tan(
            crpix_x=0.0, crpix_y=0.0, crval_ra_deg=ra_deg, crval_dec_deg=dec_deg, cd=[[-step, 0.0], [0.0, step]]
        )
        edges = wcs.sky_to_pixel(
            **dict(
                zip(
                    ("ra_deg", "dec_deg"),
                    offset(ra_deg, dec_deg, [0.0, 90.0, 180.0, 270.0], half_size_deg),
                    strict=True,
                )
            )
        )
        # As LSST's skymap: grow to whole patches, half of the growth on the lower side.
        low = [int(np.floor(c.min() + 0.5)) for c in edges]
        size = [int(np.floor(c.max() + 0.5)) + 1 - start for c, start in zip(edges, low, strict=True)]
        whole = [-(-n // patch_size) * patch_size for n in size]
        shift = [(n_whole - n) // 2 - start for n_whole, n, start in zip(whole, size, low, strict=True)]
        bbox = Box.from_shape((whole[1], whole[0]))
        return cls(id, wcs.shifted(dx=shift[0], dy=shift[1]), bbox, patch_size, patch_border)

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Number of patches along ``(y, x)``."""
        return self.bbox.y.size // self.patch_size, self.bbox.x.size // self.patch_size

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return self.patch_grid[0] * self.patch_grid[1]

    @property
    def polygon(self) -> Points:
        """Corners on the sky, ``(ra_deg, dec_deg)`` of shape (4,) [deg]."""
        x, y = self.bbox.corners()
        return self.wcs.pixel_to_sky(x=x, y=y)

    def patch(self, id: int) -> Patch:
        """Return a patch.

        Parameters
        ----------
        id : int
            ``row * n_columns + column``.

        Returns
        -------
        Patch

        Raises
        ------
        InputError
            If the tract has no such patch.
        """
        if not 0 <= id < self.n_patches:
            raise InputError(f"tract {self.id} has patches 0 to {self.n_patches - 1}", value=id)
        row, column = divmod(int(id), self.patch_grid[1])
        y, x = (Interval(n * self.patch_size, (n + 1) * self.patch_size) for n in (row, column))
        inner = Box(y=y, x=x)
        return Patch(int(id), inner, inner.dilated(self.patch_border).intersection(self.bbox), self.wcs)

    def patches(self) -> tuple[Patch, ...]:
        """Return all patches in order.

        Returns
        -------
        tuple of Patch
        """
        return tuple(self.patch(id) for id in range(self.n_patches))

    def find_patch(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
        """Return the patch whose inner box holds each position.

        Parameters
        ----------
        ra_deg, dec_deg : array_like
            Positions [deg].

        Returns
        -------
        ndarray, int64
            Patch ids; -1 outside the tract.
        """
        x, y = self.wcs.sky_to_pixel(ra_deg=ra_deg, dec_deg=dec_deg)
        inside = self.bbox.contains(x=x, y=y)
        row, column = (np.floor((np.where(inside, c, 0.0) + 0.5) / self.patch_size).astype(np.int64) for c in (y, x))
        return np.where(inside, row * self.patch_grid[1] + column, -1)

    def patches_overlapping(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> list[int]:
        """Return the patches whose outer boxes meet the convex hull of positions.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,)
            Outline of an image, in order [deg].

        Returns
        -------
        list of int
            Ascending patch ids; empty if the outline is not in front of the tract.
        """
        x, y = self.wcs.sky_to_pixel(ra_deg=ra_deg, dec_deg=dec_deg)
        if not np.isfinite(x).all():
            return []
        outers = np.array([patch.outer.to_list() for patch in self.patches()], dtype=float)
        y0, y1, x0, x1 = (outers - 0.5).T
        overlaps = (x.max() > x0) & (x.min() < x1) & (y.max() > y0) & (y.min() < y1)
        corners = np.stack([np.stack([x0, x1, x1, x0]), np.stack([y0, y0, y1, y1])])
        for normal in np.stack([np.roll(y, -1) - y, x - np.roll(x, -1)], axis=1):
            of_boxes, of_outline = np.tensordot(normal, corners, 1), normal[0] * x + normal[1] * y
            overlaps &= (of_boxes.max(axis=0) > of_outline.min()) & (of_boxes.min(axis=0) < of_outline.max())
        return [int(id) for id in np.flatnonzero(overlaps)]


def sky_outline(wcs: SkyWcs, bbox: Box) -> Points:
    """Return points along the edge of an image.

    Parameters
    ----------
    wcs : SkyWcs
        Pixels to sky.
    bbox : Box
        The image.

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Counterclockwise in pixels, corners included [deg].
    """
    x, y = bbox.corners()
    fraction = np.arange(_EDGE_SAMPLES) / _EDGE_SAMPLES
    edge_x, edge_y = (c[:, None] + (np.roll(c, -1) - c)[:, None] * fraction for c in (x, y))
    return wcs.pixel_to_sky(x=edge_x.ravel(), y=edge_y.ravel())
