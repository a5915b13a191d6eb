"""Measure on a difference what noise its template brought along."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.special import ndtr

from etendue.errors import AlgorithmError
from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.local_background import local_background
from etendue.tasks.diffim.decorrelate import power_of
from etendue.tasks.task import Task, TaskConfig

LARGEST_CUT = 0.9
"""Part of the science image's noise that a template which shares it can take away."""


class ResidualNoiseConfig(TaskConfig):
    """Lags and rejection."""

    reach: float = Field(5.0, gt=0.0)
    """Largest distance at which the noise of two pixels is related [px]."""

    ring: float = Field(9.0, gt=0.0)
    """What relates pixels between `reach` and this distance is structure on larger scales, and no noise [px]."""

    clip: float = Field(3.0, gt=1.0)
    """Pixels that stand out by more robust sigmas are left out: they are variables and artefacts."""

    level_cell: int = Field(32, ge=16)
    """Side of the cells whose medians are subtracted first [px]."""

    min_pixels: int = Field(5000, ge=100)
    """Fewest pixels of sky."""


@dataclass(frozen=True, slots=True)
class ResidualNoise:
    """What the matched template adds to the noise.

    Parameters
    ----------
    variance : ndarray, float32, shape (ny, nx)
        At zero frequency; negative where the template holds the science image itself.
    power : ndarray, float64, shape (64, 33)
        Spectrum on the FFT grid, at the median variance.
    """

    variance: NDArray[np.float32]
    power: NDArray[np.float64]


class ResidualNoiseTask(Task[ResidualNoiseConfig]):
    """Take the correlation of the difference's blank pixels, less that of the science image.

    On a deep template faint sources overlap until no pixel is blank, and they cannot be told from correlated noise. In
    the difference they are gone, so its pixels show the noise itself.
    """

    def run(
        self,
        *,
        difference: NDArray[np.float32],
        sky: NDArray[np.bool_],
        science_variance: NDArray[np.float32],
        science_noise: NoiseAutocorrelation | None,
        spread: NDArray[np.float32],
    ) -> ResidualNoise:
        """Measure.

        Parameters
        ----------
        difference : ndarray, float32, shape (ny, nx)
            Science minus matched template, not whitened.
        sky : ndarray, bool, shape (ny, nx)
            Usable pixels without sources.
        science_variance : ndarray, float32, shape (ny, nx)
            Pixel variance of the science image, which is believed.
        science_noise : NoiseAutocorrelation or None
            Its correlation; None stands for white noise.
        spread : ndarray, float32, shape (ny, nx)
            How the template's variance varies over the image, on any scale.

        Returns
        -------
        ResidualNoise

        Raises
        ------
        AlgorithmError
            If there is too little sky.
        """
        config = self.config
        sky = sky & (science_variance > 0.0) & (spread > 0.0)
        if np.count_nonzero(sky) < config.min_pixels:
            raise AlgorithmError("too little sky to measure the noise of the template", pixels=int(sky.sum()))
        level = local_background(difference.astype(np.float64), ~sky, config.level_cell)
        scale = np.sqrt(np.where(sky, science_variance, np.float32(1.0)))
        pull = np.where(sky, (difference - level) / scale, 0.0)
        width = 1.4826 * float(np.median(np.abs(pull[sky])))
        sky &= np.abs(pull) < config.clip * width
        found = _correlation(np.where(sky, pull, 0.0), sky, int(np.ceil(config.ring)))
        middle = found.shape[0] // 2
        kept = _clipped_variance(config.clip)  # of products of two clipped values its square
        found /= kept**2
        found[middle, middle] *= kept
        lag = np.hypot(*np.indices(found.shape) - middle)
        found -= _placed(science_noise, found.shape[0])
        found -= float(np.mean(found[(lag > config.reach) & (lag <= config.ring)]))
        found[lag > config.reach] = 0.0
        found /= float(np.mean(spread[sky] / science_variance[sky]))
        total = float(found.sum())
        variance = np.maximum(np.float32(total) * spread, np.float32(-LARGEST_CUT) * science_variance)
        return ResidualNoise(variance, float(np.median(spread[sky])) * power_of(found))


def _correlation(pull: NDArray[np.float64], sky: NDArray[np.bool_], reach: int) -> NDArray[np.float64]:
    """Return the mean product of all pairs of sky pixels by their lag, shape (2 reach + 1, 2 reach + 1)."""
    shape = [next_fast_len(size + reach, real=True) for size in pull.shape]
    products, pairs = (irfft2(np.abs(rfft2(plane, shape)) ** 2, shape) for plane in (pull, sky.astype(float)))
    lags = np.arange(-reach, reach + 1)
    near = np.ix_(lags, lags)
    return np.asarray(products[near] / np.maximum(pairs[near], 1.0))


def _clipped_variance(clip: float) -> float:
    """Return the variance of a standard normal without its tails."""
    density = np.exp(-0.5 * clip**2) / np.sqrt(2.0 * np.pi)
    return float(1.0 - 2.0 * clip * density / (2.0 * ndtr(clip) - 1.0))


def _placed(noise: NoiseAutocorrelation | None, size: int) -> NDArray[np.float64]:
    """Return an autocorrelation in the middle of a square, cut where it is larger."""
    square = np.zeros((size, size))
    kernel = np.ones((1, 1)) if noise is None else noise.kernel
    cut = max(0, (kernel.shape[0] - size) // 2)
    kernel = kernel[cut : kernel.shape[0] - cut, cut : kernel.shape[1] - cut]
    place = (size - kernel.shape[0]) // 2
    square[place : place + kernel.shape[0], place : place + kernel.shape[1]] = kernel
    return square
