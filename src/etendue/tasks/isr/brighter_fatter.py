"""Put charge back that collected charge drew away from its pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import InputError
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries
from etendue.kernels.brighter_fatter import add_shifts, bridge_unknown, put_back, put_back_steep
from etendue.tasks.task import Task, TaskConfig

Plane = NDArray[np.float32]
_NARROWEST = 4
_SPARSE = 7  # every so many pixels tell the sky's level


class CorrectBrighterFatterConfig(TaskConfig):
    """Configuration of `CorrectBrighterFatterTask`."""

    iterations: int = Field(10, ge=1)
    """Most guesses of the light; from the third on it is interpolated as it should be at steep places."""

    converged_e: float = Field(1e-4, ge=0.0)
    """Mean absolute change between guesses at which the iteration ends [e]; 0 takes all iterations."""


@dataclass(frozen=True, slots=True, eq=False)
class BrighterFatterResult:
    """A corrected image and how it came about."""

    image: Plane
    """Light [e]; NaN where the input was."""

    iterations: int
    """Guesses made."""

    change_e: float
    """Mean absolute change of the last guess [e]."""


class CorrectBrighterFatterTask(Task[CorrectBrighterFatterConfig]):
    """Find the light that boundaries, moved by the charge collected so far, turned into the image.

    Boundaries move in proportion to the charge, which grows nearly linearly with time, so their mean shift is that by
    half of the final charge, less a sixth of the charge that the shifts brought (they are small when charge is). The
    light at a boundary is interpolated from the corrected image, by the logarithms of pixels where it is steep; each
    guess of the light takes the last (the iteration of Coulton et al. 2018, AJ 155, 258, in the flux-conserving form
    that moves charge across boundaries only).
    """

    def run(self, image: Plane, product: PixelBoundaries | BrighterFatterKernel) -> BrighterFatterResult:
        """Correct an image.

        Parameters
        ----------
        image : ndarray, float32, shape (ny, nx)
            Charge, sky and dark current included, before flat-fielding [e]; not changed. NaN pixels are bridged along
            the row for the sake of their neighbours.
        product : PixelBoundaries or BrighterFatterKernel
            What charge does to boundaries.

        Returns
        -------
        BrighterFatterResult

        Raises
        ------
        InputError
            If the image has fewer than four rows or columns.
        """
        if min(image.shape) < _NARROWEST:
            raise InputError("image is too narrow for the brighter-fatter correction", value=image.shape)
        collected = np.ascontiguousarray(image, np.float32)
        unknown = ~np.isfinite(collected)
        if unknown.any():
            collected = collected.copy()
            bridge_unknown(collected)
        light, change, done = self._light(collected, product.boundaries())
        light[unknown] = np.nan
        return BrighterFatterResult(light, done, change)

    def _light(self, collected: Plane, product: PixelBoundaries) -> tuple[Plane, float, int]:
        """Iterate; the shifts are made from the charge once, and mended when the first guesses are there."""
        right, up = np.zeros_like(collected), np.zeros_like(collected)
        add_shifts(collected, product.serial, product.parallel, 0.5, right, up)
        light, spare = collected, np.empty_like(collected)
        change, done = np.inf, 0
        for done in range(1, self.config.iterations + 1):
            change = put_back(collected, light, right, up, spare)
            light, spare = spare, np.empty_like(collected) if light is collected else light
            if done == 2:
                add_shifts(collected - light, product.serial, product.parallel, -1.0 / 6.0, right, up)
                collected = collected.copy()
                put_back_steep(light, right, up, float(np.median(light[::_SPARSE, ::_SPARSE])), collected)
            elif change <= self.config.converged_e:
                break
        return light, change, done
