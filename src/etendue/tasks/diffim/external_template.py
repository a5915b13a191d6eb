"""Make a template of an image that somebody else processed: sky, noise, PSF."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import binary_dilation, zoom

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.background import cell_background, cell_edges
from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfConfig, FitPsfTask
from etendue.tasks.task import Task, TaskConfig


class ExternalTemplateConfig(TaskConfig):
    """Sky, noise and PSF of a foreign image."""

    background: SubtractBackgroundConfig = SubtractBackgroundConfig()
    """Sky; of an image that has none any more almost nothing is subtracted."""

    detect: DetectConfig = DetectConfig(threshold_snr=10.0)
    """Stars for the PSF."""

    psf: FitPsfConfig = FitPsfConfig()
    """PSF model."""

    cell: int = Field(128, ge=32)
    """Side of the cells in which the noise is measured [px]."""

    source_snr: float = Field(3.0, gt=0.0)
    """Pixels above this, and their neighbours, are not blank sky."""

    reach: int = Field(2, ge=0, le=5)
    """Largest lag of the noise autocorrelation [px]."""

    zero_fraction: float = Field(1e-3, ge=0.0)
    """If more than this fraction of the pixels is exactly 0, they hold no data."""


class ExternalTemplateTask(Task[ExternalTemplateConfig]):
    """Measure everything that a difference needs and a plain FITS image does not tell.

    The noise is that of blank sky, cell by cell, with its correlation between neighbouring pixels (images that were
    resampled have much of it). Where faint sources leave no sky blank both are too large; they weigh stars and say
    where the image is deep, while `ResidualNoiseTask` measures on each difference what noise the template brings.
    Photon noise of the sources is not known without the gain; `SubtractTask` measures on bright stars what is missing.
    """

    def run(self, *, image: Image, exposure: Exposure) -> Exposure:
        """Complete a template.

        Parameters
        ----------
        image : Image
            Its pixels, as in the file.
        exposure : Exposure
            With WCS and whatever mask is known; its image and variance are replaced.

        Returns
        -------
        Exposure
            Sky-subtracted, with variance, noise autocorrelation and PSF.

        Raises
        ------
        AlgorithmError
            If it has no sky, no sources, or too few stars for a PSF.
        """
        absent = self._absent(image)
        mask = exposure.mask.with_plane("NO_DATA", absent)
        plain = np.where(absent, np.float32(0.0), image.array)
        exposure = exposure.replace(image=Image(plain, image.bbox), mask=mask)
        exposure = SubtractBackgroundTask(self.config.background).run(exposure=exposure).exposure
        sigma = self._noise(exposure, absent)
        blank = self._blank(exposure, sigma, absent)
        sigma = self._noise(exposure, ~blank)
        exposure = exposure.replace(
            variance=Image(np.where(absent, np.float32(np.inf), sigma**2), image.bbox),
            noise=self._correlation(exposure.image.array / sigma, blank),
            background=None,
        )
        found = DetectTask(self.config.detect).run(exposure=exposure)
        psf = FitPsfTask(self.config.psf).run(exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr)
        facts = {
            **exposure.metadata,
            "fwhm_px": psf.statistics["fwhm"], "n_psf_star": psf.statistics["n_used"],
            "sky_noise": float(np.median(sigma[blank])), "missing_fraction": float(absent.mean()),
        }  # fmt: skip
        shown = np.where(absent, np.float32(np.nan), exposure.image.array)
        variance = np.where(absent, np.float32(np.nan), exposure.variance.array)
        return exposure.replace(
            image=Image(shown, image.bbox), variance=Image(variance, image.bbox), psf=psf.psf, metadata=facts
        )

    def _absent(self, image: Image) -> NDArray[np.bool_]:
        absent = ~np.isfinite(image.array)
        zero = image.array == 0.0
        if absent.all() or zero.all():
            raise AlgorithmError("holds no pixel with a value")
        return absent | zero if zero.mean() > self.config.zero_fraction else absent

    def _noise(self, exposure: Exposure, unusable: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the pixel noise, interpolated between cells."""
        shape = exposure.bbox.shape
        edges = [cell_edges(size, self.config.cell) for size in shape]
        _, sigma = cell_background(exposure.image.array, unusable, *edges, 3.0, 10)
        usable = np.isfinite(sigma) & (sigma > 0.0)
        if not usable.any():
            raise AlgorithmError("its noise cannot be measured", blank=float((~unusable).mean()))
        filled = np.where(usable, sigma, np.median(sigma[usable]))
        factors = [size / cells for size, cells in zip(shape, filled.shape, strict=True)]
        smooth = zoom(filled, factors, order=1, grid_mode=True, mode="nearest")
        return np.ascontiguousarray(smooth[: shape[0], : shape[1]], np.float32)

    def _blank(self, exposure: Exposure, sigma: NDArray[np.float32], absent: NDArray[np.bool_]) -> NDArray[np.bool_]:
        sources = np.abs(exposure.image.array) > self.config.source_snr * sigma
        return ~(binary_dilation(sources, iterations=2) | absent)

    def _correlation(self, pull: NDArray[np.float32], blank: NDArray[np.bool_]) -> NoiseAutocorrelation:
        """Return the correlation of blank pixels with their neighbours."""
        reach = self.config.reach
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
        kernel[reach, reach] = 1.0
        variance = float(np.mean(pull[blank].astype(float) ** 2))
        for dy in range(reach + 1):
            for dx in range(-reach, reach + 1):
                if (dy, dx) > (0, 0):
                    value = _product(pull, blank, dy, dx) / variance
                    kernel[reach + dy, reach + dx] = kernel[reach - dy, reach - dx] = value
        return NoiseAutocorrelation(kernel)


def _product(pull: NDArray[np.float32], blank: NDArray[np.bool_], dy: int, dx: int) -> float:
    """Return the mean product of blank pixels that are (dy, dx) apart."""
    ny, nx = pull.shape
    here = (slice(0, ny - dy), slice(max(0, -dx), nx - max(0, dx)))
    there = (slice(dy, ny), slice(max(0, dx), nx - max(0, -dx)))
    both = blank[here] & blank[there]
    return float(np.mean(pull[here][both].astype(float) * pull[there][both])) if both.any() else 0.0


def unmeasured(image: Image, **parts: object) -> Exposure:
    """Return an exposure of a plain image whose noise is not known yet.

    Parameters
    ----------
    image : Image
        Pixels.
    **parts : object
        Keywords of `Exposure`.

    Returns
    -------
    Exposure
        With an empty mask and a variance of 1.
    """
    return Exposure(
        image=image,
        mask=Mask.empty(image.bbox),
        variance=Image.full(image.bbox, 1.0),
        unit="",
        **parts,  # type: ignore[arg-type]
    )
