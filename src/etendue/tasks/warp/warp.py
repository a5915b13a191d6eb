"""Resample an exposure onto the pixels of another WCS."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.warp import kernel_table, warp_noise_covariance, warp_separable
from etendue.tasks.task import Task, TaskConfig
from etendue.tasks.warp.mapping import PixelMapping, map_pixels

_NOISE_SAMPLES = 24


class WarpConfig(TaskConfig):
    """Interpolation and masking."""

    grid_step: int = Field(64, ge=4)
    """Spacing at which the WCS is evaluated at first [px]; halved until `max_position_error` holds."""

    max_position_error: float = Field(1e-4, gt=0.0)
    """Largest error of the interpolated mapping [source px]."""

    exclude_planes: tuple[str, ...] = ("NO_DATA", "EDGE")
    """Mask planes whose pixels never enter; all other pixels do, and hand their planes on."""

    significant_weight: float = Field(0.1, ge=0.0, le=1.0)
    """Interpolation weight above which a source pixel hands its mask planes on."""

    noise_reach: int = Field(5, ge=1)
    """Largest lag of the noise autocorrelation [px]."""


class WarpTask(Task[WarpConfig]):
    """Resampling that keeps positions and fluxes of stars, and knows its noise.

    The kernel has six taps per axis, errs least on stars of 2 to 8 px FWHM and reproduces parabolas. The image is
    multiplied by the area of a target pixel in source pixels, so that fluxes per pixel keep the flux of
    a source. Variance is ``sum w^2 V``; correlations go into ``Exposure.noise``.
    """

    def run(self, *, exposure: Exposure, wcs: SkyWcs, bbox: Box) -> Exposure:
        """Resample an exposure.

        Parameters
        ----------
        exposure : Exposure
            Needs a WCS; pixels in flux per pixel.
        wcs : SkyWcs
            Target pixels to sky.
        bbox : Box
            Target pixels to make; those without counterpart are NaN and NO_DATA.

        Returns
        -------
        Exposure
            With the target WCS and noise autocorrelation; PSF, background, aperture corrections and
            polygon are left out, for they belong to the source's pixels.

        Raises
        ------
        InputError
            If the exposure has no WCS.
        """
        if exposure.wcs is None:
            raise InputError("cannot resample an exposure without WCS", remedy="solve its astrometry first")
        mapping = map_pixels(
            source=exposure.wcs,
            target=wcs,
            bbox=bbox,
            step=self.config.grid_step,
            max_error=self.config.max_position_error,
            source_bbox=exposure.bbox,
        )
        table = kernel_table()
        image, variance, mask = self._resample(exposure, mapping, table, bbox)
        noise, factor = self._noise(exposure, mapping, table)
        return exposure.replace(
            image=Image(image, bbox),
            variance=Image(variance if factor == 1.0 else variance * np.float32(factor), bbox),
            mask=Mask(mask, bbox),
            wcs=wcs,
            noise=noise,
            psf=None,
            background=None,
            aperture_corrections={},
            valid_polygon=None,
        )

    def _resample(
        self, exposure: Exposure, mapping: PixelMapping, table: NDArray[np.float32], bbox: Box
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        mask = exposure.mask
        unusable = ~np.isfinite(exposure.image.array) | ~np.isfinite(exposure.variance.array)
        bits = mask.with_plane("NO_DATA", unusable).array if unusable.any() else mask.array
        ny, nx = bbox.shape
        return warp_separable(
            np.ascontiguousarray(exposure.image.array),
            np.ascontiguousarray(exposure.variance.array),
            np.ascontiguousarray(bits),
            mapping.x - exposure.bbox.x.start,
            mapping.y - exposure.bbox.y.start,
            mapping.area,
            mapping.step,
            ny,
            nx,
            table,
            np.int32(mask.bits((*self.config.exclude_planes, "NO_DATA"))),
            np.int32(mask.bits("NO_DATA")),
            np.float32(self.config.significant_weight),
        )

    def _noise(
        self, exposure: Exposure, mapping: PixelMapping, table: NDArray[np.float32]
    ) -> tuple[NoiseAutocorrelation, float]:
        """Return the autocorrelation, and by how much correlated input raises the variance."""
        corners_x, corners_y = _pixel_corners(mapping)
        if corners_x.size == 0:
            return NoiseAutocorrelation.white(), 1.0
        white = np.ones((1, 1))
        reach = self.config.noise_reach
        covariance = warp_noise_covariance(corners_x, corners_y, white, table, reach)
        factor = 1.0
        if exposure.noise is not None and not exposure.noise.is_white:
            uncorrelated = covariance[reach, reach]
            source = np.ascontiguousarray(exposure.noise.kernel)
            covariance = warp_noise_covariance(corners_x, corners_y, source, table, reach)
            factor = float(covariance[reach, reach] / uncorrelated)
        symmetric = 0.5 * (covariance + covariance[::-1, ::-1])
        return NoiseAutocorrelation(symmetric / symmetric[reach, reach]), factor


def _pixel_corners(mapping: PixelMapping) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return source positions of sampled target pixels and of their neighbours in x and y, shape (n, 3)."""
    gy, gx = mapping.x.shape
    rows = np.unique(np.linspace(0, gy - 2, _NOISE_SAMPLES).astype(int))
    cols = np.unique(np.linspace(0, gx - 2, _NOISE_SAMPLES).astype(int))
    corners = []
    for values in (mapping.x, mapping.y):
        along_x = np.diff(values, axis=1)[:-1][np.ix_(rows, cols)] / mapping.step
        along_y = np.diff(values, axis=0)[:, :-1][np.ix_(rows, cols)] / mapping.step
        # Whole pixels off the nodes, for a step that is a multiple of a period of the phases would see only one.
        shift = np.arange(rows.size * cols.size).reshape(rows.size, cols.size) % mapping.step
        start = values[np.ix_(rows, cols)] + shift * (along_x + along_y)
        corners.append(np.stack([start, start + along_x, start + along_y], axis=-1).reshape(-1, 3))
    finite = np.isfinite(corners[0]).all(axis=1) & np.isfinite(corners[1]).all(axis=1)
    return np.ascontiguousarray(corners[0][finite]), np.ascontiguousarray(corners[1][finite])
