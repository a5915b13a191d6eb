"""Whether a source is broader than the PSF."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.psf import PixelBasisPsf
from etendue.kernels.broad_fraction import broad_fraction
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig


class ExtendednessConfig(TaskConfig):
    """Configuration of `Extendedness`."""

    broad_sigma: float = Field(0.6, gt=0.0)
    """Width of the Gaussian that broadens the PSF, in units of the PSF's sigma."""

    fit_radius: float = Field(2.5, gt=1.0)
    """Radius of the pixels fitted, in FWHM."""

    softening: float = Field(0.01, ge=0.0)
    """Relative PSF error assumed when weighting."""

    fraction: float = Field(0.3, gt=0.0)
    """Broad fraction above which a source counts as extended..."""

    sigma: float = Field(3.0, gt=0.0)
    """...if it also exceeds this many errors."""


@measurement("extendedness")
class Extendedness(Measurement[ExtendednessConfig]):
    """Fit the PSF and a broadened PSF to each source: which part of the light is in the broad one.

    Errors hold the correlation of the pixels' noise as it acts on a faint source at the image's centre.
    """

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return ``broadFraction``, ``broadFractionErr`` and ``extendedness``: 1 extended, 0 not, NaN undecided."""
        broad, error = self._fraction(scene)
        limit = np.maximum(self.config.fraction, self.config.sigma * error)
        with np.errstate(invalid="ignore"):
            extended = np.where(np.isfinite(broad), (broad > limit).astype(np.float64), np.nan)
        return {"broadFraction": broad, "broadFractionErr": error, "extendedness": extended}

    def _fraction(self, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        radius, psf = self.config.fit_radius * scene.fwhm, scene.psf
        broader = psf.broadened(self.config.broad_sigma * scene.sigma)
        fraction, error = broad_fraction(
            scene.residual, scene.weight_variance, scene.variance, scene.bad, *scene.light.columns, psf.components,
            broader.components,
            psf.terms(x=scene.x + scene.x0, y=scene.y + scene.y0), psf.step, scene.x, scene.y, scene.psf_flux,
            min(2 * int(np.ceil(radius)) + 1, psf.size), radius, self.config.softening,
        )  # fmt: skip
        return fraction, error * _inflation(scene, broader)


def _inflation(scene: Scene, broader: PixelBasisPsf) -> float:
    """Return by how much correlated noise widens the error of the part of the light in the broader PSF."""
    if scene.noise is None or scene.noise.is_white:
        return 1.0
    ny, nx = scene.residual.shape
    own, other = (psf.stamp(x=scene.x0 + nx // 2, y=scene.y0 + ny // 2) for psf in (scene.psf, broader))
    weights = other - own * (own * other).sum() / (own * own).sum()
    return float(np.sqrt(scene.noise.flux_variance_factor(weights)))
