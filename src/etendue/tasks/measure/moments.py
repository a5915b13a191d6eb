"""Second moments of sources and of the PSF."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.moments import adaptive_moments
from etendue.kernels.source_light import cut_stamps
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig

_CHUNK = 2000  # sources whose stamps are in memory together


class MomentsConfig(TaskConfig):
    """Configuration of `Moments`."""

    reach: float = 3.5
    """Half side of the stamps in FWHM."""


@measurement("moments")
class Moments(Measurement[MomentsConfig]):
    """Adaptive moments of every source alone, and of the PSF there."""

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return ``ixx``, ``iyy``, ``ixy``, the same of the PSF [px**2] and ``shape_flag``."""
        own = self._own(scene)
        columns: Columns = dict(zip(("ixx", "iyy", "ixy"), own, strict=True))
        columns |= dict(zip(("ixxPSF", "iyyPSF", "ixyPSF"), _psf_moments(scene), strict=True))
        return columns | {"shape_flag": ~np.isfinite(own[0])}

    def _own(self, scene: Scene) -> NDArray[np.float64]:
        half = int(np.ceil(self.config.reach * scene.fwhm)) + 3
        col, row = np.rint(scene.x).astype(np.int64), np.rint(scene.y).astype(np.int64)
        found = np.full((3, len(scene)), np.nan)
        for start in range(0, len(scene), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(scene)))
            x0, y0 = col[rows] - half, row[rows] - half
            data, bad = cut_stamps(scene.residual, scene.bad, *scene.light.columns, rows, x0, y0, 2 * half + 1)
            centre = scene.x[rows] - x0, scene.y[rows] - y0
            found[:, rows] = adaptive_moments(data, bad, *centre, scene.sigma, 60)[:3]
        return found


def _psf_moments(scene: Scene) -> tuple[NDArray[np.float64], ...]:
    """Interpolate the PSF's moments between 9 x 9 positions over the image: they vary slowly."""
    ny, nx = scene.variance.shape
    u, v = np.linspace(0.0, nx - 1.0, 9), np.linspace(0.0, ny - 1.0, 9)
    grid_x, grid_y = np.meshgrid(u + scene.x0, v + scene.y0)
    col = np.clip(scene.x / max(nx - 1.0, 1.0) * 8.0, 0.0, 8.0)
    row = np.clip(scene.y / max(ny - 1.0, 1.0) * 8.0, 0.0, 8.0)
    i, j = np.minimum(col.astype(np.int64), 7), np.minimum(row.astype(np.int64), 7)
    a, b = col - i, row - j
    tables = [m.reshape(9, 9) for m in scene.psf.moments(x=grid_x.ravel(), y=grid_y.ravel())]
    return tuple(
        (1 - b) * ((1 - a) * m[j, i] + a * m[j, i + 1]) + b * ((1 - a) * m[j + 1, i] + a * m[j + 1, i + 1])
        for m in tables
    )
