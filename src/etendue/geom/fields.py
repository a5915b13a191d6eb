"""A skymap of several separate fields, one tract each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.skymap import SingleTractSkyMap, SkyMap
from etendue.geom.sphere import separation_deg, unit_vector
from etendue.geom.tract import Tract, sky_outline

Images = list[tuple[SkyWcs, Box]]


@dataclass(frozen=True)
class FieldsSkyMap(SkyMap):
    """Tracts of one field each.

    Parameters
    ----------
    fields : tuple of SingleTractSkyMap
        The tract of the same number is made of each.

    Raises
    ------
    InputError
        If there is none.
    """

    fields: tuple[SingleTractSkyMap, ...]

    def __post_init__(self) -> None:
        if not self.fields:
            raise InputError("a skymap needs at least one field")

    @classmethod
    def covering(cls, images: Images, *, pixel_scale: float, patch_size: int, patch_border: int = 50) -> "FieldsSkyMap":
        """Return the map of a set of images: those that touch, also by others between them, share a tract.

        Parameters
        ----------
        images : list of (SkyWcs, Box)
            At least one image.
        pixel_scale : float
            At the centre of every tract [arcsec/px].
        patch_size : int
            Largest side of inner patches; every tract has at least four, so that several processes share it [px].
        patch_border : int
            Overlap of outer patches [px].

        Returns
        -------
        FieldsSkyMap
            Ordered by the first image in each field.
        """
        groups = [[images[k] for k in members] for members in group_images(images)]
        tracts = (SingleTractSkyMap.covering(g, pixel_scale=pixel_scale, patch_border=patch_border) for g in groups)
        return cls(tuple(_cut(field, patch_size) for field in tracts))

    @property
    def n_tracts(self) -> int:
        """Number of tracts."""
        return len(self.fields)

    def _make_tract(self, id: int) -> Tract:
        return replace(self.fields[id].tract(), id=id)

    def find_tract(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
        """Return the first tract that holds each position; see `SkyMap.find_tract`."""
        found = np.full(np.broadcast(ra_deg, dec_deg).shape, -1, np.int64)
        for id in range(self.n_tracts - 1, -1, -1):
            found[self.fields[id].find_tract(ra_deg, dec_deg) == 0] = id
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict for `skymap_from_dict`.

        Returns
        -------
        dict
        """
        return {"kind": "fields", "fields": [field.to_dict() for field in self.fields]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "FieldsSkyMap":
        """Return the map that `to_dict` described.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        FieldsSkyMap
        """
        numbers = [{key: value for key, value in field.items() if key != "kind"} for field in state["fields"]]
        return cls(tuple(SingleTractSkyMap(**field) for field in numbers))


def group_images(images: Images) -> list[list[int]]:
    """Part images into fields: images whose surrounding circles touch belong together.

    Parameters
    ----------
    images : list of (SkyWcs, Box)
        Any images.

    Returns
    -------
    list of list of int
        Indices of the images of every field, in order of its first image.
    """
    if not images:
        return []
    centers = np.array([wcs.pixel_to_sky(x=box.x.center, y=box.y.center) for wcs, box in images])
    radius = np.array([
        separation_deg(*sky_outline(wcs, box), *center).max()
        for (wcs, box), center in zip(images, centers, strict=True)
    ])  # fmt: skip
    reach = min(2.0 * float(radius.max()), 180.0)
    tree = cKDTree(unit_vector(centers[:, 0], centers[:, 1]))
    first, second = tree.query_pairs(2.0 * np.sin(np.radians(0.5 * reach)), output_type="ndarray").T
    apart = separation_deg(centers[first, 0], centers[first, 1], centers[second, 0], centers[second, 1])
    touch = apart <= radius[first] + radius[second]
    n = len(images)
    links = coo_array((np.ones(touch.sum(), bool), (first[touch], second[touch])), shape=(n, n))
    _, field = connected_components(links, directed=False)
    return [np.flatnonzero(field == k).tolist() for k in dict.fromkeys(field.tolist())]


def _cut(field: SingleTractSkyMap, patch_size: int) -> SingleTractSkyMap:
    """Return a field with equal patches, none larger than asked."""
    side = max(field.tract().bbox.shape)
    return replace(field, patch_size=ceil(side / max(2, ceil(side / patch_size))))
