"""Add synthetic sources to an image, with its own PSF, WCS, flux scale and noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.kernels.point_sources import pixel_noise
from etendue.tasks.inject.catalog import InjectionCatalog
from etendue.tasks.inject.placed import PlacedCatalog
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class InjectConfig(TaskConfig):
    """Configuration of `InjectTask`."""

    noise: bool = True
    """Add the photon noise of the sources, and its variance; coadds of many images have little else than the sky's."""

    floor: float = Field(0.02, gt=0.0)
    """Galaxies are drawn out to where they are this many sigmas of a pixel bright."""

    largest_side: int = Field(1025, ge=31)
    """But not on more than this [px]."""


@dataclass(frozen=True, slots=True, eq=False)
class InjectResult:
    """An image with more sources, and these.

    Parameters
    ----------
    exposure : Exposure
        With INJECTED where the light of a source exceeds a tenth of the noise.
    columns : dict of str to ndarray, shape (n,)
        Those that have light on the image: ``injection_id``, ``row`` in the catalog, ``x``, ``y`` [parent px],
        ``flux`` [image unit], and the columns of the catalog.
    """

    exposure: Exposure
    columns: dict[str, NDArray[Any]]


class InjectTask(Task[InjectConfig]):
    """Draw the sources of a catalog on an image; the same seed gives the same noise."""

    def run(self, *, exposure: Exposure, catalog: InjectionCatalog, seed: int = 0) -> InjectResult:
        """Inject.

        Parameters
        ----------
        exposure : Exposure
            With PSF, WCS and flux scale; a visit image, a coadd or a difference.
        catalog : InjectionCatalog
            Sources off the image are left out.
        seed : int
            Of the photon noise.

        Returns
        -------
        InjectResult

        Raises
        ------
        InputError
            If the image lacks a PSF, a WCS or a flux scale.
        """
        placed = PlacedCatalog.on(exposure, catalog)
        noise = pixel_noise(
            exposure.image.array.astype(np.float64), exposure.variance.array.astype(np.float64),
            exposure.mask.any_of(("BAD", "SAT", "NO_DATA")),
        )  # fmt: skip
        sigma = float(np.sqrt(noise.sky_variance))
        light = placed.light(exposure, floor=self.config.floor * sigma, largest_side=self.config.largest_side)
        return InjectResult(self._added(exposure, light, noise.slope, sigma, seed), placed.columns())

    def _added(self, exposure: Exposure, light: Real, slope: float, sigma: float, seed: int) -> Exposure:
        """Return the image with light, and its photon noise where asked for and the image has such noise at all."""
        added, variance = light, np.zeros(light.shape)
        if self.config.noise and slope > 0.0:
            rng, bright = np.random.default_rng(seed), light > 0.0
            added = light.copy()
            added[bright] = slope * rng.poisson(light[bright] / slope)
            variance[bright] = slope * light[bright]
        box = exposure.bbox
        return exposure.replace(
            image=Image((exposure.image.array + added).astype(np.float32), box),
            variance=Image((exposure.variance.array + variance).astype(np.float32), box),
            mask=exposure.mask.with_plane("INJECTED", np.abs(light) > 0.1 * sigma),
        )
