"""Exponential, de Vaucouleurs and composite model fluxes of galaxies, and what tells them from stars."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.galaxies import BULGE, DISC, POINT, fit_galaxies
from etendue.kernels.profiles import sersic_mixture
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.source_psfs import psf_blocks, psf_mixtures
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]
Index = NDArray[np.int64]


class GalaxiesConfig(TaskConfig):
    """Choices of the fits of galaxies."""

    disc_gaussians: int = Field(6, ge=3, le=12)
    """Gaussians whose sum is the exponential profile; with 6 the light inside any radius is right to 2e-4."""

    bulge_gaussians: int = Field(9, ge=4, le=14)
    """Gaussians whose sum is the de Vaucouleurs profile; with 9 the light inside any radius is right to 1.6e-3."""

    cells: int = Field(5, ge=1)
    """Cells along each axis whose PSFs are written as sums of Gaussians; what these miss is added source by source."""

    window_fwhm: float = Field(3.0, gt=1.0)
    """Half side of the fitted window in PSF FWHM, and..."""

    window_sigma: float = Field(5.0, gt=1.0)
    """...in widths of the source, if it is larger."""

    largest_window: int = Field(80, ge=10, le=250)
    """Largest half side of the window [px]."""

    price: float = Field(2.0, ge=0.0)
    """By how much each more parameter must lower chi-square for a richer model to count as much in `cModelFlux`, if
    pixels are independent."""

    block: int = Field(512, ge=1)
    """Sources whose PSFs are held in memory at once."""


@measurement("galaxies")
class Galaxies(Measurement[GalaxiesConfig]):
    """Fits of profiles convolved with the PSF: point source, exponential, de Vaucouleurs, and the best of them.

    Fluxes reach to infinity. `cModelFlux` is the mean of all models by their likelihoods and numbers of parameters:
    point, either profile, and the sum of both with shapes held; its error holds what they differ by. Errors are of
    model variance and pixel covariance, and follow the shapes. No priors.
    """

    columns = (
        *("pointFlux", "pointFluxErr", "point_chi2"),
        *("expFlux", "expFluxErr", "exp_x", "exp_y", "exp_xx", "exp_yy", "exp_xy"),
        *("exp_xxErr", "exp_yyErr", "exp_xyErr", "exp_chi2", "exp_flag"),
        *("devFlux", "devFluxErr", "dev_x", "dev_y", "dev_xx", "dev_yy", "dev_xy"),
        *("dev_xxErr", "dev_yyErr", "dev_xyErr", "dev_chi2", "dev_flag"),
        *("cModelFlux", "cModelFluxErr", "cModel_fracDev", "cModel_flag"),
        *("extended_logRatio", "galaxy_nPixels"),
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Fit all sources; moments (``ixx`` ...) among the known columns make better starts and windows."""
        start, half = self._starts(scene, known)
        mixtures, cell = psf_mixtures(scene, self.config.cells)
        inflated = _inflation(scene)
        disc, bulge = sersic_mixture(1.0, self.config.disc_gaussians), sersic_mixture(4.0, self.config.bulge_gaussians)
        parts: list[Real] = []
        for first, stamps, *corner in psf_blocks(scene, scene.x, scene.y, half, self.config.block):
            parts.append(
                fit_galaxies(
                    scene.residual,
                    scene.weight_variance,
                    scene.bad,
                    *scene.light.columns,
                    start,
                    half,
                    disc,
                    bulge,
                    mixtures,
                    cell,
                    stamps,
                    *corner,
                    int(scene.forced),
                    scene.correlation,
                    self.config.price * inflated,
                    inflated,
                    first,
                )
            )
        theta, covariance, chi2, total = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self._columns(scene, theta, covariance, chi2, total, inflated)

    def _starts(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> tuple[Real, Index]:
        """Return the first guess of every fit, shape (n, 6), and half of the side of its window."""
        n, variance = len(scene), scene.sigma**2
        own = {name: np.asarray(known.get(name, np.full(n, np.nan)), np.float64) for name in ("ixx", "ixy", "iyy")}
        psf = {"ixx": variance, "ixy": 0.0, "iyy": variance}
        ellipse = [
            np.where(np.isfinite(own[name]), 1.3 * (own[name] - known.get(f"{name}PSF", psf[name])), 0.5 * psf[name])
            for name in ("ixx", "ixy", "iyy")
        ]
        ellipse = [np.where(np.isfinite(value), value, 0.0) for value in ellipse]
        start = np.ascontiguousarray(np.stack([scene.psf_flux, scene.x, scene.y, *ellipse], axis=1))
        width = np.sqrt(np.fmax(np.fmax(own["ixx"], own["iyy"]), variance))
        half = np.maximum(self.config.window_fwhm * scene.fwhm, self.config.window_sigma * width)
        return start, np.minimum(np.ceil(half), self.config.largest_window).astype(np.int64)

    def _columns(
        self, scene: Scene, theta: Real, covariance: Real, chi2: Real, total: Real, inflated: float
    ) -> Columns:
        with np.errstate(invalid="ignore"):
            error = np.sqrt(np.einsum("imjj->imj", covariance))
        columns: Columns = {"pointFlux": theta[:, POINT, 0], "pointFluxErr": error[:, POINT, 0]}
        columns["point_chi2"] = chi2[:, POINT]
        for name, model in (("exp", DISC), ("dev", BULGE)):
            failed = ~np.isfinite(chi2[:, model])
            fit, err = (np.where(failed[:, np.newaxis], np.nan, v[:, model]) for v in (theta, error))
            columns |= {f"{name}Flux": fit[:, 0], f"{name}FluxErr": err[:, 0]}
            columns |= {f"{name}_x": fit[:, 1] + scene.x0, f"{name}_y": fit[:, 2] + scene.y0}
            columns |= {f"{name}_xx": fit[:, 3], f"{name}_yy": fit[:, 5], f"{name}_xy": fit[:, 4]}
            columns |= {f"{name}_xxErr": err[:, 3], f"{name}_yyErr": err[:, 5], f"{name}_xyErr": err[:, 4]}
            columns |= {f"{name}_chi2": chi2[:, model], f"{name}_flag": failed}
        columns |= {"cModelFlux": total[:, 0], "cModelFluxErr": total[:, 1], "cModel_fracDev": total[:, 2]}
        columns["cModel_flag"] = ~np.isfinite(total[:, 0])
        gain = chi2[:, POINT] - np.fmin(chi2[:, DISC], chi2[:, BULGE])
        columns["extended_logRatio"] = 0.5 * gain / inflated
        return columns | {"galaxy_nPixels": chi2[:, 3]}


def _inflation(scene: Scene) -> float:
    """Return by how much correlated noise inflates gains of chi-square counted as if pixels were independent."""
    if scene.noise is None or scene.noise.is_white:
        return 1.0
    ny, nx = scene.residual.shape
    return scene.noise.flux_variance_factor(scene.psf.stamp(x=scene.x0 + nx // 2, y=scene.y0 + ny // 2))
