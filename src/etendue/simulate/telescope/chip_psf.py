"""The PSF of one detector in one exposure: air and optics, without pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ChipPsf:
    """PSF images at the nodes of a grid; bilinear in between.

    Parameters
    ----------
    nodes_x, nodes_y : ndarray, float64, shape (nx,), (ny,)
        Ascending trimmed pixels of the nodes [px]; outside the outermost nodes hold.
    images : ndarray, float32, shape (ny, nx, size, size)
        Samples of the PSF at each node, of unit sum, the centre on the middle sample; size is odd. The pixel's own
        response is not in.
    oversampling : int
        Samples per pixel.
    reference_nm : float
        Wavelength that the images are for [nm].
    chromatic_index : float
        The PSF's width goes as ``(wavelength / reference)**chromatic_index``; -0.2 for Kolmogorov's air.
    """

    nodes_x: NDArray[np.float64]
    nodes_y: NDArray[np.float64]
    images: NDArray[np.float32]
    oversampling: int
    reference_nm: float
    chromatic_index: float = 0.0

    def __post_init__(self) -> None:
        """Refuse images that do not belong to the nodes."""
        ny, nx, rows, columns = self.images.shape
        if (ny, nx) != (self.nodes_y.size, self.nodes_x.size) or rows != columns or rows % 2 == 0:
            raise ValueError(f"images {self.images.shape} at {self.nodes_y.size} x {self.nodes_x.size} nodes")
