"""Light in circles of fixed radii."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.image.aperture_correction import aperture_name
from etendue.kernels.apertures import circle_fluxes
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig


class AperturesConfig(TaskConfig):
    """Configuration of `Apertures`."""

    radii: tuple[float, ...] = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0, 25.0, 35.0, 50.0, 70.0)
    """Radii [px], rising; LSST's by default."""


@measurement("apertures")
class Apertures(Measurement[AperturesConfig]):
    """Sums of pixels, those on the circle by their exact overlap, with all other sources taken away.

    Not corrected for the light outside. Errors hold pixel noise and, where it is known, its correlation.
    """

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return ``apNNFlux``, ``apNNFluxErr`` and ``apNNFlux_flag`` of each radius; NaN where it leaves the image."""
        radii = np.asarray(self.config.radii)
        flux, error = circle_fluxes(
            scene.residual, scene.variance, scene.bad, *scene.light.columns, scene.x, scene.y, radii,
        )  # fmt: skip
        columns: Columns = {}
        for index, radius in enumerate(radii):
            name, measured = aperture_name(radius), flux[:, index].copy()
            columns |= {name: measured, f"{name}Err": error[:, index] * _correlation(scene, radius)}
            columns[f"{name}_flag"] = ~np.isfinite(measured)
        return columns


def _correlation(scene: Scene, radius: float) -> float:
    """Return by how much correlated noise widens the error of a circle; 1 for white noise."""
    if scene.noise is None or scene.noise.is_white:
        return 1.0
    half = int(np.ceil(radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return float(np.sqrt(scene.noise.flux_variance_factor((x * x + y * y <= radius * radius).astype(float))))
