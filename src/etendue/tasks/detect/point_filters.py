"""Filters matched to the PSF of every part of an exposure, and what they make of stars and of noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.image.exposure import Exposure
from etendue.image.psf import GaussianMixturePsf, Psf
from etendue.kernels.convolve import correlate
from etendue.kernels.matched_filter import FilterBank, filter_bank
from etendue.kernels.noise_peaks import NoisePeaks, filter_correlation

_SAME = 1e-3  # PSFs that differ by less than this of their peak are one


@dataclass(frozen=True, slots=True)
class PointFilters:
    """Filters of the patches of an exposure.

    Parameters
    ----------
    bank : FilterBank
        The filters.
    scatter : ndarray, float32, shape (n_patches,)
        Noise of the filtered image over that of independent pixels: 1 for white noise.
    psf : ndarray, float64, shape (size, size)
        PSF of the middle patch, to its full extent.
    correlation : ndarray, float64, shape (5, 5)
        Of the filtered noise in the middle patch, at lags of up to 2 px.
    """

    bank: FilterBank
    scatter: NDArray[np.float32]
    psf: NDArray[np.float64]
    correlation: NDArray[np.float64]

    @classmethod
    def of(
        cls, exposure: Exposure, *, guess_fwhm: float, filter_radius: float, patch: int, loss: float
    ) -> "PointFilters":
        """Return the filters of an exposure.

        Parameters
        ----------
        exposure : Exposure
            Its PSF may be missing.
        guess_fwhm : float
            Width of a Gaussian in place of the PSF then [px].
        filter_radius : float
            Largest half side of the filters in units of the FWHM.
        patch : int
            Side of the patches [px].
        loss : float
            Share of the S/N that may be lost by cutting and by leaving out products.

        Returns
        -------
        PointFilters
        """
        psf: Psf = exposure.psf or GaussianMixturePsf.circular(guess_fwhm / 2.3548, 41)
        stamps, across = _stamps(psf, exposure, patch)
        middle, x, y = stamps[len(stamps) // 2], exposure.bbox.x.center, exposure.bbox.y.center
        half = min(int(np.ceil(filter_radius * psf.fwhm(x=x, y=y)[0])), psf.size // 2)
        inner = slice(psf.size // 2 - half, psf.size // 2 + half + 1)
        side = patch if len(stamps) > 1 else max(*exposure.bbox.shape, 1)
        bank = filter_bank(np.ascontiguousarray(stamps[:, inner, inner]), side, across, loss)
        noise = None if exposure.noise is None or exposure.noise.is_white else exposure.noise.kernel
        made = [filter_correlation(kernel, noise) for kernel in bank.kernels()]
        scatter = np.sqrt([factor for _, factor in made]).astype(np.float32)
        return cls(bank, scatter, middle, made[len(made) // 2][0])

    def noise_peaks(self) -> NoisePeaks:
        """Return the density of peaks that noise has in the filtered image."""
        return NoisePeaks(self.correlation)

    def wing_profile(self, radius: int) -> NDArray[np.float64]:
        """Return the response to a point source, azimuthal mean at integer distances up to past ``radius``, peak 1."""
        kernel = self.bank.kernels()[len(self.scatter) // 2]
        size = 2 * radius + kernel.shape[0]
        stamp, middle = np.zeros((size, size), np.float32), size // 2
        half = min(self.psf.shape[0] // 2, middle)
        inner = slice(self.psf.shape[0] // 2 - half, self.psf.shape[0] // 2 + half + 1)
        stamp[middle - half : middle + half + 1, middle - half : middle + half + 1] = self.psf[inner, inner]
        response = correlate(stamp, np.ascontiguousarray(kernel))
        rows, cols = np.indices(response.shape) - middle
        distance = np.rint(np.hypot(rows, cols)).astype(np.int64).ravel()
        profile = np.bincount(distance, response.ravel())[: radius + 2] / np.bincount(distance)[: radius + 2]
        return np.ascontiguousarray(np.maximum(profile / profile[0], 0.0))


def _stamps(psf: Psf, exposure: Exposure, patch: int) -> tuple[NDArray[np.float64], int]:
    """Return the centred PSF of every patch, or of one if they are the same, and the patches along a row."""
    shape, box = exposure.bbox.shape, exposure.bbox
    y, x = (np.minimum(np.arange(0, n, patch) + patch // 2, max(n - 1, 0)) for n in shape)
    grid_y, grid_x = np.meshgrid(y + box.y.start, x + box.x.start, indexing="ij")
    stamps = np.asarray(psf.draw(x=grid_x.ravel(), y=grid_y.ravel()).value)
    stamps = stamps / stamps.sum(axis=(1, 2), keepdims=True)
    if np.abs(stamps - stamps.mean(axis=0)).max() < _SAME * stamps.max():
        return psf.stamp(x=box.x.center, y=box.y.center)[np.newaxis], 1
    return stamps, x.size
