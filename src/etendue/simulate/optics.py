"""True and header WCS of a detector, and the PSF over the field."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import tangent_plane_inverse
from etendue.simulate.survey import Visit

_RADIAL = 1.3e-9  # barrel distortion: 1.7 px at 1100 px from the boresight [px**-2]
_TILT = 6.0e-8  # detector tilt: 0.07 px at the same place [px**-1]
_SCALE_ERROR = 1.0004  # true over nominal plate scale


def boresight_pixel(detector: Detector) -> tuple[float, float]:
    """Return the boresight in a detector's trimmed pixels.

    Parameters
    ----------
    detector : Detector
        The detector.

    Returns
    -------
    x, y : float
        Position [px], usually outside the detector.
    """
    center_x, center_y = detector.center_mm
    pitch = detector.pixel_size_mm
    return detector.bbox.x.center - center_x / pitch, detector.bbox.y.center - center_y / pitch


def header_wcs(camera: Camera, detector: Detector, visit: Visit) -> SkyWcs:
    """Return the WCS that the header gives: nominal pointing and scale, no distortion.

    Parameters
    ----------
    camera : Camera
        The camera.
    detector : Detector
        The detector.
    visit : Visit
        The visit.

    Returns
    -------
    SkyWcs
        In trimmed pixels.
    """
    x, y = boresight_pixel(detector)
    cd = _linear(camera.plate_scale / 3600.0, 0.0)
    return SkyWcs.tan(crpix_x=x, crpix_y=y, crval_ra_deg=visit.ra_deg, crval_dec_deg=visit.dec_deg, cd=cd)


def true_wcs(camera: Camera, detector: Detector, visit: Visit) -> SkyWcs:
    """Return the WCS that nature uses: pointing and rotation errors, radial distortion and tilt.

    Parameters
    ----------
    camera : Camera
        The camera.
    detector : Detector
        The detector.
    visit : Visit
        The visit.

    Returns
    -------
    SkyWcs
        In trimmed pixels.
    """
    xi, eta = visit.error_arcsec
    ra_deg, dec_deg = tangent_plane_inverse(xi / 3600.0, eta / 3600.0, visit.ra_deg, visit.dec_deg)
    sip_a, sip_b = np.zeros((4, 4)), np.zeros((4, 4))
    sip_a[3, 0] = sip_a[1, 2] = sip_b[0, 3] = sip_b[2, 1] = _RADIAL
    sip_a[2, 0] = sip_b[1, 1] = _TILT
    return SkyWcs.from_polynomial(
        crpix=boresight_pixel(detector),
        crval=(float(ra_deg), float(dec_deg)),
        cd=_linear(_SCALE_ERROR * camera.plate_scale / 3600.0, visit.rotation_deg),
        sip_a=sip_a,
        sip_b=sip_b,
    )


def _linear(scale_deg: float, rotation_deg: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    return np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([-scale_deg, scale_deg])


def psf_covariance(
    visit: Visit, detector: Detector, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the covariance that scales the Moffat mixture: FWHM**2 times an ellipse of unit area.

    The PSF grows by 4% and its ellipticity by 0.03, along the radius, at 1100 px from the boresight.

    Parameters
    ----------
    visit : Visit
        Seeing.
    detector : Detector
        The detector.
    x, y : ndarray, shape (n,)
        Trimmed pixels.

    Returns
    -------
    cxx, cyy, cxy : ndarray, shape (n,)
        Covariance [px**2].
    """
    x0, y0 = boresight_pixel(detector)
    u, v = (x - x0) / 1100.0, (y - y0) / 1100.0
    e1 = visit.ellipticity[0] + 0.03 * (u * u - v * v)
    e2 = visit.ellipticity[1] + 0.06 * u * v
    area = (visit.fwhm_px * (1.0 + 0.04 * (u * u + v * v))) ** 2 / np.sqrt(1.0 - e1 * e1 - e2 * e2)
    return area * (1.0 + e1), area * (1.0 - e1), area * e2
