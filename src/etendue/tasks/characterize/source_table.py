"""Measured columns as rows of the ``source`` table, in sky coordinates and nanojansky."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.ids import source_ids
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.photo_calib import PhotoCalib
from etendue.image.visit_info import VisitInfo
from etendue.schema.table_schema import load_schema
from etendue.table.table import Table
from etendue.tasks.measure.source_columns import SourceColumns

CALIB_RADIUS = 3.0  # [px]: best repeatability for FWHM of 1.5 to 3 px; wider ones add sky noise and neighbours
_CORRECTION_SNR = 20.0


def source_table(
    schema: str,
    columns: SourceColumns,
    exposure: Exposure,
    *,
    photo_calib: PhotoCalib | None = None,
    extra: Mapping[str, ArrayLike] | None = None,
) -> Table:
    """Build a ``source`` or ``single_visit_star`` table.

    Parameters
    ----------
    schema : str
        Name of the table.
    columns : SourceColumns
        Measurements in image units.
    exposure : Exposure
        What they were measured on, with WCS and visit info.
    photo_calib : PhotoCalib, optional
        Scale from image units to nJy; left out where the image is in nJy already.
    extra : mapping of str to array_like, shape (n,), optional
        More columns.

    Returns
    -------
    Table
        In order of the measurements.
    """
    n = len(columns)
    info = exposure.visit_info or VisitInfo()
    scale = np.ones(n) if photo_calib is None else photo_calib.scale_at(x=columns.x, y=columns.y)
    values: dict[str, ArrayLike] = {
        "sourceId": source_ids(info.visit, exposure.detector, n),
        "visit": np.full(n, info.visit),
        "detector": np.full(n, exposure.detector),
        "band": np.full(n, exposure.band),
        "physical_filter": np.full(n, exposure.physical_filter),
        "midpointMjdTai": np.full(n, info.mjd_tai),
        "exposureTime": np.full(n, info.exposure_time_s),
        "detect_isPrimary": np.ones(n, bool),
        **pixel_columns(columns),
        **sky_columns(columns, exposure.wcs),
        **flux_columns(columns, scale),
        **(extra or {}),
    }
    known = {column.name for column in load_schema(schema).columns}
    values |= {name: flag for name, flag in columns.pixel_flags.items() if name in known}
    return Table(schema, values)


def pixel_columns(columns: SourceColumns) -> dict[str, NDArray]:
    """Return the columns that stay in pixels: positions, moments, size classification."""
    return {
        "x": columns.x,
        "y": columns.y,
        "xErr": columns.x_err,
        "yErr": columns.y_err,
        "x_y_Cov": columns.xy_cov,
        "centroid_flag": columns.centroid_flag,
        "ixx": columns.ixx,
        "iyy": columns.iyy,
        "ixy": columns.ixy,
        "ixxPSF": columns.ixx_psf,
        "iyyPSF": columns.iyy_psf,
        "ixyPSF": columns.ixy_psf,
        "shape_flag": columns.shape_flag,
        "extendedness": columns.extendedness,
        "snr": columns.snr,
        "psfChi2": columns.psf_chi2_dof,
    }


def sky_columns(columns: SourceColumns, wcs: SkyWcs | None) -> dict[str, NDArray]:
    """Return positions and their errors on the sky [deg]; NaN without a WCS.

    The error ellipse is carried through the local Jacobian, so ``raErr`` is along the great circle
    (it includes cos(dec)).
    """
    if wcs is None:
        nan = np.full(len(columns), np.nan)
        return {"ra": nan, "dec": nan}
    ra, dec = wcs.pixel_to_sky(x=columns.x, y=columns.y)
    jacobian = wcs.jacobian(x=columns.x, y=columns.y) / 3600.0
    covariance = np.empty((len(columns), 2, 2))
    covariance[:, 0, 0], covariance[:, 1, 1] = columns.x_err**2, columns.y_err**2
    covariance[:, 0, 1] = covariance[:, 1, 0] = columns.xy_cov
    sky = np.einsum("nij,njk,nlk->nil", jacobian, covariance, jacobian)
    return {
        "ra": ra,
        "dec": dec,
        "raErr": np.sqrt(sky[:, 0, 0]),
        "decErr": np.sqrt(sky[:, 1, 1]),
        "ra_dec_Cov": sky[:, 0, 1],
    }


def flux_columns(columns: SourceColumns, scale: NDArray[np.float64]) -> dict[str, NDArray]:
    """Return PSF and aperture fluxes [nJy].

    ``calibFlux`` is the flux inside `CALIB_RADIUS` corrected to the total flux of a star. At the sampling of small
    telescopes it repeats better than a PSF fit, which carries the errors of the model over the field.
    """
    found: dict[str, NDArray] = {
        "psfFlux": columns.psf_flux * scale,
        "psfFluxErr": columns.psf_flux_err * scale,
        "psfFlux_flag": columns.psf_flux_flag,
    }
    for index, radius in enumerate(columns.ap_radii):
        flux, err = columns.ap_flux[:, index] * scale, columns.ap_flux_err[:, index] * scale
        name = f"ap{round(radius):02d}Flux"
        found |= {name: flux, f"{name}Err": err, f"{name}_flag": ~np.isfinite(flux)}
        if radius == CALIB_RADIUS:
            correction = _aperture_correction(columns, index)
            found |= {"calibFlux": flux * correction, "calibFluxErr": err * correction}
    return found


def _aperture_correction(columns: SourceColumns, index: int) -> float:
    """Return total over aperture flux of stars: of the bright ones as measured, else the median of all decent ones."""
    value = columns.ap_correction[index][0]
    if np.isfinite(value):
        return float(value)
    usable = ~columns.psf_flux_flag & (columns.snr > _CORRECTION_SNR) & (columns.ap_flux[:, index] > 0.0)
    return float(np.median(columns.psf_flux[usable] / columns.ap_flux[usable, index])) if usable.any() else 1.0
