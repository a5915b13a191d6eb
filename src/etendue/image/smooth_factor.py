"""A factor that varies smoothly over a detector, as flux scales and aperture corrections have it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.polynomial import Polynomial2D


def smooth_factor(
    spatial: Polynomial2D | None, *, center: tuple[float, float], half_size: float, x: ArrayLike, y: ArrayLike
) -> NDArray[np.float64]:
    """Return the factor at pixels.

    Parameters
    ----------
    spatial : Polynomial2D or None
        The factor, in ``(x - center_x) / half_size`` and the same for y; None for 1 everywhere.
    center : (float, float)
        Pixel ``(x, y)`` where the polynomial's arguments are 0.
    half_size : float
        Pixels per unit of the polynomial's arguments.
    x, y : array_like
        Pixels, parent coordinates.

    Returns
    -------
    ndarray, float64
        In the broadcast shape of ``x`` and ``y``.
    """
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    if spatial is None:
        return np.ones(x.shape)
    return np.asarray(spatial((x - center[0]) / half_size, (y - center[1]) / half_size))


def smooth_factor_to_dict(
    spatial: Polynomial2D | None, *, center: tuple[float, float], half_size: float
) -> dict[str, Any]:
    """Return the three parts of a factor as a JSON-able dict.

    Parameters
    ----------
    spatial, center, half_size
        As for `smooth_factor`.

    Returns
    -------
    dict
    """
    return {
        "spatial": None if spatial is None else spatial.coefficients.tolist(),
        "center": list(center),
        "half_size": half_size,
    }


def smooth_factor_from_dict(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments ``spatial``, ``center`` and ``half_size`` of a written factor.

    Parameters
    ----------
    state : mapping
        As returned by `smooth_factor_to_dict`; other keys are ignored.

    Returns
    -------
    dict
    """
    spatial = state.get("spatial")
    return {
        "spatial": None if spatial is None else Polynomial2D(np.array(spatial)),
        "center": tuple(state.get("center", (0.0, 0.0))),
        "half_size": state.get("half_size", 1.0),
    }
