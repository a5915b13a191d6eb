"""Point sources fitted together, and nothing else measured of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PointFit:
    """Point sources fitted together.

    Attributes
    ----------
    x, y, flux, flux_err : ndarray, float64, shape (n,)
        Parent pixels and image units.
    residual : ndarray, float64, shape (ny, nx)
        Image minus all of them.
    """

    x: Real
    y: Real
    flux: Real
    flux_err: Real
    residual: Real
