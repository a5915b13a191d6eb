"""A raw frame as its amplifiers read it: one plane for each, the first pixel read first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.camera.read_order import ReadOrder, read_orders


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The amplifiers' pixels in the order in which they are read, with prescan and overscan.

    Pixels of one place in different segments are read at the same time, so crosstalk, linearity and charge transfer
    are simple here whatever the layout.

    Parameters
    ----------
    array : ndarray, float32, shape (n, my, mx)
        Pixels [ADU, or e where a step says so]; 0 behind the segments of smaller amplifiers.
    detector : Detector
        The detector.
    """

    array: NDArray[np.float32]
    detector: Detector

    @classmethod
    def of(cls, raw: NDArray[Any], detector: Detector) -> "Segments":
        """Take a raw frame apart.

        Parameters
        ----------
        raw : ndarray, shape `Detector.raw_shape`
            Raw frame [ADU].
        detector : Detector
            The detector.

        Returns
        -------
        Segments
            A copy; pixels that are not finite are NaN.

        Raises
        ------
        InputError
            If the frame has another shape.
        """
        detector.check_shape(raw.shape)
        orders = read_orders(detector)
        array = np.zeros((len(orders), *np.max([order.shape for order in orders], axis=0)), np.float32)
        for order, segment in zip(orders, array, strict=True):
            order.read(raw, segment)
        if not np.issubdtype(raw.dtype, np.integer):
            array[~np.isfinite(array)] = np.nan
        return cls(array, detector)

    @property
    def orders(self) -> tuple[ReadOrder, ...]:
        """Read order of each amplifier."""
        return read_orders(self.detector)

    def data(self, number: int) -> NDArray[np.float32]:
        """Return the light-sensitive pixels of an amplifier.

        Parameters
        ----------
        number : int
            Place in `Detector.amplifiers`.

        Returns
        -------
        ndarray, float32, shape (ny, nx)
            A view.
        """
        return self.array[number][self.orders[number].data]

    def assemble(self) -> NDArray[np.float32]:
        """Put the light-sensitive pixels together.

        Returns
        -------
        ndarray, float32, shape of `Detector.bbox`
            The trimmed frame.
        """
        trimmed = np.empty(self.detector.bbox.shape, np.float32)
        for number, order in enumerate(self.orders):
            order.view(trimmed, self.detector)[...] = self.data(number)
        return trimmed
