"""How much narrower the stars of an image are than a PSF that is only a guess."""

import numpy as np
from numpy.typing import NDArray

_STEP, _LEVELS, _MOST = 0.03, 15, 10
_FADED = 0.25  # stars scatter about their width: steps count on while this part of them is left
_FEWEST, _SHARE = 10, 0.1  # stars, and their part of all peaks, in three neighbouring steps
_ERROR = 0.02
_HALF, _PIXELS = 2, 25


def sharpened(stamps: NDArray[np.float64], variance: float, passes: int = 4) -> NDArray[np.float64]:
    """Make PSFs narrower: filters for the narrower of two PSFs spare stars of both.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps.
    variance : float
        What is taken off the variance along each axis [px**2].
    passes : int
        Steps of inverse diffusion.

    Returns
    -------
    ndarray, float64, shape (n, k, k)
        Not negative; of about the same sum.
    """
    for _ in range(passes):
        wide = np.pad(stamps, ((0, 0), (1, 1), (1, 1)), mode="edge")
        beside = wide[:, 2:, 1:-1] + wide[:, :-2, 1:-1] + wide[:, 1:-1, 2:] + wide[:, 1:-1, :-2]
        stamps = np.maximum(stamps - 0.5 * variance / passes * (beside - 4.0 * stamps), 0.0)
    return stamps


def narrowed(stamps: NDArray[np.float64], sigma: float, part: float) -> NDArray[np.float64]:
    """Make PSFs narrower by a part of their width.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps.
    sigma : float
        Their width [px].
    part : float
        By what part of it they are made narrower; 0 leaves them as they are.

    Returns
    -------
    ndarray, float64, shape (n, k, k)
        See `sharpened`.
    """
    return sharpened(stamps, (1.0 - (1.0 - part) ** 2) * sigma**2) if part > 0.0 else stamps


def too_broad(
    pixels: NDArray[np.float32], variance: NDArray[np.float32], stamps: NDArray[np.float64], sigma: float
) -> float:
    """Estimate by what part of its width a PSF is broader than the stars.

    Each peak is fitted by the PSF made narrower step by step. Stars agree with each other; galaxies are broader than
    they, and particles narrower, most of them than any step. So the step counts on which most peaks agree.

    Parameters
    ----------
    pixels, variance : ndarray, float32, shape (n, 25)
        The 5 x 5 pixels around bright peaks, stars and others, and their variance.
    stamps : ndarray, float64, shape (m, k, k)
        PSF stamps that sample the sub-pixel positions of a star; k odd.
    sigma : float
        Width of the PSF [px].

    Returns
    -------
    float
        0 where the PSF is not too broad by 5%, or too few peaks agree; else a step more than what the narrower of
        those that agree say; at most 0.42.
    """
    if pixels.shape[0] < _FEWEST:
        return 0.0
    light = pixels.astype(np.float64)
    weights = 1.0 / (variance + (_ERROR * light.max(axis=1, keepdims=True)) ** 2)
    chi2 = [_chi2_of_stars(light, weights, narrowed(stamps, sigma, _STEP * step)) for step in range(_LEVELS)]
    counts = np.bincount(np.argmin(chi2, axis=0), minlength=_LEVELS)
    agreeing = np.convolve(counts, np.ones(3, np.int64), mode="same")
    best = int(np.argmax(agreeing[: _MOST + 1]))
    if best < 2 or agreeing[best] < max(_FEWEST, _SHARE * pixels.shape[0]):
        return 0.0
    while best + 2 < _LEVELS and counts[best + 1] > _FADED * counts[best]:
        best += 1
    return (best + 1) * _STEP


def _chi2_of_stars(
    pixels: NDArray[np.float64], weights: NDArray[np.float64], stamps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the chi2, but for a constant, of the best single star upon any sky, for each peak."""
    middle = stamps.shape[1] // 2
    window = slice(middle - _HALF, middle + _HALF + 1)
    stars = stamps[:, window, window].reshape(-1, _PIXELS).T
    total = weights.sum(axis=1, keepdims=True)
    centred = weights * (pixels - (weights * pixels).sum(axis=1, keepdims=True) / total)
    slope = np.maximum(centred @ stars, 0.0)
    norm = weights @ stars**2 - (weights @ stars) ** 2 / total
    return np.asarray(-(slope**2 / norm).max(axis=1))
