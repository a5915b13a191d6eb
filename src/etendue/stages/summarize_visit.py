"""Collect the quality of all detectors of a visit in one table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from etendue.geom.box import Box
from etendue.geom.horizon import azimuth_deg, zenith_and_parallactic_deg
from etendue.geom.sphere import sky_position, unit_vector
from etendue.image.photo_calib import PhotoCalib
from etendue.image.visit_info import VisitInfo
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.photometry.exposure_summary import determinant_radius, effective_time, limiting_magnitude
from etendue.tasks.task import TaskConfig

_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


class Fiducial(TaskConfig):
    """An exposure whose effective time is its exposure time, in one band."""

    seeing_arcsec: float = Field(gt=0.0)
    """PSF width, as ``fiducial_seeing_arcsec`` [arcsec]."""

    sky_electron: float = Field(gt=0.0)
    """Sky [electron/s/px]."""

    zero_point: float
    """Magnitude of one electron per second [mag]."""


class SummarizeVisitConfig(StageConfig):
    """Configuration of `SummarizeVisit`."""

    limit_snr: float = 5.0
    """Signal-to-noise ratio of the limiting magnitude."""

    fiducial_seeing_arcsec: float = Field(0.0, ge=0.0)
    """PSF width (FWHM of a Gaussian of its second moments) of an exposure whose effective time is its exposure time
    [arcsec]; with 0 there is no effective time."""

    fiducial_sky_electron: float = Field(0.0, ge=0.0)
    """Its sky [electron/s/px]; 0 for none."""

    fiducial_zero_point: float = 0.0
    """Its magnitude of one electron per second [mag]; 0 for none."""

    fiducials: dict[str, Fiducial] = Field(default_factory=dict)
    """What differs from these in single bands."""


@dataclass(frozen=True)
class SummarizeVisitResult:
    """One row per detector."""

    summary: Table


class SummarizeVisit(Stage[SummarizeVisitConfig]):
    """Gather seeing, sky, depth, calibration and source counts; no pixel is read."""

    dimensions = ("instrument", "visit")
    images = Input("visit_image", ("instrument", "visit", "detector"), "EtendueExposure", multiple=True, deferred=True)
    summary = Output("visit_summary", ("instrument", "visit"), "EtendueTable")

    def run(self, *, images: tuple[DatasetHandle, ...]) -> SummarizeVisitResult:
        """Read the parts of ``images``, one row each."""
        rows = [self._row(image) for image in images]
        azimuth = _azimuth(images[0].get(component="visit_info"), rows)
        rows = [row | {"azimuth": azimuth} for row in rows]
        return SummarizeVisitResult(summary=Table("visit_summary", {k: [row[k] for row in rows] for k in rows[0]}))

    def _row(self, image: DatasetHandle) -> dict[str, Any]:
        wcs, psf, calib, info, facts, box = (
            image.get(component=name) for name in ("wcs", "psf", "photo_calib", "visit_info", "metadata", "bbox")
        )
        x, y = box.x.center, box.y.center
        ixx, iyy, ixy = (float(np.squeeze(moment)) for moment in psf.moments(x=x, y=y))
        area = float(np.squeeze(psf.effective_area(x=x, y=y)))
        scale = float(wcs.pixel_scale(x=x, y=y))
        ra, dec = wcs.pixel_to_sky(x=x, y=y)
        sigma = float(determinant_radius(ixx, iyy, ixy))
        zenith = _zenith_distance(info, float(ra), float(dec))
        return {
            "visit": info.visit, "detector": int(image.data_id["detector"]), "band": str(image.data_id["band"]),
            "physical_filter": str(image.data_id["physical_filter"]), "ra": float(ra), "dec": float(dec),
            "pixelScale": scale, "expTime": info.exposure_time_s, "expMidptMJD": info.mjd_tai,
            "obsStartMJD": info.date_begin_mjd_tai, "zeroPoint": calib.zero_point_mag,
            "zeroPointErr": calib.zero_point_err_mag, "photoCalibKind": calib.kind, "photoCalibScale": calib.scale,
            "psfSigma": sigma, "psfArea": area, "psfIxx": ixx, "psfIyy": iyy, "psfIxy": ixy,
            "seeing": float(np.squeeze(psf.fwhm(x=x, y=y))) * scale,
            "skyBg": facts["sky_level_electron"], "skyNoise": facts["sky_noise_electron"],
            "magLim": limiting_magnitude(
                zero_point_mag=calib.zero_point_mag, noise=facts["sky_noise_electron"], psf_area=area,
                snr=self.config.limit_snr,
            ),
            "ellipticity": float(np.hypot(ixx - iyy, 2.0 * ixy) / (ixx + iyy)),
            "zenithDistance": zenith, "altitude": 90.0 - zenith, "skyRotation": info.rotation_deg,
            **self._effective_time(str(image.data_id["band"]), info, calib, facts, sigma * scale, scale),
            "airmass": info.airmass, "day_obs": info.day_obs, "seq": info.seq, "instrument": info.instrument,
            "target": info.object, "xSize": box.x.size, "ySize": box.y.size, **_corners(wcs, box),
            **{name: facts[key] for name, key in _COUNTS.items()},
            **{name: _number(facts.get(key)) for name, key in _OPTIONAL.items()},
            # Without a reference catalog the joint solution's scatter about its own mean positions stands in.
            "astromOffsetStd": facts.get("astrometric_offset_std_arcsec") or facts["astrometric_rms_arcsec"],
        }  # fmt: skip

    def _effective_time(
        self, band: str, info: VisitInfo, calib: PhotoCalib, facts: dict[str, Any], sigma_arcsec: float, scale: float
    ) -> dict[str, float]:
        """Return the effective time and its factors; NaN where there is no fiducial."""
        fiducial = self.config.fiducials.get(band) or _common_fiducial(self.config)
        if fiducial is None:
            return dict.fromkeys(_EFFECTIVE_TIME, float("nan"))
        return effective_time(
            exposure_time_s=info.exposure_time_s, psf_sigma_px=sigma_arcsec / scale,
            sky_electron=facts["sky_level_electron"], zero_point_mag=calib.zero_point_mag,
            fiducial_psf_sigma_px=fiducial.seeing_arcsec / _FWHM_PER_SIGMA / scale,
            fiducial_sky_electron_per_s=fiducial.sky_electron, fiducial_zero_point_mag=fiducial.zero_point,
        )  # fmt: skip


def _common_fiducial(config: SummarizeVisitConfig) -> Fiducial | None:
    """Return the fiducial of all bands, if there is one."""
    values = config.fiducial_seeing_arcsec, config.fiducial_sky_electron, config.fiducial_zero_point
    return Fiducial(seeing_arcsec=values[0], sky_electron=values[1], zero_point=values[2]) if all(values) else None


_COUNTS = {
    "nSource": "n_source",
    "nPsfStar": "n_psf_star",
    "nCosmicRay": "n_cosmic_ray_pixel",
    "nAstrometryStar": "n_astrometry_star",
    "nPhotometryStar": "n_photometry_star",
    "photometryScatter": "photometric_rms_mag",
    "maskedFraction": "masked_fraction",
}
_EFFECTIVE_TIME = ("effTime", "effTimePsfSigmaScale", "effTimeSkyBgScale", "effTimeZeroPointScale")
_PSF_SUMMARY = (
    "psfStarDeltaE1Median", "psfStarDeltaE1Scatter", "psfStarDeltaE2Median", "psfStarDeltaE2Scatter",
    "psfStarDeltaSizeMedian", "psfStarDeltaSizeScatter", "psfStarScaledDeltaSizeScatter", "psfTraceRadiusDelta",
    "psfApFluxDelta", "psfApCorrSigmaScaledDelta", "maxDistToNearestPsf",
)  # fmt: skip
_OPTIONAL = {
    **{name: name for name in _PSF_SUMMARY},
    "astromOffsetMean": "astrometric_offset_mean_arcsec",
    "astromOffsetRa": "astrometric_offset_ra_arcsec",
    "astromOffsetDec": "astrometric_offset_dec_arcsec",
    "cloudExtinction": "cloud_extinction_mag",
    "cloudStructure": "cloud_structure_mag",
}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _zenith_distance(info: VisitInfo, ra_deg: float, dec_deg: float) -> float:
    """Return the zenith distance of a detector [deg]; NaN where time or site is unknown."""
    zenith, _ = zenith_and_parallactic_deg(
        ra_deg, dec_deg, mjd_tai=info.mjd_tai, longitude_deg=info.longitude_deg, latitude_deg=info.latitude_deg
    )
    return float(zenith)


def _azimuth(info: VisitInfo, rows: list[dict[str, Any]]) -> float:
    """Return the azimuth of the middle of the detectors [deg]; NaN where time or site is unknown."""
    ra, dec = (np.array([row[name] for row in rows]) for name in ("ra", "dec"))
    middle = sky_position(unit_vector(ra, dec).mean(axis=0))
    return float(
        azimuth_deg(*middle, mjd_tai=info.mjd_tai, longitude_deg=info.longitude_deg, latitude_deg=info.latitude_deg)
    )


def _corners(wcs: object, box: Box) -> dict[str, float]:
    """Return the sky positions of the corners: lower left, lower right, upper right, upper left."""
    x, y = box.corners()
    ra, dec = wcs.pixel_to_sky(x=x, y=y)  # type: ignore[attr-defined]
    order = {
        name: int(np.argmin((x - fx) ** 2 + (y - fy) ** 2))
        for name, fx, fy in (
            ("llc", x.min(), y.min()), ("lrc", x.max(), y.min()), ("urc", x.max(), y.max()), ("ulc", x.min(), y.max())
        )
    }  # fmt: skip
    return {f"{name}ra": float(ra[k]) for name, k in order.items()} | {
        f"{name}dec": float(dec[k]) for name, k in order.items()
    }
