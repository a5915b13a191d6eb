"""Put one exposure on reference catalogs: its WCS on one, its flux scale on the same or another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.horizon import toward_zenith
from etendue.image.exposure import Exposure
from etendue.log import get_logger
from etendue.refcat.sample import ReferenceSample
from etendue.tasks.astrometry.fit import FitAstrometryConfig, FitAstrometryTask
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.photometry.transparency import TransparencyConfig, TransparencyTask
from etendue.tasks.photometry.zero_point import ZeroPointConfig, ZeroPointTask

_log = get_logger(__name__)
_MAG_PER_LN = 2.5 / np.log(10.0)


@dataclass(frozen=True)
class OnReference:
    """An exposure on a reference catalog.

    Parameters
    ----------
    exposure : Exposure
        With what was solved, and its numbers in the metadata.
    source, reference : ndarray, int64, shape (n,)
        Matched sources and rows of the reference sample.
    flags : dict of str to ndarray
        ``calib_astrometry_used`` and, where a flux scale was solved, ``calib_photometry_used``, per source.
    moved_px : float
        By how much the WCS that it started from was wrong in the middle [px].
    """

    exposure: Exposure
    source: NDArray[np.int64]
    reference: NDArray[np.int64]
    flags: dict[str, NDArray[np.bool_]]
    moved_px: float


def solve_position(
    exposure: Exposure, columns: SourceColumns, sample: ReferenceSample, config: FitAstrometryConfig, color: str
) -> OnReference:
    """Solve the WCS.

    Parameters
    ----------
    exposure : Exposure
        With an approximate WCS.
    columns : SourceColumns
        Its sources.
    sample : ReferenceSample
        Reference stars on and around it, at its epoch.
    config : FitAstrometryConfig
        Choices of the fit.
    color : str
        Colour for refraction, such as ``g-i``; empty for none.

    Returns
    -------
    OnReference

    Raises
    ------
    AlgorithmError
        If the stars do not match.
    """
    assert exposure.wcs is not None
    usable = np.flatnonzero(~columns.centroid_flag & ~columns.pixel_flags["pixelFlags_saturated"])
    fluxes = sample.flux_in(exposure.band)
    fit = FitAstrometryTask(config).run(
        x=columns.x[usable], y=columns.y[usable], x_err=columns.x_err[usable], y_err=columns.y_err[usable],
        flux=columns.psf_flux[usable], wcs=exposure.wcs, ref_ra_deg=sample.ra_deg, ref_dec_deg=sample.dec_deg,
        ref_flux=None if fluxes is None else fluxes[0], ref_err_arcsec=sample.err_arcsec,
        ref_color_mag=_color(sample, color), toward_zenith=_zenith(exposure) if color else None,
    )  # fmt: skip
    source = usable[fit.source]
    facts: dict[str, float | None] = {
        "refraction_arcsec_per_mag": fit.refraction.arcsec_per_mag,
        "refraction_err_arcsec_per_mag": _known(fit.refraction.err_arcsec_per_mag),
        "refraction_reference_color": fit.refraction.reference_color,
    } if color else {}  # fmt: skip
    residual = np.hypot(fit.residual_east_arcsec, fit.residual_north_arcsec)[fit.used]
    east, north = (float(np.median(axis[fit.used])) for axis in (fit.residual_east_arcsec, fit.residual_north_arcsec))
    facts |= {"astrometric_offset_ra_arcsec": east, "astrometric_offset_dec_arcsec": north}
    facts |= {"astrometric_offset_mean_arcsec": float(residual.mean()),
              "astrometric_offset_std_arcsec": float(residual.std())}  # fmt: skip
    solved = exposure.replace(wcs=fit.wcs, metadata={**exposure.metadata, **facts})
    flags = {"calib_astrometry_used": _flagged(source[fit.used], len(columns))}
    middle = np.array([exposure.bbox.x.center, exposure.bbox.y.center])
    ra, dec = fit.wcs.pixel_to_sky(x=middle[0], y=middle[1])
    moved = np.hypot(*(np.array(exposure.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)) - middle))
    return OnReference(solved, source, fit.reference, flags, float(moved))


def solve_flux(
    position: OnReference,
    columns: SourceColumns,
    sample: ReferenceSample,
    photometry: ReferenceSample | None,
    config: ZeroPointConfig,
    color: str,
    transparency: TransparencyConfig,
) -> OnReference:
    """Solve the zero point, and judge the sky by it.

    Parameters
    ----------
    position : OnReference
        From `solve_position`.
    columns : SourceColumns
        The sources.
    sample : ReferenceSample
        Reference stars of the astrometry.
    photometry : ReferenceSample or None
        Reference stars of the photometry, where they are others.
    config : ZeroPointConfig
        Choices of the zero point.
    color : str
        Colour for its colour term, such as ``g-i``; empty for none.
    transparency : TransparencyConfig
        What counts as cloudy.

    Returns
    -------
    OnReference
        On a relative scale as before, with a warning, where the catalog lacks the band.

    Raises
    ------
    AlgorithmError
        If too few stars can be used.
    """
    exposure, source, rows = position.exposure, position.source, position.reference
    stars = sample
    if photometry is not None:
        stars, (source, rows) = photometry, _matched(exposure, columns, photometry)
    fluxes = stars.flux_in(exposure.band)
    if fluxes is None:
        _log.warning("the reference catalog has no %s band: fluxes stay on a relative scale", exposure.band)
        return position
    colors = _color(stars, color)
    flux, flux_err = columns.psf_flux[source], columns.psf_flux_err[source]
    zero = ZeroPointTask(config).run(
        flux=flux, flux_err=flux_err, ref_flux_njy=fluxes[0][rows], ref_flux_err_njy=fluxes[1][rows],
        color_mag=None if colors is None else colors[rows],
    )  # fmt: skip
    info = exposure.visit_info
    sky = TransparencyTask(transparency).run(
        zero_point_mag=zero.zero_point_mag, exposure_time_s=info.exposure_time_s if info else float("nan"),
        airmass=info.airmass if info else float("nan"), x=columns.x[source][zero.used], y=columns.y[source][zero.used],
        residual_mag=zero.residual_mag[zero.used], residual_err_mag=(_MAG_PER_LN * flux_err / flux)[zero.used],
    )  # fmt: skip
    if sky.cloudy:
        _log.warning("clouds: %.2f mag of light lost, zero point uneven by %.3f mag", sky.extinction_mag,
                     sky.structure_mag)  # fmt: skip
    facts = {
        "color_term": zero.color_term, "color_term_color": zero.mean_color,
        "cloud_extinction_mag": _known(sky.extinction_mag), "cloud_structure_mag": _known(sky.structure_mag),
        "cloudy": sky.cloudy,
    }  # fmt: skip
    solved = exposure.replace(photo_calib=zero.photo_calib, metadata={**exposure.metadata, **facts})
    used = {"calib_photometry_used": _flagged(source[zero.used], len(columns))}
    return OnReference(solved, source, rows, position.flags | used, position.moved_px)


def _matched(
    exposure: Exposure, columns: SourceColumns, stars: ReferenceSample
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match sources to stars by the solved WCS."""
    assert exposure.wcs is not None
    usable = np.flatnonzero(~columns.centroid_flag & ~columns.pixel_flags["pixelFlags_saturated"])
    ra, dec = exposure.wcs.pixel_to_sky(x=columns.x[usable], y=columns.y[usable])
    scale = float(exposure.wcs.pixel_scale(x=exposure.bbox.x.center, y=exposure.bbox.y.center))
    found = MatchSkyTask(MatchSkyConfig().at_least(0.5 * scale)).run(
        ra1_deg=ra, dec1_deg=dec, ra2_deg=stars.ra_deg, dec2_deg=stars.dec_deg
    )
    return usable[found.first], found.second


