"""Smooth factors over a detector: exponentials of polynomials."""

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box

Vector = NDArray[np.float64]


def legendre_terms(x: Vector, y: Vector, bbox: Box, degree: int) -> Vector:
    """Return Legendre products over a detector without the constant.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Columns and rows [px].
    bbox : Box
        The detector; its edges are at -1 and 1.
    degree : int
        Total degree.

    Returns
    -------
    ndarray, float64, shape (n, (degree + 1) * (degree + 2) / 2 - 1)
    """
    u, v = ((2.0 * (p - i.start + 0.5) / i.size - 1.0) for p, i in ((x, bbox.x), (y, bbox.y)))
    along_x, along_y = (np.polynomial.legendre.legvander(p, degree) for p in (u, v))
    powers = [(j, i) for j in range(degree + 1) for i in range(degree + 1 - j) if i + j > 0]
    return np.stack([along_y[:, j] * along_x[:, i] for j, i in powers], axis=1)


def response_map(solution: Vector, bbox: Box, degree: int, node_px: int) -> NDArray[np.float32]:
    """Return the exponential of a polynomial at every pixel, median 1.

    Parameters
    ----------
    solution : ndarray, float64
        Coefficients of `legendre_terms`, of the logarithm.
    bbox : Box
        The detector.
    degree : int
        Total degree.
    node_px : int
        It is evaluated on nodes this far apart and interpolated [px].

    Returns
    -------
    ndarray, float32, shape of ``bbox``
    """
    axes = [np.append(np.arange(i.start, i.stop - 1, node_px, dtype=float), i.stop - 1.0) for i in (bbox.y, bbox.x)]
    y, x = (grid.ravel() for grid in np.meshgrid(*axes, indexing="ij"))
    nodes = np.exp(legendre_terms(x, y, bbox, degree) @ solution).reshape(axes[0].size, axes[1].size)
    along = np.stack([np.interp(np.arange(bbox.x.start, bbox.x.stop), axes[1], row) for row in nodes])
    columns = [np.interp(np.arange(bbox.y.start, bbox.y.stop), axes[0], column) for column in along.T]
    response = np.stack(columns, axis=1)
    return np.asarray(response / np.median(response), np.float32)
