"""Peaks of images that hold nothing but noise."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_ARCSEC2_PER_DEG2 = 3600.0**2
_TABLE = 2000
_REACH = 6.0


def peaks_per_deg2(snr: float, sigma_arcsec: float) -> float:
    """Return the number of peaks above a threshold, of one sign, in white noise smoothed by the PSF.

    High peaks of a Gaussian random field (Bond & Efstathiou 1987, MNRAS 226, 655) whose correlation is that of a
    Gaussian PSF with itself: ``snr * exp(-snr**2 / 2) / (2**2.5 * pi**1.5 * sigma**2)``.

    Parameters
    ----------
    snr : float
        Threshold, well above 1.
    sigma_arcsec : float
        Standard deviation of the PSF [arcsec].

    Returns
    -------
    float
        [1/deg**2].
    """
    return float(_ARCSEC2_PER_DEG2 * snr * np.exp(-0.5 * snr**2) / (2.0**2.5 * np.pi**1.5 * sigma_arcsec**2))


def draw_peaks(rng: np.random.Generator, threshold: Vector) -> Vector:
    """Draw the signal-to-noise ratios of noise peaks above thresholds.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    threshold : ndarray, float64, shape (n,)
        Thresholds, well above 1.

    Returns
    -------
    ndarray, float64, shape (n,)
        Distributed so that the number above a ratio goes as ``snr * exp(-snr**2 / 2)``.
    """
    if threshold.size == 0:
        return np.zeros(0)
    grid = np.linspace(threshold.min(), threshold.max() + _REACH, _TABLE)
    above = np.log(grid) - 0.5 * grid**2
    wanted = np.log(threshold) - 0.5 * threshold**2 + np.log1p(-rng.random(threshold.size))
    return np.maximum(np.interp(-wanted, -above, grid), threshold)