def _color(sample: ReferenceSample, name: str) -> NDArray[np.float64] | None:
    """Return a colour of reference stars, None with a warning where the catalog lacks a band of it."""
    if not name:
        return None
    colors = sample.color(name)
    if colors is None:
        _log.warning("the reference catalog has no colour %s: nothing is corrected by colour", name)
    return colors


def _zenith(exposure: Exposure) -> tuple[float, float] | None:
    """Return the direction to the zenith, None where time or site is unknown."""
    info = exposure.visit_info
    assert exposure.wcs is not None
    if info is None:
        return None
    ra, dec = exposure.wcs.pixel_to_sky(x=exposure.bbox.x.center, y=exposure.bbox.y.center)
    site = {"longitude_deg": info.longitude_deg, "latitude_deg": info.latitude_deg}
    east, north = (float(value) for value in toward_zenith(ra, dec, mjd_tai=info.mjd_tai, **site))
    if not np.isfinite(east + north):
        _log.warning("time or site of the exposure is unknown: refraction is not corrected")
        return None
    return east, north


def _known(value: float) -> float | None:
    """Return a number for the metadata, None for NaN."""
    return value if np.isfinite(value) else None


def _flagged(rows: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    flag = np.zeros(n, bool)
    flag[rows] = True
    return flag
