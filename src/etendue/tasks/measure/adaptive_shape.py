"""Adaptive moments of sources and PSF, and shapes corrected for the PSF."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.adaptive_shape import adaptive_shapes
from etendue.kernels.regauss import regauss_shapes
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]


class AdaptiveShapesConfig(TaskConfig):
    """Choices of the adaptive moments."""

    block: int = Field(512, ge=1)
    """Sources whose PSFs are held in memory at once."""


@measurement("hsm")
class AdaptiveShapes(Measurement[AdaptiveShapesConfig]):
    """Adaptive moments and re-Gaussianised shapes, as HSM defines them (Hirata & Seljak 2003).

    `etendue.kernels.adaptive_shape` has the definition. Errors are of model variance and pixel covariance; on pixels
    that are bad the source's own light stands in.
    """

    columns = (
        *("ixx", "iyy", "ixy", "ixxErr", "iyyErr", "ixyErr", "shape_flag"),
        *("hsm_x", "hsm_y", "hsm_xErr", "hsm_yErr", "hsm_rho4"),
        *("ixxPSF", "iyyPSF", "ixyPSF"),
        *("hsmShapeRegauss_e1", "hsmShapeRegauss_e2", "hsmShapeRegauss_sigma", "hsmShapeRegauss_resolution"),
        "hsmShapeRegauss_flag",
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Measure moments [px**2], centres of the matched Gaussians [parent px] and distortions of all sources."""
        pixels = (scene.residual, scene.weight_variance, scene.bad)
        stamps = scene.light.columns
        sigma = np.full(len(scene), scene.sigma)
        shape, covariance = adaptive_shapes(*pixels, *stamps, scene.x, scene.y, sigma, scene.correlation, 0)
        corrected = np.full((len(scene), 7), np.nan)
        for first in range(0, len(scene), self.config.block):
            some = slice(first, first + self.config.block)
            corrected[some] = regauss_shapes(
                *pixels, *stamps, shape, _centred_psf(scene, some), scene.sigma, scene.correlation, first
            )
        return self._columns(scene, shape, covariance, corrected)

    def _columns(self, scene: Scene, shape: Real, covariance: Real, corrected: Real) -> Columns:
        x, y, ixx, ixy, iyy, _, rho4 = shape.T
        with np.errstate(invalid="ignore"):
            error = np.sqrt(np.einsum("ijj->ji", covariance))
        e1, e2, sigma, resolution, psf_xx, psf_xy, psf_yy = corrected.T
        values = (ixx, iyy, ixy, error[2], error[4], error[3], ~np.isfinite(ixx))
        centres = (x + scene.x0, y + scene.y0, error[0], error[1], rho4)
        regauss = (e1, e2, sigma, resolution, ~np.isfinite(e1))
        return dict(zip(self.columns, (*values, *centres, psf_xx, psf_yy, psf_xy, *regauss), strict=True))


def _centred_psf(scene: Scene, some: slice) -> Real:
    """Return the PSF at some sources, centred on the middle pixel, shape (n, k, k)."""
    x, y = (np.where(np.isfinite(v[some]), np.rint(v[some]), 0.0) for v in (scene.x, scene.y))
    return scene.psf.draw(x=x + scene.x0, y=y + scene.y0).value
