"""Skymaps: how the sky is cut into tracts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.content import content_digest
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg, sky_position, tangent_plane, unit_vector
from etendue.geom.tract import Tract, sky_outline


class SkyMap(ABC):
    """Tracts, and how to find them."""

    @property
    @abstractmethod
    def n_tracts(self) -> int:
        """Number of tracts; their ids are 0 to ``n_tracts - 1``."""

    def tract(self, id: int = 0) -> Tract:
        """Return a tract.

        Parameters
        ----------
        id : int
            Its number.

        Returns
        -------
        Tract

        Raises
        ------
        InputError
            If there is no such tract.
        """
        if not 0 <= id < self.n_tracts:
            raise InputError(f"this skymap has tracts 0 to {self.n_tracts - 1}", value=id)
        return self._make_tract(int(id))

    @abstractmethod
    def find_tract(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
        """Return the one tract that owns each position.

        Parameters
        ----------
        ra_deg, dec_deg : array_like
            Positions [deg].

        Returns
        -------
        ndarray, int64
            Tract ids; -1 where there is none.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict for `skymap_from_dict`."""

    def find_patches(self, *, wcs: SkyWcs, bbox: Box) -> list[tuple[int, int]]:
        """Return the patches whose outer boxes overlap an image.

        Parameters
        ----------
        wcs : SkyWcs
            Of the image.
        bbox : Box
            Its pixels.

        Returns
        -------
        list of (int, int)
            Sorted ``(tract, patch)`` ids.
        """
        ra, dec = sky_outline(wcs, bbox)
        ra0, dec0 = wcs.pixel_to_sky(x=bbox.x.center, y=bbox.y.center)
        near = self._tracts_near(float(ra0), float(dec0), float(separation_deg(ra, dec, ra0, dec0).max()))
        return [(id, patch) for id in near for patch in self.tract(id).patches_overlapping(ra, dec)]

    def content_hash(self) -> str:
        """Return the hash of the configuration.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        return content_digest([self.to_dict()])

    @abstractmethod
    def _make_tract(self, id: int) -> Tract:
        """Return the tract of a number that exists."""

    def _tracts_near(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[int]:
        """Return at least the tracts that reach into a circle, sorted."""
        return range(self.n_tracts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RingsSkyMapConfig:
    """Configuration of `RingsSkyMap`; the defaults are those of LSST's DP1 maps.

    Parameters
    ----------
    num_rings : int
        Rings of constant declination between the two polar tracts.
    ra_start_deg : float
        Right ascension of the first tract of every ring [deg].
    tract_overlap_deg : float
        Width added to a tract on every side [deg].
    pixel_scale : float
        At tract centres [arcsec/px].
    patch_size : int
        Side of inner patches [px].
    patch_border : int
        Overlap of outer patches [px].

    Raises
    ------
    InputError
        If a number is out of range.
    """

    num_rings: int = 120
    ra_start_deg: float = 0.0
    tract_overlap_deg: float = 1.0 / 60.0
    pixel_scale: float = 0.2
    patch_size: int = 4000
    patch_border: int = 100

    def __post_init__(self) -> None:
        if self.num_rings < 1 or self.pixel_scale <= 0 or self.patch_size < 1 or self.patch_border < 0:
            raise InputError("skymap numbers out of range", value=asdict(self))


@dataclass(frozen=True)
class RingsSkyMap(SkyMap):
    """Tracts on rings of constant declination, with one tract at each pole, as LSST's.

    Parameters
    ----------
    config : RingsSkyMapConfig
        The numbers.
    """

    config: RingsSkyMapConfig

    @property
    def ring_height_deg(self) -> float:
        """Height of a ring in declination [deg]; the two polar caps together count as one more ring."""
        return 180.0 / (self.config.num_rings + 1)

    @cached_property
    def ring_sizes(self) -> NDArray[np.int64]:
        """Number of tracts of every ring, from the south, int64, shape (num_rings,)."""
        low = self.ring_height_deg * (np.arange(self.config.num_rings) + 0.5) - 90.0
        widest = np.minimum(np.abs(low), np.abs(low + self.ring_height_deg))
        return (360.0 * np.cos(np.radians(widest)) / self.ring_height_deg).astype(np.int64) + 1

    @cached_property
    def _first_ids(self) -> NDArray[np.int64]:
        return 1 + np.concatenate([[0], np.cumsum(self.ring_sizes)])

    @property
    def n_tracts(self) -> int:
        """Number of tracts."""
        return int(self.ring_sizes.sum()) + 2

    @cached_property
    def _centers(self) -> NDArray[np.float64]:
        rings = np.repeat(np.arange(self.config.num_rings), self.ring_sizes)
        number = np.arange(rings.size) + 1 - self._first_ids[rings]
        ra = np.remainder(360.0 * number / self.ring_sizes[rings] + self.config.ra_start_deg, 360.0)
        dec = self.ring_height_deg * (rings + 1) - 90.0
        return np.concatenate([[[0.0, -90.0]], np.stack([ra, dec], axis=1), [[0.0, 90.0]]])

    def _make_tract(self, id: int) -> Tract:
        ra, dec = self._centers[id]
        config = self.config
        return Tract.around(
            id,
            ra_deg=float(ra),
            dec_deg=float(dec),
            half_size_deg=0.5 * self.ring_height_deg + config.tract_overlap_deg,
            pixel_scale=config.pixel_scale,
            patch_size=config.patch_size,
            patch_border=config.patch_border,
        )

    def find_tract(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
        """Return the tract that owns each position: the nearest in its ring; see `SkyMap.find_tract`."""
        ra, dec = np.broadcast_arrays(np.asarray(ra_deg, float), np.asarray(dec_deg, float))
        ring = np.floor((dec + 90.0) / self.ring_height_deg - 0.5).astype(np.int64)
        inside = np.clip(ring, 0, self.config.num_rings - 1)
        size = self.ring_sizes[inside]
        number = np.floor(np.remainder(ra - self.config.ra_start_deg, 360.0) * size / 360.0 + 0.5).astype(np.int64)
        ids = self._first_ids[inside] + number % size
        return np.where(ring < 0, 0, np.where(ring >= self.config.num_rings, self.n_tracts - 1, ids))

    def _tracts_near(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[int]:
        # Half a diagonal; tracts grow by less than a patch, and gnomonic squares stretch a little.
        patch_deg = self.config.patch_size * self.config.pixel_scale / 3600.0
        reach = 1.5 * (0.5 * self.ring_height_deg + self.config.tract_overlap_deg + patch_deg)
        near = separation_deg(self._centers[:, 0], self._centers[:, 1], ra_deg, dec_deg) < radius_deg + reach
        return [int(id) for id in np.flatnonzero(near)]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict for `skymap_from_dict`.

        Returns
        -------
        dict
        """
        return {"kind": "rings", **asdict(self.config)}


@dataclass(frozen=True, kw_only=True)
class SingleTractSkyMap(SkyMap):
    """One tract, for a survey of one field.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Centre [deg].
    half_size_deg : float
        Angle from the centre to the middle of an edge [deg].
    pixel_scale : float
        At the centre [arcsec/px].
    patch_size : int
        Side of inner patches [px].
    patch_border : int
        Overlap of outer patches [px].

    Raises
    ------
    InputError
        If a size is not positive.
    """

    ra_deg: float
    dec_deg: float
    half_size_deg: float
    pixel_scale: float
    patch_size: int = 2000
    patch_border: int = 50

    def __post_init__(self) -> None:
        if self.half_size_deg <= 0 or self.pixel_scale <= 0 or self.patch_size < 1 or self.patch_border < 0:
            raise InputError("skymap numbers out of range", value=asdict(self))

    @classmethod
    def covering(
        cls, images: list[tuple[SkyWcs, Box]], *, pixel_scale: float, patch_size: int = 2000, patch_border: int = 50
    ) -> "SingleTractSkyMap":
        """Return the map around a set of images.

        Parameters
        ----------
        images : list of (SkyWcs, Box)
            At least one image.
        pixel_scale : float
            At the centre [arcsec/px].
        patch_size, patch_border : int
            See the class [px].

        Returns
        -------
        SingleTractSkyMap
        """
        outlines = np.concatenate([np.stack(sky_outline(*image), axis=1) for image in images])
        ra0, dec0 = sky_position(unit_vector(outlines[:, 0], outlines[:, 1]).mean(axis=0))
        xi, eta = tangent_plane(outlines[:, 0], outlines[:, 1], ra0, dec0)
        half_size = max(float(np.abs(xi).max()), float(np.abs(eta).max()))
        return cls(
            ra_deg=float(ra0),
            dec_deg=float(dec0),
            half_size_deg=half_size,
            pixel_scale=pixel_scale,
            patch_size=patch_size,
            patch_border=patch_border,
        )

    @property
    def n_tracts(self) -> int:
        """Number of tracts: 1."""
        return 1

    def _make_tract(self, id: int) -> Tract:
        return Tract.around(id, **asdict(self))

    def find_tract(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
        """Return 0 for positions inside the tract, else -1; see `SkyMap.find_tract`."""
        return np.minimum(self.tract().find_patch(ra_deg, dec_deg), 0)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict for `skymap_from_dict`.

        Returns
        -------
        dict
        """
        return {"kind": "single_tract", **asdict(self)}


def skymap_from_dict(state: Mapping[str, Any]) -> SkyMap:
    """Return the skymap that ``to_dict`` described.

    Parameters
    ----------
    state : mapping
        With ``kind`` "rings", "single_tract" or "fields" and the numbers of that map.

    Returns
    -------
    SkyMap

    Raises
    ------
    InputError
        If the kind or a number is unknown.
    """
    numbers = {key: value for key, value in state.items() if key != "kind"}
    try:
        if state.get("kind") == "rings":
            return RingsSkyMap(RingsSkyMapConfig(**numbers))
        if state.get("kind") == "single_tract":
            return SingleTractSkyMap(**numbers)
        if state.get("kind") == "fields":
            from etendue.geom.fields import FieldsSkyMap  # which is made of the maps above

            return FieldsSkyMap.from_dict(state)
    except TypeError as error:
        raise InputError(f"skymap description does not fit: {error}", value=dict(state)) from None
    raise InputError("unknown kind of skymap", value=state.get("kind"), remedy="use rings, single_tract or fields")
