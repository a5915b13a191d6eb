"""Fits of trailed sources."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.trail import fit_trails
from etendue.tasks.measure.kron import moments_of
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.source_psfs import psf_mixtures
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]


class TrailConfig(TaskConfig):
    """Choices of the trail fit."""

    cells: int = Field(5, ge=1)
    """Cells along each axis whose PSFs are written as sums of Gaussians."""

    window_fwhm: float = Field(3.0, gt=1.0)
    """Half side of the fitted window in PSF FWHM, beyond the half length of the trail."""

    largest_window: int = Field(200, ge=10)
    """Largest half side of the window [px]."""


@measurement("trail")
class Trail(Measurement[TrailConfig]):
    """Lines of uniform light convolved with the PSF (Veres et al. 2012), as LSST's trailed-source fit.

    The PSF is taken as round. Fits start from second moments, which must be known.
    """

    columns = (
        *("trailFlux", "trailFluxErr", "trail_x", "trail_y", "trail_length", "trail_lengthErr"),
        *("trail_angle", "trail_angleErr", "trail_chi2PerPixel", "trail_flag"),
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return flux, middle [parent px], length [px], angle [deg, from x towards y], errors, chi-square per pixel."""
        start = self._starts(scene, moments_of(known), moments_of(known, "PSF"))
        half = np.ceil(self.config.window_fwhm * scene.fwhm + 0.75 * np.nan_to_num(start[:, 3]))
        half = np.minimum(half, self.config.largest_window).astype(np.int64)
        mixtures, cell = psf_mixtures(scene, self.config.cells)
        area = np.sqrt(mixtures[:, :, 1] * mixtures[:, :, 3] - mixtures[:, :, 2] ** 2)
        share = mixtures[:, :, 0] / mixtures[:, :, 0].sum(axis=1, keepdims=True)
        psfs = np.ascontiguousarray(np.stack([share, np.sqrt(area)], axis=2))
        theta, covariance, chi2 = fit_trails(
            scene.residual, scene.weight_variance, scene.bad, *scene.light.columns, start, half, psfs, cell,
            scene.correlation,
        )  # fmt: skip
        with np.errstate(invalid="ignore"):
            error = np.sqrt(np.einsum("ijj->ji", covariance))
        values = (theta[:, 0], error[0], theta[:, 1] + scene.x0, theta[:, 2] + scene.y0, theta[:, 3], error[3])
        angles = (np.degrees(theta[:, 4]), np.degrees(error[4]))
        return dict(zip(self.columns, (*values, *angles, chi2, ~np.isfinite(chi2)), strict=True))

    def _starts(self, scene: Scene, own: Real, psf: Real) -> Real:
        """Return flux, place, length and angle of the lines whose moments the sources have, shape (n, 5)."""
        xx, xy, yy = (own - psf).T
        size = np.hypot(0.5 * (xx - yy), xy)
        length = np.sqrt(12.0 * np.fmax(0.5 * (xx + yy) + size, 0.01))
        angle = 0.5 * np.arctan2(2.0 * xy, xx - yy)
        length, angle = (np.where(np.isfinite(xx), v, 0.1) for v in (length, angle))
        return np.ascontiguousarray(np.stack([scene.psf_flux, scene.x, scene.y, length, angle], axis=1))
