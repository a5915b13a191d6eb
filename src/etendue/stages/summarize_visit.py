"""Collect the quality of all detectors of a visit in one table."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.geom.box import Box
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.table.table import Table

_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


class SummarizeVisitConfig(StageConfig):
    """Configuration of `SummarizeVisit`."""

    limit_snr: float = 5.0
    """Signal-to-noise ratio of the limiting magnitude."""


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
        noise = facts["sky_noise_njy"]
        return {
            "visit": info.visit, "detector": int(image.data_id["detector"]), "band": str(image.data_id["band"]),
            "physical_filter": str(image.data_id["physical_filter"]), "ra": float(ra), "dec": float(dec),
            "pixelScale": scale, "expTime": info.exposure_time_s, "expMidptMJD": info.mjd_tai,
            "obsStartMJD": info.date_begin_mjd_tai, "zeroPoint": calib.zero_point_mag,
            "zeroPointErr": calib.zero_point_err_mag, "photoCalibKind": calib.kind, "photoCalibScale": calib.scale,
            "psfSigma": np.sqrt(0.5 * (ixx + iyy)), "psfArea": area, "psfIxx": ixx, "psfIyy": iyy, "psfIxy": ixy,
            "seeing": float(np.squeeze(psf.fwhm(x=x, y=y))) * scale,
            "skyBg": facts["sky_level_electron"], "skyNoise": facts["sky_noise_electron"],
            "magLim": 31.4 - 2.5 * np.log10(self.config.limit_snr * noise * np.sqrt(area)),
            "airmass": info.airmass, "day_obs": info.day_obs, "seq": info.seq, "instrument": info.instrument,
            "target": info.object, "xSize": box.x.size, "ySize": box.y.size, **_corners(wcs, box),
            **{name: facts[key] for name, key in _COUNTS.items()},
        }  # fmt: skip


_COUNTS = {
    "nSource": "n_source",
    "nPsfStar": "n_psf_star",
    "nCosmicRay": "n_cosmic_ray_pixel",
    "nAstrometryStar": "n_astrometry_star",
    "nPhotometryStar": "n_photometry_star",
    "astromOffsetStd": "astrometric_rms_arcsec",
    "photometryScatter": "photometric_rms_mag",
    "maskedFraction": "masked_fraction",
}


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
