"""The WCS that headers give: nominal pointing, scale and rotation, no distortion."""

import numpy as np

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.geom.sky_wcs import SkyWcs
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.telescope.true_wcs import true_wcs


def header_wcs(camera: Camera, detector: Detector, exposure: PlannedExposure) -> SkyWcs:
    """Return the header's WCS.

    Parameters
    ----------
    camera : Camera
        The camera.
    detector : Detector
        One of its detectors.
    exposure : PlannedExposure
        Pointing and rotation.

    Returns
    -------
    SkyWcs
        TAN, in trimmed pixels.
    """
    nominal = true_wcs(camera, detector, exposure, None, 0)
    x0, y0 = nominal.place.to_pixel(field_x=0.0, field_y=0.0)
    per_px = np.linalg.inv(nominal.pixels_per_arcsec(x=np.array([float(x0)]), y=np.array([float(y0)]))[0]) / 3600.0
    return SkyWcs.tan(
        crpix_x=float(x0), crpix_y=float(y0), crval_ra_deg=exposure.ra_deg, crval_dec_deg=exposure.dec_deg, cd=per_px
    )
