"""Named bit planes of pixels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.content import content_digest
from etendue.image.image import checked_box
from etendue.schema.mask_planes import MASK_PLANES


@dataclass(frozen=True, eq=False)
class Mask:
    """An int32 plane whose bits have names.

    Parameters
    ----------
    array : array_like, int32, shape (ny, nx)
        Pixels; bit ``planes[name]`` is set where the plane ``name`` is.
    bbox : Box, optional
        Parent coordinates of the pixels; the array's own by default.
    planes : mapping of str to int
        Bit number of every plane.

    Raises
    ------
    InputError
        If the shapes of array and box differ.
    """

    array: NDArray[np.int32]
    bbox: Box = None  # type: ignore[assignment]
    planes: Mapping[str, int] = field(default_factory=lambda: MASK_PLANES)

    def __post_init__(self) -> None:
        array = np.asarray(self.array, dtype=np.int32)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "bbox", checked_box(array, self.bbox))

    @classmethod
    def empty(cls, bbox: Box) -> "Mask":
        """Return a mask with nothing set.

        Parameters
        ----------
        bbox : Box
            Pixels to cover.

        Returns
        -------
        Mask
        """
        return cls(np.zeros(bbox.shape, dtype=np.int32), bbox)

    def bits(self, names: str | Iterable[str]) -> int:
        """Return the integer with the bits of the named planes.

        Parameters
        ----------
        names : str or iterable of str
            Plane names.

        Returns
        -------
        int

        Raises
        ------
        InputError
            If a plane does not exist.
        """
        names = (names,) if isinstance(names, str) else tuple(names)
        unknown = [name for name in names if name not in self.planes]
        if unknown:
            raise InputError("unknown mask plane", value=unknown[0], remedy=f"use one of {', '.join(self.planes)}")
        return sum(1 << self.planes[name] for name in set(names))

    def any_of(self, names: str | Iterable[str]) -> NDArray[np.bool_]:
        """Tell where at least one of the planes is set.

        Parameters
        ----------
        names : str or iterable of str
            Plane names.

        Returns
        -------
        ndarray, bool, shape (ny, nx)
        """
        return (self.array & np.int32(self.bits(names))) != 0

    def with_plane(self, name: str, where: ArrayLike) -> "Mask":
        """Return a copy with a plane also set at some pixels.

        Parameters
        ----------
        name : str
            Plane.
        where : array_like, bool, shape (ny, nx)
            Pixels to set.

        Returns
        -------
        Mask
        """
        changed = self.copy()
        changed.set_plane(name, where)
        return changed

    def without_plane(self, name: str, where: ArrayLike = True) -> "Mask":
        """Return a copy with a plane cleared at some pixels.

        Parameters
        ----------
        name : str
            Plane.
        where : array_like, bool, shape (ny, nx)
            Pixels to clear; all by default.

        Returns
        -------
        Mask
        """
        changed = self.copy()
        np.bitwise_and(self.array, ~np.int32(self.bits(name)), out=changed.array, where=self._checked(where))
        return changed

    def set_plane(self, name: str, where: ArrayLike) -> None:
        """Set a plane in place: only for a mask whose pixels the caller has made.

        Parameters
        ----------
        name : str
            Plane.
        where : array_like, bool, shape (ny, nx)
            Pixels to set.
        """
        np.bitwise_or(self.array, np.int32(self.bits(name)), out=self.array, where=self._checked(where))

    def _checked(self, where: ArrayLike) -> NDArray[np.bool_]:
        where = np.asarray(where, dtype=bool)
        if where.shape not in ((), self.array.shape):
            raise InputError(f"pixels to mask have shape {where.shape}, the mask has {self.array.shape}")
        return where

    def copy(self) -> "Mask":
        """Return a mask with pixels of its own.

        Returns
        -------
        Mask
        """
        return Mask(self.array.copy(), self.bbox, self.planes)

    def subset(self, box: Box) -> "Mask":
        """Return the pixels of a box inside this mask, as a view.

        Parameters
        ----------
        box : Box
            Parent coordinates; must lie inside.

        Returns
        -------
        Mask
        """
        return Mask(self.array[box.slices_in(self.bbox)], box, self.planes)

    def count(self, name: str) -> int:
        """Return the number of pixels with a plane set.

        Parameters
        ----------
        name : str
            Plane.

        Returns
        -------
        int
        """
        return int(np.count_nonzero(self.any_of(name)))

    def content_hash(self) -> str:
        """Return the hash of box, plane names and pixels.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        return content_digest([self.bbox.to_list(), dict(self.planes), self.array])
