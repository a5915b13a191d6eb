"""Whiten the noise of a difference image (Reiss & Lupton 2016, DMTN-021)."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import Psf, pixel_basis_of
from etendue.image.psf_pixel_basis import PixelBasisPsf

_GRID = 64


def noise_power(noise: NoiseAutocorrelation | None) -> NDArray[np.float64]:
    """Return the power spectrum of unit-variance noise on the FFT grid.

    Parameters
    ----------
    noise : NoiseAutocorrelation or None
        None stands for white noise.

    Returns
    -------
    ndarray, float64, shape (64, 33)
        At least 1e-6.
    """
    if noise is None or noise.is_white:
        return np.ones((_GRID, _GRID // 2 + 1))
    return np.maximum(power_of(noise.kernel), 1e-6)


def power_of(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power spectrum that belongs to a correlation of pixels.

    Parameters
    ----------
    correlation : ndarray, float64, shape (k, k)
        By lag, k odd, zero lag in the middle.

    Returns
    -------
    ndarray, float64, shape (64, 33)
        On the FFT grid.
    """
    return np.asarray(np.fft.rfft2(_centred(correlation)).real)


def decorrelation_kernel(
    *,
    science_power: NDArray[np.float64],
    template_power: NDArray[np.float64],
    kernels: NDArray[np.float64],
    half: int,
) -> tuple[NDArray[np.float64], float]:
    """Return the filter that makes the noise of ``science - kernel * template`` white.

    With the noise power ``P(k) = S(k) + <|K(k)|^2> T(k)``, averaged over the image, the filter is
    ``sqrt(P(0) / P(k))``: of unit sum, so fluxes stay, and leaves white noise of variance ``P(0)``.

    Parameters
    ----------
    science_power, template_power : ndarray, float64, shape (64, 33)
        Noise variance times `noise_power` of the two images.
    kernels : ndarray, float64, shape (n, k, k)
        Matching kernel at n places, k odd.
    half : int
        Half-size of the result [px].

    Returns
    -------
    filter : ndarray, float64, shape (2 half + 1, 2 half + 1)
        Unit sum.
    factor : float
        Variance it leaves over ``P(0)``: not quite 1, for the filter is cut off.
    """
    transfer = np.mean([np.abs(np.fft.rfft2(_centred(kernel))) ** 2 for kernel in kernels], axis=0)
    power = science_power + transfer * template_power
    full = np.fft.fftshift(np.fft.irfft2(np.sqrt(power[0, 0] / power), s=(_GRID, _GRID)))
    middle = _GRID // 2
    result = full[middle - half : middle + half + 1, middle - half : middle + half + 1]
    result = result / result.sum()
    left = np.fft.irfft2(power * np.abs(np.fft.rfft2(_centred(result))) ** 2, s=(_GRID, _GRID))[0, 0]
    return np.asarray(result), float(left / power[0, 0])


def convolved_psf(psf: Psf, kernel: NDArray[np.float64], *, x: float, y: float) -> PixelBasisPsf:
    """Return the PSF of an image after convolution with a small pixel kernel.

    Parameters
    ----------
    psf : Psf
        Before convolution.
    kernel : ndarray, float64, shape (k, k)
        Of unit sum, k odd.
    x, y : float
        Where a PSF that is no pixel basis is sampled [px].

    Returns
    -------
    PixelBasisPsf
        Exact when a pixel holds an odd whole number of grid samples.
    """
    sampled = pixel_basis_of(psf, x=x, y=y)
    per_pixel = round(1.0 / sampled.step)
    size = (kernel.shape[0] - 1) * per_pixel + 1
    spread = np.zeros((1, size, size))
    spread[0, ::per_pixel, ::per_pixel] = kernel
    components = fftconvolve(sampled.components, spread, mode="same", axes=(1, 2))
    return sampled.with_components(components)


def _centred(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place a kernel on the FFT grid with its middle at the origin."""
    grid = np.zeros((_GRID, _GRID))
    half = kernel.shape[0] // 2
    grid[: 2 * half + 1, : 2 * half + 1] = kernel
    return np.roll(grid, (-half, -half), axis=(0, 1))
