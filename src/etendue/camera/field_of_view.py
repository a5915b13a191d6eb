"""Where the optical axis meets a detector's pixels, and where the optics let light through."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector


def optical_axis(detector: Detector) -> tuple[float, float]:
    """Return the pixel at which the optical axis meets the plane of a detector.

    Parameters
    ----------
    detector : Detector
        With its place on the focal plane.

    Returns
    -------
    x, y : float
        Pixel of the trimmed frame, mostly outside of it.
    """
    turn = np.deg2rad(detector.rotation_deg)
    x, y = (value / detector.pixel_size_mm for value in detector.center_mm)
    box = detector.bbox
    return (
        float(box.x.center - (np.cos(turn) * x + np.sin(turn) * y)),
        float(box.y.center - (np.cos(turn) * y - np.sin(turn) * x)),
    )


def outside_field(camera: Camera, detector: Detector) -> NDArray[np.bool_] | None:
    """Return the pixels whose centre lies outside the unvignetted field.

    Parameters
    ----------
    camera : Camera
        Its ``field_radius_mm`` is the radius around the optical axis.
    detector : Detector
        Its place on the focal plane.

    Returns
    -------
    ndarray, bool, shape of ``detector.bbox``, or None
        None if no pixel lies outside, or the camera does not say.
    """
    if camera.field_radius_mm is None:
        return None
    (x0, y0), box = optical_axis(detector), detector.bbox
    x = np.arange(box.x.start, box.x.stop) - x0
    y = np.arange(box.y.start, box.y.stop) - y0
    outside = x**2 + y[:, np.newaxis] ** 2 > (camera.field_radius_mm / detector.pixel_size_mm) ** 2
    return outside if outside.any() else None
