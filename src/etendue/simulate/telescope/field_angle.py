"""Where a detector's pixels are in the field, in degrees from the optical axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DetectorPlace:
    """Affine map between pixels and the focal plane in nominal field angles.

    Parameters
    ----------
    center_x, center_y : float
        Trimmed pixel of the detector's centre.
    field_x, field_y : float
        Field angle of the detector's centre along the focal plane's axes [deg].
    turn_deg : float
        Angle from the focal plane's x axis to the rows [deg].
    deg_per_px : float
        Nominal plate scale [deg/px].
    """

    center_x: float
    center_y: float
    field_x: float
    field_y: float
    turn_deg: float
    deg_per_px: float

    @classmethod
    def nominal(cls, camera: Camera, detector: Detector) -> "DetectorPlace":
        """Return the place that the camera's description gives.

        Parameters
        ----------
        camera : Camera
            The camera.
        detector : Detector
            One of its detectors.

        Returns
        -------
        DetectorPlace
        """
        per_px = camera.plate_scale / 3600.0
        x, y = (value / detector.pixel_size_mm * per_px for value in detector.center_mm)
        box = detector.bbox
        return cls(box.x.center, box.y.center, x, y, detector.rotation_deg, per_px)

    def to_field(self, *, x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
        """Return nominal field angles of pixels.

        Parameters
        ----------
        x, y : array_like
            Trimmed pixels.

        Returns
        -------
        field_x, field_y : ndarray, float64
            Field angles [deg].
        """
        dx, dy = (np.asarray(x) - self.center_x) * self.deg_per_px, (np.asarray(y) - self.center_y) * self.deg_per_px
        cosine, sine = np.cos(np.radians(self.turn_deg)), np.sin(np.radians(self.turn_deg))
        return self.field_x + cosine * dx - sine * dy, self.field_y + sine * dx + cosine * dy

    def to_pixel(self, *, field_x: ArrayLike, field_y: ArrayLike) -> tuple[Vector, Vector]:
        """Return pixels of nominal field angles.

        Parameters
        ----------
        field_x, field_y : array_like
            Field angles [deg].

        Returns
        -------
        x, y : ndarray, float64
            Trimmed pixels.
        """
        fx, fy = np.asarray(field_x) - self.field_x, np.asarray(field_y) - self.field_y
        cosine, sine = np.cos(np.radians(self.turn_deg)), np.sin(np.radians(self.turn_deg))
        dx, dy = cosine * fx + sine * fy, cosine * fy - sine * fx
        return self.center_x + dx / self.deg_per_px, self.center_y + dy / self.deg_per_px
