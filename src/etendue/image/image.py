"""A plane of float32 pixels that knows its place in the parent frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.content import content_digest


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels and the box they cover.

    Parameters
    ----------
    array : array_like, float32, shape (ny, nx)
        Pixels; converted to native float32 (no copy if they are already).
    bbox : Box, optional
        Parent coordinates of the pixels; the array's own by default.

    Raises
    ------
    InputError
        If the shapes of array and box differ.
    """

    array: NDArray[np.float32]
    bbox: Box = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        array = np.asarray(self.array, dtype=np.float32)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "bbox", checked_box(array, self.bbox))

    @classmethod
    def full(cls, bbox: Box, value: float = 0.0) -> "Image":
        """Return an image of one value.

        Parameters
        ----------
        bbox : Box
            Pixels to cover.
        value : float
            Value of every pixel.

        Returns
        -------
        Image
        """
        return cls(np.full(bbox.shape, value, dtype=np.float32), bbox)

    def subset(self, box: Box) -> "Image":
        """Return the pixels of a box inside this image, as a view.

        Parameters
        ----------
        box : Box
            Parent coordinates; must lie inside.

        Returns
        -------
        Image
        """
        return Image(self.array[box.slices_in(self.bbox)], box)

    def content_hash(self) -> str:
        """Return the hash of box and pixels.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        return content_digest([self.bbox.to_list(), self.array])


def checked_box(array: NDArray[Any], bbox: Box | None) -> Box:
    """Return the box of a two-dimensional array, after checking that they agree.

    Parameters
    ----------
    array : ndarray, shape (ny, nx)
        Pixels.
    bbox : Box or None
        Claimed box; None stands for the array's own coordinates.

    Returns
    -------
    Box

    Raises
    ------
    InputError
        If the array is not two-dimensional or its shape is not the box's.
    """
    if array.ndim != 2:
        raise InputError("an image needs a two-dimensional array", value=array.shape)
    if bbox is None:
        return Box.from_shape(array.shape)
    if array.shape != bbox.shape:
        raise InputError(f"array of shape {array.shape} does not fill box of shape {bbox.shape}")
    return bbox
