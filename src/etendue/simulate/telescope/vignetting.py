"""Light that the edges of lenses and mirrors cut off."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.spec import VignettingSpec

Vector = NDArray[np.float64]


def vignetting_at(spec: VignettingSpec, field_deg: Vector) -> Vector:
    """Return the share of light that passes.

    Parameters
    ----------
    spec : VignettingSpec
        Radii.
    field_deg : ndarray, float64
        Field angles [deg].

    Returns
    -------
    ndarray, float64
        1 inside the clear radius, one half at the edge radius, falling smoothly.
    """
    width = max(spec.edge_deg - spec.clear_deg, 1e-6)
    beyond = np.maximum((field_deg - spec.clear_deg) / width, 0.0)
    return np.asarray(1.0 / (1.0 + beyond**3))


def vignetting_map(spec: VignettingSpec, detector: Detector, place: DetectorPlace) -> NDArray[np.float32]:
    """Return the share of light that passes to every pixel of a detector.

    Parameters
    ----------
    spec : VignettingSpec
        Radii.
    detector : Detector
        The detector.
    place : DetectorPlace
        Where it is.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
    """
    ny, nx = detector.bbox.shape
    fx, fy = place.to_field(x=np.arange(nx)[None, :], y=np.arange(ny)[:, None])
    return vignetting_at(spec, np.hypot(fx, fy)).astype(np.float32)
