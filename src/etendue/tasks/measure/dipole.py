"""Fits of dipoles, which images leave that were subtracted with an offset."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.dipole import fit_dipoles
from etendue.tasks.measure.measurement import Columns, Measurement, measurement
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import TaskConfig

Real = NDArray[np.float64]


class DipoleConfig(TaskConfig):
    """Choices of the dipole fit."""

    window_fwhm: float = Field(3.0, gt=1.0)
    """Half side of the fitted window in PSF FWHM."""

    reach_fwhm: float = Field(2.0, gt=0.0)
    """Farthest a lobe may lie from the source, in PSF FWHM."""

    least_gain: float = Field(25.0, ge=0.0)
    """By how much a dipole must lower the chi-square of its better lobe alone..."""

    least_ratio: float = Field(0.3, gt=0.0, le=1.0)
    """...and the flux of the fainter lobe over that of the brighter one, for a source to count as a dipole."""


@measurement("dipole")
class Dipole(Measurement[DipoleConfig]):
    """Two point sources of opposite sign, both free in place and flux: for difference images.

    What the scene holds for a source of the other sign nearby belongs to the dipole. Lobes much closer than the PSF is
    wide leave flux and separation known only as a product; errors say so.
    """

    columns = (
        *("dipole_positiveFlux", "dipole_positiveFluxErr", "dipole_negativeFlux", "dipole_negativeFluxErr"),
        *("dipoleMeanFlux", "dipoleMeanFluxErr", "dipole_differenceFlux", "dipole_differenceFluxErr"),
        *("dipole_x", "dipole_y", "dipole_length", "dipole_lengthErr", "dipole_angle", "dipole_angleErr"),
        *("dipoleChi2", "dipoleNdata", "dipoleFitAttempted", "isDipole", "dipole_flag"),
    )

    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Return both fluxes, their mean and difference, middle [parent px], length [px] and angle with errors.

        The angle [deg, from x towards y] points from the negative to the positive lobe.
        """
        half = int(np.ceil(self.config.window_fwhm * scene.fwhm))
        theta, covariance, chi2 = fit_dipoles(
            scene.residual, scene.weight_variance, scene.bad, *scene.light.columns, scene.x, scene.y, scene.psf_flux,
            scene.psf.components, scene.psf.terms(x=scene.x + scene.x0, y=scene.y + scene.y0), scene.psf.step, half,
            self.config.reach_fwhm * scene.fwhm, scene.correlation,
        )  # fmt: skip
        positive, x1, y1, negative, x2, y2 = theta.T
        dx, dy = x1 - x2, y1 - y2
        length, n = np.hypot(dx, dy), len(scene)
        zero, one = np.zeros(n), np.ones(n)
        with np.errstate(invalid="ignore", divide="ignore"):
            c, s = dx / length, dy / length
            slopes = {
                "positive": (one, zero, zero, zero, zero, zero), "negative": (zero, zero, zero, one, zero, zero),
                "mean": (0.5 * one, zero, zero, 0.5 * one, zero, zero),
                "difference": (one, zero, zero, -one, zero, zero), "length": (zero, c, s, zero, -c, -s),
                "angle": (zero, -s / length, c / length, zero, s / length, -c / length),
            }  # fmt: skip
            error = {name: _propagated(np.stack(slope, axis=1), covariance) for name, slope in slopes.items()}
            ratio = np.minimum(positive, negative) / np.maximum(positive, negative)
            is_dipole = (chi2[:, 1] - chi2[:, 0] > self.config.least_gain) & (ratio > self.config.least_ratio)
        values = (
            positive, error["positive"], -negative, error["negative"], 0.5 * (positive + negative), error["mean"],
            positive - negative, error["difference"], 0.5 * (x1 + x2) + scene.x0, 0.5 * (y1 + y2) + scene.y0, length,
            error["length"], np.degrees(np.arctan2(dy, dx)), np.degrees(error["angle"]), chi2[:, 0],
            np.nan_to_num(chi2[:, 2]).astype(np.int32), np.ones(n, np.bool_), is_dipole, ~np.isfinite(positive),
        )  # fmt: skip
        return dict(zip(self.columns, values, strict=True))


def _propagated(slope: Real, covariance: Real) -> Real:
    """Return the error of what has slopes (n, 6) by parameters of a covariance (n, 6, 6)."""
    found: Real = np.sqrt(np.einsum("ni,nij,nj->n", slope, covariance, slope))
    return found
