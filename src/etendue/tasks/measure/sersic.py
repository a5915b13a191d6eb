"""Fits of Sersic profiles of free index."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import InputError
from etendue.kernels.profiles import sersic_mixture
from etendue.kernels.sersic_fit import fit_sersic
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.source_psfs import psf_blocks, psf_mixtures
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]


class SersicConfig(TaskConfig):
    """Choices of the Sersic fit."""

    nodes: int = Field(22, ge=6)
    """Indices from `smallest` to `largest`, equally spaced in their logarithm, at which profiles are tabulated."""

    smallest: float = Field(0.5, ge=0.5, lt=1.0)
    """Least index: 0.5 is a Gaussian, and no sum of Gaussians is flatter than that."""

    largest: float = Field(6.0, gt=4.0, le=8.0)
    """Largest index."""

    gaussians: int = Field(9, ge=5, le=14)
    """Gaussians of each profile."""

    cells: int = Field(5, ge=1)
    """Cells along each axis whose PSFs are written as sums of Gaussians; what these miss is added source by source."""

    block: int = Field(512, ge=1)
    """Sources whose PSFs are held in memory at once."""


@measurement("sersic")
class Sersic(Measurement[SersicConfig]):
    """Sersic profiles convolved with the PSF: flux to infinity, centre, half-light ellipse and index; no priors.

    They start from the better of the fits of `Galaxies`, on the same window. Not measured where the source has no size
    beyond the PSF's.
    """

    columns = (
        *("sersicFlux", "sersicFluxErr", "sersic_index", "sersic_indexErr", "sersic_x", "sersic_y"),
        *("sersic_xx", "sersic_yy", "sersic_xy", "sersic_xxErr", "sersic_yyErr", "sersic_xyErr"),
        *("sersic_chi2", "sersic_flag", "sersic_flag_index"),
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Fit all sources; fits of `Galaxies` must be known. ``_flag_index`` marks an end of the range."""
        if "exp_chi2" not in known or "dev_chi2" not in known:
            raise InputError("no fits to start Sersic profiles from", value="galaxies", remedy="measure galaxies first")
        index = np.geomspace(self.config.smallest, self.config.largest, self.config.nodes)
        table = np.ascontiguousarray(np.stack([sersic_mixture(float(n), self.config.gaussians) for n in index]))
        start, half = self._starts(scene, known, index), ((np.sqrt(known["galaxy_nPixels"]) - 1) / 2)
        half = np.where(np.isfinite(half), np.ceil(half), 0.0).astype(np.int64)
        mixtures, cell = psf_mixtures(scene, self.config.cells)
        parts: list[Real] = []
        for first, stamps, *corner in psf_blocks(scene, start[:, 1], start[:, 2], half, self.config.block):
            parts.append(
                fit_sersic(
                    scene.residual,
                    scene.weight_variance,
                    scene.bad,
                    *scene.light.columns,
                    start,
                    half,
                    table,
                    mixtures,
                    cell,
                    stamps,
                    *corner,
                    int(scene.forced),
                    scene.correlation,
                    first,
                )
            )
        theta, covariance, chi2 = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self._columns(scene, theta, covariance, chi2, index)

    def _starts(self, scene: Scene, known: Mapping[str, NDArray[Any]], index: Real) -> Real:
        """Return where the fits start, shape (n, 7): the better profile; a middle index for a bulge."""
        bulge = ~(known["exp_chi2"] <= known["dev_chi2"])
        names = ("Flux", "_x", "_y", "_xx", "_xy", "_yy")
        start = [np.where(bulge, known[f"dev{name}"], known[f"exp{name}"]) for name in names]
        start[1], start[2] = start[1] - scene.x0, start[2] - scene.y0
        place = np.where(bulge, np.searchsorted(index, 2.5), np.searchsorted(index, 1.0)).astype(np.float64)
        return np.ascontiguousarray(np.stack([*start, place], axis=1))

    def _columns(self, scene: Scene, theta: Real, covariance: Real, chi2: Real, index: Real) -> Columns:
        with np.errstate(invalid="ignore"):
            error = np.sqrt(np.einsum("ijj->ji", covariance))
        step = float(np.log(index[1] / index[0]))
        n = index[0] * np.exp(step * theta[:, 6])
        with np.errstate(invalid="ignore"):
            at_end = (theta[:, 6] <= 0.0) | (theta[:, 6] >= len(index) - 1.0)
        values = (theta[:, 0], error[0], n, n * step * error[6], theta[:, 1] + scene.x0, theta[:, 2] + scene.y0)
        shape = (theta[:, 3], theta[:, 5], theta[:, 4], error[3], error[5], error[4])
        return dict(zip(self.columns, (*values, *shape, chi2, ~np.isfinite(chi2), at_end), strict=True))
