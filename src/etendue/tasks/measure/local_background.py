"""What is left of the sky around sources, and whether its noise is what the variance says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.annulus import annulus_statistics
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig


class LocalBackgroundConfig(TaskConfig):
    """Choices of the ring; defaults are LSST's."""

    inner: float = Field(7.0, gt=0.0)
    """Inner radius in widths (sigma) of the PSF."""

    outer: float = Field(15.0, gt=1.0)
    """Outer radius in widths (sigma) of the PSF."""


@measurement("local_background")
class LocalBackground(Measurement[LocalBackgroundConfig]):
    """Clipped level and scatter of the image without sources, in a ring around each: a check, nothing is subtracted."""

    columns = (
        *("localBackground_instFlux", "localBackground_instFluxErr", "localBackground_flag"),
        *("variance_value", "localVarianceRatio"),
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return level and scatter per pixel, the variance's median, and scatter squared over that: 1 if right."""
        sigma = scene.sigma
        level, scatter, variance, _ = annulus_statistics(
            scene.residual, scene.variance, scene.bad, scene.x, scene.y, self.config.inner * sigma,
            self.config.outer * sigma,
        ).T  # fmt: skip
        # A Gaussian clipped at 3 sigma keeps this part of its variance.
        ratio = scatter**2 / np.where(variance > 0.0, variance, np.nan) / 0.9733
        return dict(zip(self.columns, (level, scatter, ~np.isfinite(level), variance, ratio), strict=True))
