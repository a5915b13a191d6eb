"""Measured columns as rows of the ``source`` table, in sky coordinates and nanojansky."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.box import Box
from etendue.geom.ids import source_ids
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.aperture_correction import aperture_name
from etendue.image.exposure import Exposure
from etendue.image.photo_calib import PhotoCalib
from etendue.image.visit_info import VisitInfo
from etendue.schema.table_schema import load_schema
from etendue.table.table import Table
from etendue.tasks.measure.aperture_corrections import ApertureCorrectionTask, corrected
from etendue.tasks.measure.source_columns import SourceColumns

CALIB_FLUX = aperture_name(3.0)  # best repeatability for FWHM of 1.5 to 3 px; wider ones add sky noise and neighbours


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
        In order of the measurements; fluxes corrected by the exposure's aperture corrections
        (`etendue.tasks.measure.aperture_corrections.is_applied`).
    """
    n, columns = len(columns), corrected(columns, exposure.aperture_corrections)
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
        **flux_columns(columns, scale, exposure.bbox),
        **columns.pixel_flags,
    }
    known = {column.name for column in load_schema(schema).columns}
    values = {name: value for name, value in values.items() if name in known} | dict(extra or {})
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
        "snr": columns.snr,
        "psfChi2": columns.psf_chi2_dof,
        **{name: value for name, value in columns.measured.items() if not _is_flux(name)},
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


def flux_columns(columns: SourceColumns, scale: NDArray[np.float64], bbox: Box) -> dict[str, NDArray]:
    """Return all fluxes [nJy].

    ``calibFlux`` is the flux inside `CALIB_FLUX` corrected to the total flux of a star. At the sampling of small
    telescopes it repeats better than a PSF fit, which carries the errors of the model over the field.
    """
    found: dict[str, NDArray] = {
        "psfFlux": columns.psf_flux * scale,
        "psfFluxErr": columns.psf_flux_err * scale,
        "psfFlux_flag": columns.psf_flux_flag,
    }
    found |= {name: value * scale for name, value in columns.measured.items() if _is_flux(name)}
    if CALIB_FLUX in columns.measured:
        correction = ApertureCorrectionTask().run(columns, bbox, CALIB_FLUX).at(x=columns.x, y=columns.y)
        found |= {"calibFlux": found[CALIB_FLUX] * correction, "calibFluxErr": found[f"{CALIB_FLUX}Err"] * correction}
    return found


def _is_flux(name: str) -> bool:
    return name.endswith(("Flux", "FluxErr")) and "_inst" not in name  # LSST's instFlux stays in image units
