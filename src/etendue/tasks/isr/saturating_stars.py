"""The reference stars that saturate a frame, on it or beside it."""

import numpy as np
from numpy.typing import NDArray

from etendue.image.exposure import Exposure
from etendue.refcat.sample import ReferenceSample

Vector = NDArray[np.float64]


def saturating_stars(
    exposure: Exposure, sample: ReferenceSample, *, full_e: float, margin_px: float
) -> tuple[Vector, Vector] | None:
    """Return the pixels of reference stars whose peaks would exceed a charge.

    Parameters
    ----------
    exposure : Exposure
        In electrons, with WCS, PSF and photometric calibration.
    sample : ReferenceSample
        Reference stars of the field and its surroundings.
    full_e : float
        Charge in the brightest pixel [e].
    margin_px : float
        How far beyond the edges stars count [px].

    Returns
    -------
    x, y : ndarray, float64, shape (n,), or None
        Parent pixels; None if the exposure lacks one of its parts, its fluxes are relative, or the catalog has no
        fluxes in its band.
    """
    calib, fluxes = exposure.photo_calib, sample.flux_in(exposure.band)
    if exposure.wcs is None or exposure.psf is None or calib is None or fluxes is None or calib.kind == "relative":
        return None
    near = sample.near(exposure.wcs, exposure.bbox, margin_px=margin_px)
    box = exposure.bbox
    peak = float(exposure.psf.stamp(x=box.x.center, y=box.y.center).max())
    charge = near.fluxes[exposure.band][0] / calib.scale * peak
    bright = charge > full_e
    return exposure.wcs.sky_to_pixel(ra_deg=near.ra_deg[bright], dec_deg=near.dec_deg[bright])
