"""The WCS with which a raw frame starts: its header's, or one made of pointing and geometry."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.header_spec import Scalar
from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.geom.wcs_header import read_wcs, write_wcs_of_array

_ABSURD_FACTOR = 100.0  # between the sizes of an image by its WCS and by the camera's plate scale
_STEP_PX = 1.0


def read_header_wcs(
    header: Mapping[str, Any],
    camera: Camera,
    detector: Detector,
    path: str | Path,
    given: Mapping[str, Any] | None = None,
) -> SkyWcs | None:
    """Return the WCS of a header, or the one that people give instead.

    Parameters
    ----------
    header : mapping
        FITS header.
    camera : Camera
        The camera.
    detector : Detector
        One of its detectors.
    path : str or Path
        File named in errors.
    given : mapping, optional
        Cards in place of the header's.

    Returns
    -------
    SkyWcs or None
        In trimmed pixels; None where the header has none, or the camera says that it does not count.

    Raises
    ------
    InputError
        If the WCS cannot be read, or is absurd.
    """
    if given is None and camera.header.wcs_source == "pointing":
        return None
    cards = given or header
    if not str(cards.get("CTYPE1", "")).strip().upper().startswith(("RA-", "DEC-")):
        return None
    dx, dy = _header_shift(camera, detector)
    try:
        wcs = read_wcs(cards).shifted(dx=-dx, dy=-dy)
    except InputError as error:
        remedy = None if error.remedy else "correct the header, or give a WCS in overrides.yaml"
        raise InputError(str(error), source=path, remedy=remedy) from None
    _check_extent(wcs, camera, detector, path)
    return wcs


def write_wcs_cards(wcs: SkyWcs, camera: Camera, detector: Detector) -> dict[str, Scalar]:
    """Return WCS cards that `read_header_wcs` reads back to the same WCS.

    Parameters
    ----------
    wcs : SkyWcs
        Trimmed pixels to sky.
    camera : Camera
        Camera whose headers count pixels.
    detector : Detector
        The detector.

    Returns
    -------
    dict
        Keyword to value; none for a camera whose headers have no WCS.
    """
    if camera.header.wcs_source == "pointing":
        return {}
    dx, dy = _header_shift(camera, detector)
    cards = write_wcs_of_array(wcs.shifted(dx=dx, dy=dy), detector.bbox.shifted(dx=dx, dy=dy))
    return {name: value for name, value in cards.items() if name not in ("WCSRESID", "INVRESID")}


def pointing_wcs(camera: Camera, detector: Detector, ra_deg: float, dec_deg: float, rotation_deg: float) -> SkyWcs:
    """Return a TAN WCS from pointing, rotation, plate scale, distortion and the detector's place.

    Parameters
    ----------
    camera : Camera
        The camera.
    detector : Detector
        One of its detectors.
    ra_deg, dec_deg : float
        Boresight [deg].
    rotation_deg : float
        Position angle of the focal plane's y axis [deg]; NaN is north up.

    Returns
    -------
    SkyWcs
        In trimmed pixels; exact without distortion, else to first order at the detector's centre.
    """
    angle = math.radians(0.0 if math.isnan(rotation_deg) else rotation_deg)
    center = np.array([detector.bbox.x.center, detector.bbox.y.center])
    dx, dy = np.array([0.0, _STEP_PX, -_STEP_PX, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, _STEP_PX, -_STEP_PX])
    field_x, along = _field_angles(camera, detector, center[0] + dx, center[1] + dy)
    across = -field_x if camera.parity_flipped else field_x
    east = math.cos(angle) * across + math.sin(angle) * along
    north = math.cos(angle) * along - math.sin(angle) * across
    cd = np.array([[a[1] - a[2], a[3] - a[4]] for a in (east, north)]) / (2.0 * _STEP_PX)
    crpix = center - np.linalg.solve(cd, [east[0], north[0]])
    return SkyWcs.tan(
        crpix_x=float(crpix[0]), crpix_y=float(crpix[1]), crval_ra_deg=ra_deg, crval_dec_deg=dec_deg, cd=cd
    )


def _field_angles(
    camera: Camera, detector: Detector, x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions of pixels along the focal plane's axes, on the tangent plane of the boresight [deg]."""
    per_px = camera.plate_scale / 3600.0
    turn = math.radians(detector.rotation_deg)
    dx, dy = np.asarray(x, float) - detector.bbox.x.center, np.asarray(y, float) - detector.bbox.y.center
    place_x, place_y = (value / detector.pixel_size_mm for value in detector.center_mm)
    field_x = (place_x + math.cos(turn) * dx - math.sin(turn) * dy) * per_px
    field_y = (place_y + math.sin(turn) * dx + math.cos(turn) * dy) * per_px
    square = field_x**2 + field_y**2
    factor = 1.0 + camera.distortion[0] * square + camera.distortion[1] * square**2
    return field_x * factor, field_y * factor


def _header_shift(camera: Camera, detector: Detector) -> tuple[int, int]:
    """Return the shift from trimmed pixels to those that the WCS of a header counts."""
    if camera.header.wcs_pixels == "trimmed":
        return 0, 0
    data, place = detector.amplifiers[0].raw_data, detector.amplifiers[0].bbox
    return data.x.start - place.x.start, data.y.start - place.y.start


def _check_extent(wcs: SkyWcs, camera: Camera, detector: Detector, path: str | Path) -> None:
    """Refuse a WCS that spreads the image over much more, or much less, sky than the plate scale does."""
    x, y = detector.bbox.corners()
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    found = separation_deg(ra[:2], dec[:2], ra[2:], dec[2:])  # both diagonals
    expected = math.hypot(*detector.bbox.shape) * camera.plate_scale / 3600.0
    if not ((found > expected / _ABSURD_FACTOR) & (found < expected * _ABSURD_FACTOR)).all():
        raise InputError(
            f"its WCS makes the image {found.min():.3g} deg wide, the plate scale {expected:.3g}", source=path,
            remedy="correct the header, or give a WCS in overrides.yaml",
        )  # fmt: skip
