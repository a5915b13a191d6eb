"""What the astrometric fit of one exposure gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sky_wcs import SkyWcs
from etendue.tasks.astrometry.refraction import Refraction
from etendue.tasks.astrometry.tan_sip import PixelFrame

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AstrometryResult:
    """A WCS with its quality.

    Parameters
    ----------
    wcs : SkyWcs
        Fitted TAN-SIP.
    source, reference : ndarray, int64, shape (n,)
        Indices of the matched stars.
    used : ndarray, bool, shape (n,)
        False for matches rejected as outliers.
    residual_east_arcsec, residual_north_arcsec : ndarray, float64, shape (n,)
        Source minus reference [arcsec].
    rms_arcsec : float
        Root mean square of the used residuals, per axis [arcsec].
    floor_arcsec : float
        Scatter per axis that the formal errors leave unexplained [arcsec].
    chi2_per_dof : float
        Reduced chi-square with the floor included.
    order : int
        Order of the fitted polynomial.
    shift_arcsec, rotation_deg, scale : float
        Error of the starting WCS that the pattern match found; 0, 0, 1 without one.
    frame : PixelFrame
        Scaling of the polynomial.
    covariance : ndarray, float64, shape (2, n_terms, n_terms)
        Of the coefficients along east and north [arcsec**2].
    refraction : Refraction
        How the air moves stars by their colour; the WCS is that of stars of its reference colour.
    """

    wcs: SkyWcs
    source: NDArray[np.int64]
    reference: NDArray[np.int64]
    used: NDArray[np.bool_]
    residual_east_arcsec: Vector
    residual_north_arcsec: Vector
    rms_arcsec: float
    floor_arcsec: float
    chi2_per_dof: float
    order: int
    shift_arcsec: float
    rotation_deg: float
    scale: float
    frame: PixelFrame
    covariance: Vector
    refraction: Refraction

    @property
    def n_used(self) -> int:
        """Number of stars in the fit."""
        return int(self.used.sum())

    def position_err_arcsec(self, *, x: Vector, y: Vector) -> tuple[Vector, Vector]:
        """Return the 1-sigma error of the WCS itself, from the covariance of its coefficients.

        Parameters
        ----------
        x, y : ndarray, float64, shape (n,)
            Pixels.

        Returns
        -------
        east_err, north_err : ndarray, float64, shape (n,)
            Errors along the axes of the tangent plane [arcsec].
        """
        design = self.frame.design(np.asarray(x, float), np.asarray(y, float), self.order)
        east, north = (np.sqrt(np.einsum("ij,jk,ik->i", design, matrix, design)) for matrix in self.covariance)
        return east, north
