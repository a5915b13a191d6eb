"""Translate mask planes around sources into LSST's pixel flags."""

import numpy as np
from numpy.typing import NDArray

from etendue.image.mask import Mask
from etendue.kernels.photometry import mask_bits

FOOTPRINT_FLAGS = {
    "pixelFlags_bad": "BAD",
    "pixelFlags_cr": "CR",
    "pixelFlags_edge": "EDGE",
    "pixelFlags_interpolated": "INTRP",
    "pixelFlags_saturated": "SAT",
    "pixelFlags_suspect": "SUSPECT",
    "pixelFlags_nodata": "NO_DATA",
    "pixelFlags_streak": "STREAK",
    "pixelFlags_clipped": "CLIPPED",
    "pixelFlags_inexact_psf": "INEXACT_PSF",
    "pixelFlags_injected": "INJECTED",
}
CENTER_FLAGS = {
    "pixelFlags_crCenter": "CR",
    "pixelFlags_interpolatedCenter": "INTRP",
    "pixelFlags_saturatedCenter": "SAT",
    "pixelFlags_suspectCenter": "SUSPECT",
    "pixelFlags_nodataCenter": "NO_DATA",
    "pixelFlags_streakCenter": "STREAK",
    "pixelFlags_clippedCenter": "CLIPPED",
    "pixelFlags_inexact_psfCenter": "INEXACT_PSF",
    "pixelFlags_injectedCenter": "INJECTED",
}

BRIGHT_STAR_FLAGS = {"pixelFlags_halo": "HALO", "pixelFlags_spike": "SPIKE", "pixelFlags_ghost": "GHOST"}


def bright_star_flags(mask: Mask, x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Flag sources whose centre lies on light of bright stars.

    Parameters
    ----------
    mask : Mask
        Mask of the exposure, with the planes HALO, SPIKE and GHOST set.
    x, y : ndarray, shape (n,)
        Sources, parent pixels.

    Returns
    -------
    dict of str to ndarray, bool, shape (n,)
        ``pixelFlags_halo``, ``pixelFlags_spike`` and ``pixelFlags_ghost``.
    """
    col = np.rint(x).astype(np.int64) - mask.bbox.x.start
    row = np.rint(y).astype(np.int64) - mask.bbox.y.start
    centre = mask_bits(np.ascontiguousarray(mask.array), col, row, 0)
    return {name: (centre & mask.bits(plane)) != 0 for name, plane in BRIGHT_STAR_FLAGS.items()}


def pixel_flags(
    mask: Mask, x: NDArray[np.float64], y: NDArray[np.float64], fwhm: float
) -> dict[str, NDArray[np.bool_]]:
    """Flag sources by the mask planes near them.

    Parameters
    ----------
    mask : Mask
        Mask of the exposure.
    x, y : ndarray, shape (n,)
        Sources, parent pixels.
    fwhm : float
        FWHM of the PSF [px]; the footprint is a square of this half side, the centre a square of 3 pixels.

    Returns
    -------
    dict of str to ndarray, bool, shape (n,)
        One column per flag; ``pixelFlags_edge`` and ``pixelFlags_offimage`` also tell sources cut by the image's edge.
    """
    col = np.rint(x).astype(np.int64) - mask.bbox.x.start
    row = np.rint(y).astype(np.int64) - mask.bbox.y.start
    array, half = np.ascontiguousarray(mask.array), int(np.ceil(fwhm))
    near, centre = mask_bits(array, col, row, half), mask_bits(array, col, row, 1)
    flags = {name: (near & mask.bits(plane)) != 0 for name, plane in FOOTPRINT_FLAGS.items()}
    flags |= {name: (centre & mask.bits(plane)) != 0 for name, plane in CENTER_FLAGS.items()}
    ny, nx = array.shape
    flags["pixelFlags_offimage"] = (col < 0) | (row < 0) | (col >= nx) | (row >= ny)
    flags["pixelFlags_edge"] |= (col < half) | (row < half) | (col >= nx - half) | (row >= ny - half)
    return flags
