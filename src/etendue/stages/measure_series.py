"""Measure the stars of a series on one image, in apertures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.image.aperture_correction import aperture_name
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.photo_calib import PhotoCalib
from etendue.image.visit_info import VisitInfo
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.lightcurve.series import RADII_KEY, radii_of
from etendue.tasks.measure.apertures import AperturesConfig
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.source_columns import SourceColumns

_MIN_SKY_PIXELS = 1000


class MeasureSeriesConfig(StageConfig):
    """Configuration of `MeasureSeries`."""

    measure: MeasureConfig = MeasureConfig()
    """Joint PSF fit at fixed positions, which takes the neighbours off the apertures; its radii are not used."""

    bad_flags: tuple[str, ...] = (
        "pixelFlags_saturated", "pixelFlags_bad", "pixelFlags_nodata", "pixelFlags_edge", "pixelFlags_crCenter",
        "pixelFlags_suspectCenter",
    )  # fmt: skip
    """Flags that make a measurement unusable."""

    measured_noise: bool = True
    """Take the noise of the sky from the sky's pixels: without bias frames its level holds the pedestal, which has no
    photon noise."""

    neighbour_radius: float = 2.5
    """Neighbours within this many FWHM disturb..."""

    neighbour_ratio: float = 0.1
    """...if they have this fraction of the star's flux."""


@dataclass(frozen=True)
class MeasureSeriesResult:
    """One row per star on the image."""

    series_source: Table


class MeasureSeries(Stage[MeasureSeriesConfig]):
    """Sum the light of every star in eight apertures around its joint position, neighbours subtracted.

    Fluxes are in electrons: the flux scale of the image, which rests on the same stars, is divided out.
    """

    dimensions = ("instrument", "visit", "detector", "skymap", "tract")
    image = Input("visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    stars = Input("series_star", ("instrument", "skymap", "tract"), "EtendueTable")
    series_source = Output("series_source", ("instrument", "visit", "detector", "skymap", "tract"), "EtendueTable")

    def run(self, *, image: Exposure, stars: Table) -> MeasureSeriesResult:
        """Measure the ``stars`` whose centres are on ``image``."""
        assert image.wcs is not None
        radii = radii_of(stars.meta)
        x, y = image.wcs.sky_to_pixel(ra_deg=stars["ra"], dec_deg=stars["dec"])
        inside = np.flatnonzero(image.bbox.contains(x=x, y=y))
        quiet = _with_noise_of_sky(image) if self.config.measured_noise else image
        measured = self._measure(radii).run(exposure=quiet, x=x[inside], y=y[inside], forced=True)
        scale = (image.photo_calib or PhotoCalib(scale=1.0)).scale_at(x=x[inside], y=y[inside])
        info, n = image.visit_info or VisitInfo(), inside.size
        columns = {
            "isolated_star_id": stars["isolated_star_id"][inside], "visit": np.full(n, info.visit),
            "detector": np.full(n, image.detector), "band": np.full(n, image.band),
            "midpointMjdTai": np.full(n, info.mjd_tai), "exposureTime": np.full(n, info.exposure_time_s),
            "airmass": np.full(n, info.airmass), "fwhm": np.full(n, image.fwhm), "x": measured.x, "y": measured.y,
            "sky": measured.sky / scale + float(image.metadata.get("sky_level_electron", 0.0)),
            "nNeighbour": self._neighbours(measured, image.fwhm),
            "usable": self._usable(measured, aperture_name(radii[-1])),
            "saturated": measured.pixel_flags["pixelFlags_saturated"],
        }  # fmt: skip
        for k, radius in enumerate(radii):
            for end in ("", "Err"):
                columns[f"aperture{k + 1}Flux{end}"] = measured.measured[aperture_name(radius) + end] / scale
        return MeasureSeriesResult(Table("series_source", columns, {RADII_KEY: stars.meta[RADII_KEY]}))

    def _measure(self, radii: NDArray[np.float64]) -> MeasureTask:
        """Return the joint fit with nothing but the apertures of the series."""
        apertures = AperturesConfig(radii=tuple(radii.tolist()))
        return MeasureTask(
            self.config.measure.model_copy(update={"apertures": apertures, "measurements": ("apertures",)})
        )

    def _usable(self, measured: SourceColumns, largest: str) -> NDArray[np.bool_]:
        good = ~measured.psf_flux_flag & np.isfinite(measured.measured[largest])
        for flag in self.config.bad_flags:
            good = good & ~measured.pixel_flags[flag]
        return good

    def _neighbours(self, measured: SourceColumns, fwhm: float) -> NDArray[np.int64]:
        """Count the neighbours that matter."""
        if measured.x.size == 0 or not fwhm > 0.0:
            return np.zeros(measured.x.size, np.int64)
        tree = cKDTree(np.column_stack([measured.x, measured.y]))
        pairs = tree.query_pairs(self.config.neighbour_radius * fwhm, output_type="ndarray")
        both = np.concatenate([pairs, pairs[:, ::-1]])
        flux = np.nan_to_num(measured.psf_flux)
        matter = flux[both[:, 1]] > self.config.neighbour_ratio * np.abs(flux[both[:, 0]])
        return np.bincount(both[matter, 0], minlength=measured.x.size)


def _with_noise_of_sky(image: Exposure) -> Exposure:
    """Return the image with its variance shifted so that the sky's is what its pixels show; that of sources stays."""
    sky = ~image.mask.any_of(("DETECTED", "BAD", "SAT", "CR", "NO_DATA", "EDGE")) & np.isfinite(image.image.array)
    variance = image.variance.array
    if sky.sum() < _MIN_SKY_PIXELS:
        return image
    low, high = np.percentile(image.image.array[sky], [15.87, 84.13])
    measured, formal = (0.5 * float(high - low)) ** 2, float(np.median(variance[sky]))
    if not (measured > 0.0 and formal > 0.0):
        return image
    shifted = np.maximum(variance + (measured - formal), 0.2 * measured).astype(np.float32)
    return image.replace(variance=Image(shifted, image.bbox))
