"""Gaussian-aperture fluxes that do not depend on the seeing: for colours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.psf import PixelBasisPsf, oversampled
from etendue.kernels.weighted_light import weighted_fluxes
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]
PHASES = 3  # samples per pixel of the weights


class GaapConfig(TaskConfig):
    """Choices of Gaussian apertures; defaults are LSST's."""

    sigmas: tuple[float, ...] = (0.7, 1.0)
    """Widths of the apertures before the seeing [arcsec]."""

    pixel_scale: float = Field(0.2, gt=0.0)
    """Side of a pixel of images without a WCS [arcsec]."""

    least_ratio: float = Field(1.15, gt=1.0)
    """Apertures narrower than this many widths of the PSF are not measured."""

    floor: float = Field(1e-6, gt=0.0)
    """Squared transfer of the PSF below which frequencies are left out."""

    nodes: int = Field(5, ge=2)
    """Places along each axis where weights are computed; between them they follow a polynomial of third degree."""

    block: int = Field(512, ge=1)
    """Sources whose weights are held in memory at once."""


def gaap_name(sigma: float) -> str:
    """Return the column of an aperture of width ``sigma`` [arcsec]: ``gaap0p7Flux``."""
    return f"gaap{float(sigma)}".replace(".", "p") + "Flux"


@measurement("gaap")
class Gaap(Measurement[GaapConfig]):
    """Light of a source, as it is above the atmosphere, under a round Gaussian aperture (Kuijken 2008, 2015).

    ``F = integral f(x) exp(-x^2 / 2 sigma^2)`` of the light f before the PSF: the total flux of a star, whatever the
    seeing, and the same part of a galaxy in every band. It is one weighted sum of pixels, whose weights, correlated
    with the PSF, are the aperture; so its error is exact, pixel covariance included.
    """

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return ``gaapNpNFlux``, its error and flags of each aperture."""
        columns: Columns = {}
        scale = scene.pixel_scale if np.isfinite(scene.pixel_scale) else self.config.pixel_scale
        for sigma in self.config.sigmas:
            name, pixels = gaap_name(sigma), sigma / scale
            big_psf = pixels < self.config.least_ratio * scene.sigma
            flux, error, lost = np.full((3, len(scene)), np.nan) if big_psf else self._measure(scene, pixels).T
            columns |= {name: flux, f"{name}Err": error, f"{name}_flag": ~(lost < 0.05)}
            columns[f"{name}_flag_bigPsf"] = np.full(len(scene), big_psf)
        return columns

    def _measure(self, scene: Scene, sigma: float) -> Real:
        weights = self._weights(scene, sigma)
        variance = np.where(np.isfinite(scene.weight_variance), scene.weight_variance, scene.variance)
        found = [np.zeros((0, 3))]
        for first in range(0, len(scene), self.config.block):
            some = slice(first, first + self.config.block)
            x, y = (np.where(np.isfinite(v[some]), v[some], -1e6) for v in (scene.x, scene.y))
            stamps = weights.draw(x=x + scene.x0, y=y + scene.y0)
            found.append(
                weighted_fluxes(
                    scene.residual,
                    variance,
                    scene.bad,
                    *scene.light.columns,
                    stamps.value,
                    stamps.x0 - scene.x0,
                    stamps.y0 - scene.y0,
                    scene.correlation,
                    first,
                )
            )
        return np.concatenate(found)

    def _weights(self, scene: Scene, sigma: float) -> PixelBasisPsf:
        """Return the weights of an aperture over the image, on a pixel basis as PSFs are."""
        (ny, nx), count = scene.residual.shape, self.config.nodes if scene.psf.order else 1
        x, y = np.meshgrid(
            *(start + (np.arange(count) + 0.5) / count * n - 0.5 for start, n in ((scene.x0, nx), (scene.y0, ny)))
        )
        x, y = np.rint(x.ravel()), np.rint(y.ravel())
        half = int(np.ceil(5.0 * sigma))
        grids = np.stack(
            [
                self._weight_grid(oversampled(scene.psf, x=column, y=row, samples=PHASES), sigma)
                for column, row in zip(x, y, strict=True)
            ]
        )
        order = 3 if count > 3 else 0
        return PixelBasisPsf.from_samples(grids, step=1.0 / PHASES, x=x, y=y, order=order, size=2 * half + 1)

    def _weight_grid(self, psf: Real, sigma: float) -> Real:
        """Return weights whose correlation with the PSF is the aperture, on the same fine grid, cut at 5 sigma."""
        half = int(np.ceil(5.0 * sigma)) + 2
        size = (psf.shape[0] // 2 + half * PHASES) * 2 + 1
        pad = (size - psf.shape[0]) // 2
        grid = np.arange(size) - size // 2
        profile = np.exp(-0.5 * (grid / PHASES / sigma) ** 2)
        transfer = np.fft.rfft2(np.fft.ifftshift(np.pad(psf, pad))) / PHASES**2
        aperture = np.fft.rfft2(np.fft.ifftshift(np.outer(profile, profile)))
        ratio = aperture * transfer / np.maximum(np.abs(transfer) ** 2, self.config.floor)
        weight = np.fft.fftshift(np.fft.irfft2(ratio, (size, size)))
        middle, reach = size // 2, half * PHASES
        cut: Real = weight[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
        return cut
