"""Everything measured on the sources of one exposure, in columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    psf_flux_flag, centroid_flag : ndarray, bool, shape (n,)
        No usable pixel; position not fitted or at the limit of its range.
    psf_chi2_dof : ndarray, shape (n,)
        Reduced chi-square of the fit.
    sky : ndarray, shape (n,)
        Background subtracted at the source, the exposure's and the local one, image units.
    snr : ndarray, shape (n,)
        psf_flux / psf_flux_err.
    n_neighbours : ndarray, int64, shape (n,)
        Other sources within the blend radius.
    pixel_flags : mapping of str to ndarray, bool, shape (n,)
        ``pixelFlags_*`` columns, LSST's names.
    measured : mapping of str to ndarray, shape (n,)
        What the measurements found, under LSST's names: ``ap06Flux``, ``ixx``, ``extendedness``...
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
    sky: FloatColumn
    n_neighbours: NDArray[np.int64]
    pixel_flags: Mapping[str, NDArray[np.bool_]]
    measured: Mapping[str, NDArray[Any]]

    @property
    def snr(self) -> FloatColumn:
        """PSF flux over its error, shape (n,)."""
        return self.psf_flux / self.psf_flux_err

    def __len__(self) -> int:
        return int(self.x.size)
