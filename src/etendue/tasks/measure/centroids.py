"""Positions that need no model of the source."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import map_coordinates

from etendue.kernels.smoothed_peak import smoothed_peaks, stamp_peaks
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]
_NODES = 9  # along each axis, at which the PSF's own peak is looked up...
_WIDTHS = np.array([1.0, 1.5, 2.25, 3.4, 5.0])  # ...smoothed by these multiples of its width


class SmoothedPeakConfig(TaskConfig):
    """Choices of the centroid."""

    step: float = Field(1.5, gt=1.0)
    """Smoothing Gaussians are as wide as the PSF, times a power of this for sources whose moments are known."""

    widest: int = Field(4, ge=0)
    """Largest power."""

    farthest: float = Field(2.5, gt=0.0)
    """Largest distance from the fitted position, in widths of the smoothing Gaussian."""


@measurement("sdss_centroid")
class SmoothedPeak(Measurement[SmoothedPeakConfig]):
    """Maximum of each source alone after smoothing by a Gaussian as wide as it is (SDSS; Pier et al. 2003).

    What that is of the PSF, whose peak moves with the smoothing where it is lopsided, is taken off. Errors hold for
    stars and galaxies: they follow from the source's own curvature, the model's variance and the pixels' covariance.
    """

    columns = (
        *("sdssCentroid_x", "sdssCentroid_y", "sdssCentroid_xErr", "sdssCentroid_yErr", "sdssCentroid_x_y_Cov"),
        "sdssCentroid_flag",
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return position [parent px], errors, covariance and flag."""
        own = _widths(scene, known)
        power = np.clip(np.rint(np.log(own / scene.sigma) / np.log(self.config.step)), 0, self.config.widest)
        sigma = scene.sigma * self.config.step**power
        place, covariance = smoothed_peaks(
            scene.residual, scene.weight_variance, scene.bad, *scene.light.columns, scene.x, scene.y, sigma,
            self.config.farthest, scene.correlation,
        )  # fmt: skip
        x, y = (place - _psf_peaks(scene, np.sqrt(sigma**2 + np.maximum(own**2 - scene.sigma**2, 0.0)))).T
        with np.errstate(invalid="ignore"):
            x_err, y_err = np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1])
        values = (x + scene.x0, y + scene.y0, x_err, y_err, covariance[:, 0, 1].copy(), ~np.isfinite(x))
        return dict(zip(self.columns, values, strict=True))


def _widths(scene: Scene, known: Mapping[str, NDArray[Any]]) -> Real:
    """Return the widths of the sources [px]: by their moments, if these are known, else the PSF's."""
    own = np.full(len(scene), scene.sigma)
    if all(name in known for name in ("ixx", "ixy", "iyy")):
        with np.errstate(invalid="ignore"):
            width = (known["ixx"] * known["iyy"] - known["ixy"] ** 2) ** 0.25
        own = np.where(np.isfinite(width), np.maximum(width, 1e-3 * scene.sigma), own)
    return own


def _psf_peaks(scene: Scene, sigma: Real) -> Real:
    """Return where the PSF, smoothed by Gaussians, is brightest, shape (n, 2): between 9 x 9 places and some widths."""
    (ny, nx), count = scene.residual.shape, _NODES if scene.psf.order else 1
    axes = [np.rint(np.linspace(0.0, n - 1.0, count)) if count > 1 else np.array([n // 2]) for n in (nx, ny)]
    u, v = np.meshgrid(*axes)
    stamps = scene.psf.draw(x=u.ravel() + scene.x0, y=v.ravel() + scene.y0).value
    table = np.stack([stamp_peaks(stamps, width * scene.sigma) for width in _WIDTHS])
    table = table.reshape(_WIDTHS.size, count, count, 2)
    depth = np.interp(np.log(sigma / scene.sigma), np.log(_WIDTHS), np.arange(_WIDTHS.size))
    coordinates = [
        depth,
        *(np.nan_to_num(p) / max(n - 1, 1) * (count - 1) for p, n in ((scene.y, ny), (scene.x, nx))),
    ]
    return np.stack(
        [map_coordinates(table[..., axis], coordinates, order=1, mode="nearest") for axis in (0, 1)], axis=1
    )
