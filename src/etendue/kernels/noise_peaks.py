"""How many local maxima filtered noise has above a level: the false alarms of a detection, on plain arrays."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

_NEIGHBOURS = [(j, i) for j in (-1, 0, 1) for i in (-1, 0, 1) if (j, i) != (0, 0)]
_DRAWS = 200_000
_SEED = 20_100  # of the draws that integrate over the neighbours: the same answer every time


def filter_correlation(kernel: ArrayLike, noise: ArrayLike | None = None) -> tuple[NDArray[np.float64], float]:
    """Return how filtered noise is correlated from pixel to pixel, and how much it exceeds that of white noise.

    Parameters
    ----------
    kernel : array_like, shape (k, k)
        Filter.
    noise : array_like, shape (m, m), optional
        Correlation coefficients of the pixels at the lags from the middle; white without.

    Returns
    -------
    correlation : ndarray, float64, shape (5, 5)
        Of the filtered noise, at lags of up to 2 px; 1 in the middle.
    factor : float
        Variance of the filtered noise over ``sum(kernel**2)`` times that of a pixel.
    """
    f = np.asarray(kernel, float)
    rho = np.ones((1, 1)) if noise is None else np.asarray(noise, float)
    size = 2 * f.shape[0] + rho.shape[0] + 4
    spectrum = np.abs(np.fft.rfft2(f, (size, size))) ** 2
    wrapped = np.zeros((size, size))
    half = rho.shape[0] // 2
    wrapped[: rho.shape[0], : rho.shape[1]] = rho
    wrapped = np.roll(wrapped, (-half, -half), (0, 1))
    covariance = np.fft.irfft2(spectrum * np.fft.rfft2(wrapped).real, (size, size))
    near = np.roll(covariance, (2, 2), (0, 1))[:5, :5]
    return near / near[2, 2], float(near[2, 2] / np.sum(f * f))


class NoisePeaks:
    """Density of the grid maxima of a Gaussian noise field of unit variance.

    With neighbours ``S_i = rho_i S + D_i``, D independent of S, a pixel is a maximum of height s where
    ``max_i D_i / (1 - rho_i) < s``; so the density above nu is the mean of ``Q(max(nu, M))`` over that maximum M, with
    the Gaussian tail Q. On a grid much finer than the filter it tends to the formula for continuous fields,
    ``nu exp(-nu^2 / 2) / ((2 pi)^1.5 2 sigma^2)`` (Adler 1981; Vio & Andreani 2016, A&A 589, A20).

    Parameters
    ----------
    correlation : ndarray, float64, shape (5, 5)
        Of the field at lags of up to 2 px, as `filter_correlation` returns it.
    """

    def __init__(self, correlation: NDArray[np.float64]):
        rho = np.array([correlation[2 + j, 2 + i] for j, i in _NEIGHBOURS])
        lags = [[(b[0] - a[0], b[1] - a[1]) for b in _NEIGHBOURS] for a in _NEIGHBOURS]
        among = np.array([[correlation[2 + j, 2 + i] for j, i in row] for row in lags])
        values, vectors = np.linalg.eigh(among - np.outer(rho, rho))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        draws = np.random.default_rng(_SEED).standard_normal((_DRAWS, rho.size))
        self._highest = np.max((draws @ root.T) / np.maximum(1.0 - rho, 1e-9), axis=1)

    def above(self, level: float) -> float:
        """Return the number of maxima per pixel that are higher than a level [1 / px]."""
        return float(np.mean(ndtr(-np.maximum(level, self._highest))))

    def level(self, density: float) -> float:
        """Return the level that a given number of maxima per pixel exceed.

        Parameters
        ----------
        density : float
            Maxima per pixel; positive.

        Returns
        -------
        float
            0 if even all maxima above 0 are fewer.
        """
        low, high = 0.0, 40.0
        if self.above(low) <= density:
            return low
        for _ in range(50):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.above(middle) > density else (low, middle)
        return 0.5 * (low + high)
