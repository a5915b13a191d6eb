"""Smooth random fields over a detector, by which the shape of a PSF varies besides its polynomial."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.kernels.psf_field import matern_sums

_NAMES = ("knot_x", "knot_y", "weights", "lengths")


@dataclass(frozen=True, eq=False)
class MaternField:
    """Means of Gaussian processes with Matern kernels of smoothness 3/2.

    Parameters
    ----------
    knot_x, knot_y : ndarray, float64, shape (n,)
        Stars that they were found from [px].
    weights : ndarray, float64, shape (n, k)
        Weights of the kernels around the stars, of k fields.
    lengths : ndarray, float64, shape (k,)
        Scales of the kernels [px].
    """

    knot_x: NDArray[np.float64]
    knot_y: NDArray[np.float64]
    weights: NDArray[np.float64]
    lengths: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.lengths.size)

    def at(self, *, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fields at places [px], shape (n, k)."""
        return matern_sums(x, y, self.knot_x, self.knot_y, self.weights, self.lengths)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all that is needed to rebuild the fields."""
        return {f"field_{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> "MaternField | None":
        """Rebuild the fields among the arrays of a PSF; None where it has none."""
        if "field_lengths" not in arrays:
            return None
        return cls(*(np.ascontiguousarray(arrays[f"field_{name}"], np.float64) for name in _NAMES))
