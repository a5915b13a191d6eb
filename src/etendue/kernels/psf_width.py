"""How much narrower the stars of an image are than a PSF that is only a guess."""

import numpy as np
from numpy.typing import NDArray

_STEP, _FIRST, _LEVELS = 0.03, -5, 20  # the PSF is made broader and narrower step by step
_MOST = 10  # the narrowest step at which stars are looked for
_FADED = 0.25  # stars scatter about their width: steps count on while this part of them is left
_FEWEST, _SHARE = 5, 0.3  # stars, and their part of those that fit, in three neighbouring steps
_GOOD = 2.0  # chi2 per pixel of a star: few particles are like a star of any width
_ERROR = 0.02
_SMALL = 1  # steps that need no correction


def sharpened(stamps: NDArray[np.float64], variance: float, passes: int = 4) -> NDArray[np.float64]:
    """Make PSFs narrower: filters for the narrower of two PSFs spare stars of both.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps.
    variance : float
        What is taken off the variance along each axis; added to it if negative [px**2].
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
        By what part of it they are made narrower; 0 leaves them as they are, what is negative makes them broader.

    Returns
    -------
    ndarray, float64, shape (n, k, k)
        See `sharpened`.
    """
    return sharpened(stamps, (1.0 - (1.0 - part) ** 2) * sigma**2) if part != 0.0 else stamps


def too_broad(
    pixels: NDArray[np.float32], variance: NDArray[np.float32], stamps: NDArray[np.float64], sigma: float
) -> float:
    """Estimate by what part of its width a PSF is broader than the stars.

    Each peak is fitted by the PSF made broader and narrower step by step. Stars agree with each other; galaxies are
    broader than they, and particles are like a star of no width at all. So of the peaks that fit, the step counts on
    which most agree.

    Parameters
    ----------
    pixels, variance : ndarray, float32, shape (n, w, w)
        The pixels around bright peaks, stars and others, and their variance; w odd.
    stamps : ndarray, float64, shape (m, k, k)
        PSF stamps that sample the sub-pixel positions of a star; k odd, at least w.
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
    light = pixels.astype(np.float64).reshape(pixels.shape[0], -1)
    weights = 1.0 / (variance.reshape(light.shape) + (_ERROR * light.max(axis=1, keepdims=True)) ** 2)
    around = stamps.shape[1] // 2 - pixels.shape[1] // 2
    window = slice(around, around + pixels.shape[1])
    steps = np.arange(_FIRST, _FIRST + _LEVELS)
    chi2 = [_chi2_of_stars(light, weights, narrowed(stamps, sigma, _STEP * step)[:, window, window]) for step in steps]
    stars = np.min(chi2, axis=0) < _GOOD * light.shape[1]
    counts = np.bincount(np.argmin(chi2, axis=0)[stars], minlength=_LEVELS)
    counts[[0, -1]] = 0  # what is broader or narrower than any step
    agreeing = np.convolve(counts, np.ones(3, np.int64), mode="same")
    best = int(np.argmax(np.where(steps <= _MOST, agreeing, 0)))
    if steps[best] <= _SMALL or agreeing[best] < max(_FEWEST, _SHARE * counts.sum()):
        return 0.0
    while best + 2 < _LEVELS and counts[best + 1] > _FADED * counts[best]:
        best += 1
    return float(steps[best] + 1) * _STEP


def _chi2_of_stars(
    pixels: NDArray[np.float64], weights: NDArray[np.float64], stamps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the chi2 of the best single star upon any sky, for each peak."""
    stars = stamps.reshape(stamps.shape[0], -1).T
    total = weights.sum(axis=1, keepdims=True)
    above = pixels - (weights * pixels).sum(axis=1, keepdims=True) / total
    slope = np.maximum((weights * above) @ stars, 0.0)
    norm = weights @ stars**2 - (weights @ stars) ** 2 / total
    return np.asarray((weights * above**2).sum(axis=1) - (slope**2 / norm).max(axis=1))
