"""Everything measured on the sources of one exposure, in columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SourceColumns:
    """Measurements in image units and parent pixels; NaN where not measurable.

    Attributes
    ----------
    x, y, x_err, y_err : ndarray, shape (n,)
        Fitted (or, in forced mode, given) positions [px]; errors NaN when forced.
    xy_cov : ndarray, shape (n,)
        Covariance of x and y [px**2].
    psf_flux, psf_flux_err : ndarray, shape (n,)
        Joint PSF fit.
    psf_flux_flag, centroid_flag, shape_flag : ndarray, bool, shape (n,)
        No usable pixel; position not fitted or at the limit of its range; moments did not converge.
    psf_chi2_dof : ndarray, shape (n,)
        Reduced chi-square of the fit.
    ap_radii : tuple of float
        Aperture radii [px].
    ap_flux, ap_flux_err : ndarray, shape (n, n_radii)
        Aperture sums with the other sources subtracted, not corrected for light outside.
    ap_correction : tuple of (float, float)
        PSF flux over aperture flux of stars and its error, per radius; NaN where too few stars.
    ixx, iyy, ixy, ixx_psf, iyy_psf, ixy_psf : ndarray, shape (n,)
        Adaptive moments of source and PSF [px**2].
    broad, broad_err : ndarray, shape (n,)
        Fraction of the light in a profile broader than the PSF: 0 for stars, with error.
    extendedness : ndarray, shape (n,)
        1 for extended, 0 for point-like, NaN if undecided by the data.
    sky : ndarray, shape (n,)
        Background subtracted at the source, the exposure's and the local one, image units.
    snr : ndarray, shape (n,)
        psf_flux / psf_flux_err.
    n_neighbours : ndarray, int64, shape (n,)
        Other sources within the blend radius.
    pixel_flags : mapping of str to ndarray, bool, shape (n,)
        ``pixelFlags_*`` columns, LSST's names.
    """

    x: FloatColumn
    y: FloatColumn
    x_err: FloatColumn
    y_err: FloatColumn
    xy_cov: FloatColumn
    psf_flux: FloatColumn
    psf_flux_err: FloatColumn
    psf_flux_flag: NDArray[np.bool_]
    centroid_flag: NDArray[np.bool_]
    psf_chi2_dof: FloatColumn
    ap_radii: tuple[float, ...]
    ap_flux: FloatColumn
    ap_flux_err: FloatColumn
    ap_correction: tuple[tuple[float, float], ...]
    ixx: FloatColumn
    iyy: FloatColumn
    ixy: FloatColumn
    ixx_psf: FloatColumn
    iyy_psf: FloatColumn
    ixy_psf: FloatColumn
    shape_flag: NDArray[np.bool_]
    broad: FloatColumn
    broad_err: FloatColumn
    extendedness: FloatColumn
    sky: FloatColumn
    n_neighbours: NDArray[np.int64]
    pixel_flags: Mapping[str, NDArray[np.bool_]]

    @property
    def snr(self) -> FloatColumn:
        """PSF flux over its error, shape (n,)."""
        return self.psf_flux / self.psf_flux_err

    def __len__(self) -> int:
        return int(self.x.size)
