"""The outline of a detector on the sky, from the header of a frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.sphgeom import ConvexPolygon, UnitVector3d
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.observation_info import ObservationInfo
from etendue.errors import InputError
from etendue.geom.sphere import unit_vector


@dataclass(frozen=True, slots=True, eq=False)
class SkyOutline:
    """Where a frame lies on the sky, or why that is unknown.

    Parameters
    ----------
    corners : ndarray, shape (4, 3) or (0, 3)
        Unit vectors of its corners; none where they are unknown.
    fault : str
        Why, in one line.
    """

    corners: NDArray[np.float64]
    fault: str = ""

    @classmethod
    def unknown(cls, fault: str) -> "SkyOutline":
        """Return an outline without corners.

        Parameters
        ----------
        fault : str
            Why, in one line.
        """
        return cls(np.empty((0, 3)), fault)

    def vectors(self) -> list[UnitVector3d]:
        """Return the corners as sphgeom has them."""
        return [UnitVector3d(*vector) for vector in self.corners.tolist()]


def outline_of(camera: Camera, info: ObservationInfo, padding_px: int) -> SkyOutline:
    """Return the outline of a frame's detector.

    Parameters
    ----------
    camera : Camera
        Its geometry.
    info : ObservationInfo
        With the WCS of the header.
    padding_px : int
        It grows by this much on every side, because pointing keywords err [px].

    Returns
    -------
    SkyOutline
    """
    try:
        return SkyOutline(_corners(camera, info, padding_px))
    except InputError as error:
        return SkyOutline.unknown(str(error))


def _corners(camera: Camera, info: ObservationInfo, padding_px: int) -> NDArray[np.float64]:
    if info.wcs is None:
        raise InputError(
            "no WCS and no pointing in its header", source=info.file_name, remedy="correct the header translation"
        )
    x, y = camera.detector(info.detector_id).bbox.dilated(padding_px).corners()
    corners = np.atleast_2d(unit_vector(*info.wcs.pixel_to_sky(x=x, y=y)))
    try:
        ConvexPolygon([UnitVector3d(*vector) for vector in corners.tolist()])
    except ValueError:
        raise InputError("its WCS covers no area of the sky", source=info.file_name,
                         remedy="correct the header, or give a WCS in overrides.yaml") from None  # fmt: skip
    return corners


def unit_vectors(ra_deg: Any, dec_deg: Any) -> list[UnitVector3d]:
    """Return sphgeom vectors of positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions [deg].

    Returns
    -------
    list of UnitVector3d
    """
    return [UnitVector3d(*vector) for vector in np.atleast_2d(unit_vector(ra_deg, dec_deg)).tolist()]
