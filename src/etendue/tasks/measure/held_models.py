"""Fluxes of galaxies with the shapes of another band: for colours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import InputError
from etendue.kernels.held_models import held_fluxes
from etendue.kernels.profiles import sersic_mixture
from etendue.tasks.measure.measurement import REFERENCE, Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.source_psfs import psf_blocks, psf_mixtures
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]
_ELLIPSES = tuple(tuple(f"{name}_{axis}" for axis in ("xx", "xy", "yy")) for name in ("exp", "dev"))
_NEEDED = (*_ELLIPSES[0], *_ELLIPSES[1], "cModel_fracDev", "galaxy_nPixels")


class HeldModelsConfig(TaskConfig):
    """Choices of the forced fits of galaxies."""

    disc_gaussians: int = Field(6, ge=3, le=12)
    """Gaussians whose sum is the exponential profile."""

    bulge_gaussians: int = Field(9, ge=4, le=14)
    """Gaussians whose sum is the de Vaucouleurs profile."""

    cells: int = Field(5, ge=1)
    """Cells along each axis whose PSFs are written as sums of Gaussians; what these miss is added source by source."""

    smallest_fwhm: float = Field(3.0, gt=1.0)
    """Least half side of the windows in PSF FWHM."""

    block: int = Field(512, ge=1)
    """Sources whose PSFs are held in memory at once."""


@measurement("held_models")
class HeldModels(Measurement[HeldModelsConfig]):
    """Fluxes of the models of `Galaxies` with the shapes and proportions that these had in a reference band.

    Needs ``exp_xx``..., ``cModel_fracDev`` and ``galaxy_nPixels`` of the reference, on the same pixel grid. Only fluxes
    are fitted, which makes colours of `cModelFlux` right where the colour is the same all over the galaxy, even if the
    model is not the galaxy's.
    """

    columns = (
        *("pointFlux", "pointFluxErr", "expFlux", "expFluxErr", "devFlux", "devFluxErr"),
        *("cModelFlux", "cModelFluxErr", "cModel_flag"),
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return fluxes and errors."""
        missing = [name for name in _NEEDED if REFERENCE + name not in known]
        if missing:
            raise InputError(
                "shapes of a reference band are not known", value=missing, remedy="give MeasureTask.run a reference"
            )
        ellipses = np.stack([np.stack([known[REFERENCE + axis] for axis in one], axis=1) for one in _ELLIPSES], axis=1)
        half = 0.5 * (np.sqrt(np.nan_to_num(known[REFERENCE + "galaxy_nPixels"])) - 1.0)
        half = np.ceil(np.maximum(half, self.config.smallest_fwhm * scene.fwhm)).astype(np.int64)
        part = np.ascontiguousarray(known[REFERENCE + "cModel_fracDev"], np.float64)
        found = self._fluxes(scene, np.ascontiguousarray(ellipses, np.float64), part, half)
        values = found.reshape(len(scene), 8).T
        return dict(zip(self.columns, (*values, ~np.isfinite(values[6])), strict=True))

    def _fluxes(self, scene: Scene, ellipses: Real, part: Real, half: NDArray[np.int64]) -> Real:
        """Return flux and error of point, disc, bulge and sum, shape (n, 4, 2)."""
        mixtures, cell = psf_mixtures(scene, self.config.cells)
        disc, bulge = sersic_mixture(1.0, self.config.disc_gaussians), sersic_mixture(4.0, self.config.bulge_gaussians)
        parts: list[Real] = []
        for first, stamps, *corner in psf_blocks(scene, scene.x, scene.y, half, self.config.block):
            parts.append(
                held_fluxes(
                    scene.residual, scene.weight_variance, scene.bad, *scene.light.columns, scene.x, scene.y, ellipses,
                    part, half, disc, bulge, mixtures, cell, stamps, *corner,
                    scene.correlation, first,
                )
            )  # fmt: skip
        return np.concatenate(parts)
