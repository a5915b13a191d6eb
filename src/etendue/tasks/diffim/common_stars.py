"""Isolated stars on a template and a science image that share their pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from etendue.image.exposure import Exposure
from etendue.kernels.diffim import find_isolated_peaks

_HIGHEST_SNR = 1e9


def isolated_stars(
    exposure: Exposure, *, sigma: float, min_snr: float, half: int, bad_planes: tuple[str, ...], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the brightest isolated stars of an image.

    Parameters
    ----------
    exposure : Exposure
        Background-subtracted, with variance.
    sigma : float
        Width of the matched filter, a Gaussian [px].
    min_snr : float
        Faintest star.
    half : int
        Half-size of the square around a star that must be clean and hold no brighter pixel [px].
    bad_planes : tuple of str
        Mask planes that spoil it.
    most : int
        Largest number of stars.

    Returns
    -------
    col, row : ndarray, int64, shape (n,)
        Their brightest pixels, indices into the array, brightest first.
    """
    image, variance = exposure.image.array, exposure.variance.array
    bad = exposure.mask.any_of(bad_planes) | ~np.isfinite(image) | ~(variance > 0.0)
    norm = np.float32(2.0 * np.sqrt(np.pi) * sigma)
    smooth = gaussian_filter(np.where(bad, np.float32(0.0), image), sigma)
    snr = norm * smooth / np.sqrt(np.where(bad, np.float32(1.0), variance))
    if min(image.shape) <= 2 * half:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    col, row = find_isolated_peaks(snr.astype(np.float32), bad, min_snr, _HIGHEST_SNR, half)
    order = np.argsort(-snr[row, col], kind="stable")[:most]
    return col[order], row[order]


def stamps(plane: NDArray, col: NDArray[np.int64], row: NDArray[np.int64], half: int) -> NDArray:
    """Cut squares out of a plane.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Pixels.
    col, row : ndarray, int64, shape (n,)
        Centres, at least ``half`` from the edges.
    half : int
        Half-size [px].

    Returns
    -------
    ndarray, shape (n, 2 half + 1, 2 half + 1)
    """
    offset = np.arange(-half, half + 1)
    return plane[row[:, None, None] + offset[:, None], col[:, None, None] + offset]


def psf_sigma(exposure: Exposure, default: float) -> float:
    """Return the width of the Gaussian with the effective area of the PSF at the middle of an image [px].

    Parameters
    ----------
    exposure : Exposure
        The image.
    default : float
        Where it has no PSF [px].

    Returns
    -------
    float
    """
    if exposure.psf is None:
        return default
    area = float(exposure.psf.effective_area(x=exposure.bbox.x.center, y=exposure.bbox.y.center)[0])
    return float(np.sqrt(area / (4.0 * np.pi)))
