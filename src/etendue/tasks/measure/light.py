"""The light that each source of an image has of its own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SourceLight:
    """One stamp per source, each of its own size, in columns.

    Pixel (j, i) of the stamp of source s is ``value[offset[s] + j * width[s] + i]`` and belongs to array pixel
    ``(y0[s] + j, x0[s] + i)``.

    Parameters
    ----------
    value : ndarray, float32, shape (total,)
        Light [image unit].
    offset : ndarray, int64, shape (n + 1,)
        First sample of each stamp, and the total.
    x0, y0, width, height : ndarray, int64, shape (n,)
        First pixel and sides of each stamp [px].

    Raises
    ------
    InputError
        If the columns do not fit together.
    """

    value: NDArray[np.float32]
    offset: Index
    x0: Index
    y0: Index
    width: Index
    height: Index

    def __post_init__(self) -> None:
        n = self.x0.size
        if not self.y0.size == self.width.size == self.height.size == n or self.offset.size != n + 1:
            raise InputError("the light of sources needs columns of one length", value=(n, self.offset.size))
        if not np.array_equal(np.diff(self.offset), self.width * self.height) or self.offset[-1] != self.value.size:
            raise InputError("the stamps of sources do not fill their samples", value=int(self.value.size))

    @property
    def columns(self) -> tuple[NDArray[np.float32], Index, Index, Index, Index, Index]:
        """The columns in the order in which kernels take them (`etendue.kernels.source_light`)."""
        return self.value, self.offset, self.x0, self.y0, self.width, self.height

    def __len__(self) -> int:
        return int(self.x0.size)

    def stamp(self, source: int) -> NDArray[np.float32]:
        """Return the light of one source, shape (height, width)."""
        own = self.value[self.offset[source] : self.offset[source + 1]]
        return own.reshape(self.height[source], self.width[source])
