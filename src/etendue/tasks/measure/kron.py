"""Kron fluxes and blendedness: what follows from the second moments of sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import InputError
from etendue.kernels.kron import kron_fluxes, psf_kron_radii
from etendue.kernels.source_light import with_all_light
from etendue.kernels.weighted_light import blendedness
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]


class KronConfig(TaskConfig):
    """Choices of Kron fluxes; defaults are LSST's."""

    radii: float = Field(2.5, gt=0.0)
    """Kron radii of the aperture."""

    limit: float = Field(6.0, gt=1.0)
    """Radius within which the first moment is taken, in widths of the source."""

    block: int = Field(512, ge=1)
    """Sources whose PSFs are held in memory at once."""


@measurement("kron")
class Kron(Measurement[KronConfig]):
    """Light within a multiple of the Kron radius, in ellipses of the source's moments; never smaller than for a star.

    Not corrected for the light outside.
    """

    columns = ("kronFlux", "kronFluxErr", "kronRad", "kronFlux_flag", "kronFlux_flag_small_radius")

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return flux, error, Kron radius [px] and flags; moments of source and PSF must be known."""
        own, psf = moments_of(known), moments_of(known, "PSF")
        own = np.where(np.isfinite(own).all(axis=1, keepdims=True), own, psf)
        smallest = self._psf_radii(scene, psf)
        variance = np.where(np.isfinite(scene.weight_variance), scene.weight_variance, scene.variance)
        flux, error, radius, before = kron_fluxes(
            scene.residual, variance, scene.bad, *scene.light.columns, scene.x, scene.y, own, smallest,
            self.config.limit, self.config.radii, scene.correlation,
        ).T  # fmt: skip
        small = ~(before >= smallest)
        return dict(zip(self.columns, (flux, error, radius, ~np.isfinite(flux), small), strict=True))

    def _psf_radii(self, scene: Scene, moments: Real) -> Real:
        radii = [np.zeros(0)]
        for first in range(0, len(scene), self.config.block):
            some = slice(first, first + self.config.block)
            x, y = (np.where(np.isfinite(v[some]), np.rint(v[some]), 0.0) for v in (scene.x, scene.y))
            stamps = scene.psf.draw(x=x + scene.x0, y=y + scene.y0).value
            radii.append(psf_kron_radii(stamps, moments[some], self.config.limit))
        return np.concatenate(radii)


class BlendednessConfig(TaskConfig):
    """Blendedness has no choices."""


@measurement("blendedness")
class Blendedness(Measurement[BlendednessConfig]):
    """Which part of the light at a source belongs to others (Bosch et al. 2018, section 4.9.11)."""

    columns = ("blendedness_abs", "blendedness_flag")

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return the part, 0 for a source alone; moments must be known."""
        whole = with_all_light(scene.residual, *scene.light.columns)
        part = blendedness(
            scene.residual, whole, scene.variance, scene.bad, *scene.light.columns, scene.x, scene.y, moments_of(known),
        )  # fmt: skip
        return {"blendedness_abs": part, "blendedness_flag": ~np.isfinite(part)}


def moments_of(known: Mapping[str, NDArray[Any]], of: str = "") -> Real:
    """Return moments xx, xy, yy that another measurement found, shape (n, 3).

    Parameters
    ----------
    known : mapping of str to ndarray
        Columns.
    of : str
        Nothing for the source, "PSF" for the PSF.

    Returns
    -------
    ndarray, float64, shape (n, 3)

    Raises
    ------
    InputError
        If moments were not measured before.
    """
    names = [f"{name}{of}" for name in ("ixx", "ixy", "iyy")]
    if not all(name in known for name in names):
        raise InputError("moments are not known", value=names, remedy="measure them first: hsm or moments")
    return np.ascontiguousarray(np.stack([np.asarray(known[name], np.float64) for name in names], axis=1))
