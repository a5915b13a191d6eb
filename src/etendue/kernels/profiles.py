"""Profiles of galaxies as sums of Gaussians: the sums that match a Sersic law best, found by least squares."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls
from scipy.special import gammainc, gammaincinv, gammaln

_RADII = np.geomspace(0.01, 100.0, 200)  # half-light radii where profile and light inside are compared


def sersic_law(index: float, radius: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the surface brightness of a Sersic profile of unit flux and its light inside each radius.

    Parameters
    ----------
    index : float
        Sersic index; 1 is exponential, 4 de Vaucouleurs.
    radius : ndarray, float64, shape (n,)
        In half-light radii.

    Returns
    -------
    brightness, inside : ndarray, float64, shape (n,)
        Per squared half-light radius, and 0 to 1; the profile reaches to infinity.
    """
    kappa = gammaincinv(2.0 * index, 0.5)
    norm = 2.0 * index * np.log(kappa) - np.log(2.0 * np.pi * index) - gammaln(2.0 * index)
    scaled = kappa * radius ** (1.0 / index)
    return np.exp(norm - scaled), gammainc(2.0 * index, scaled)


@lru_cache
def sersic_mixture(index: float, count: int) -> NDArray[np.float64]:
    """Fit a sum of Gaussians to a Sersic profile.

    Light inside a radius and brightness times radius squared are matched together, over radii equally spaced in their
    logarithm: first amplitudes on a ladder of widths, then both.

    Parameters
    ----------
    index : float
        Sersic index.
    count : int
        Gaussians.

    Returns
    -------
    ndarray, float64, shape (count, 2)
        Amplitudes of unit sum, and variances in squared half-light radii.
    """
    brightness, inside = sersic_law(index, _RADII)
    target = np.concatenate([inside, 2.0 * np.pi * _RADII**2 * brightness])
    edge = _RADII[np.searchsorted(inside, [0.004, 0.995])]
    ladder = np.log(np.geomspace(edge[0], edge[1] / 2.5, count))
    amplitude, _ = nnls(_light(ladder), target)

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.exp(parameters[count:] - parameters[count:].max())
        return _light(parameters[:count]) @ (share / share.sum()) - target

    def slopes(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.exp(parameters[count:] - parameters[count:].max())
        share /= share.sum()
        light = _light(parameters[:count])
        half = 0.5 * (_RADII[:, np.newaxis] / np.exp(parameters[:count])) ** 2
        inside, dense = -2.0 * half * np.exp(-half), 4.0 * half * (half - 1.0) * np.exp(-half)
        return np.hstack([np.concatenate([inside, dense]) * share, (light - (light @ share)[:, np.newaxis]) * share])

    start = np.concatenate([ladder, np.log(np.maximum(amplitude, 1e-4))])
    found = least_squares(misfit, start, jac=slopes, x_scale="jac", max_nfev=200).x
    share = np.exp(found[count:] - found[count:].max())
    mixture: NDArray[np.float64] = np.stack([share / share.sum(), np.exp(2.0 * found[:count])], axis=1)
    mixture = np.ascontiguousarray(mixture[np.argsort(mixture[:, 1])])
    mixture.setflags(write=False)
    return mixture


def _light(log_sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light inside the radii, and 2 pi r^2 brightness, of Gaussians of unit flux, shape (2 n, count)."""
    half = 0.5 * (_RADII[:, np.newaxis] / np.exp(log_sigma)) ** 2
    return np.concatenate([-np.expm1(-half), 2.0 * half * np.exp(-half)])
