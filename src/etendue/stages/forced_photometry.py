"""Measure the objects of a tract on every visit image."""

from dataclasses import dataclass

import numpy as np

from etendue.image.exposure import Exposure
from etendue.image.visit_info import VisitInfo
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask

_FLAGS = ("pixelFlags_bad", "pixelFlags_cr", "pixelFlags_crCenter", "pixelFlags_edge", "pixelFlags_interpolated",
          "pixelFlags_interpolatedCenter", "pixelFlags_nodata", "pixelFlags_saturated", "pixelFlags_saturatedCenter",
          "pixelFlags_suspect", "pixelFlags_suspectCenter")  # fmt: skip


class ForcedPhotometryConfig(StageConfig):
    """Configuration of `ForcedPhotometry`."""

    measure: MeasureConfig = MeasureConfig(measurements=())
    """Forced PSF fluxes; the table has no room for other measurements."""


@dataclass(frozen=True)
class ForcedPhotometryResult:
    """One row per object on the image."""

    forced_source: Table


class ForcedPhotometry(Stage[ForcedPhotometryConfig]):
    """Fit PSF fluxes at the objects' positions, all objects of an image at once."""

    dimensions = ("instrument", "visit", "detector", "skymap", "tract")
    image = Input("visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    objects = Input("object", ("skymap", "tract", "patch"), "EtendueTable", multiple=True)
    forced_source = Output("forced_source", ("instrument", "visit", "detector", "skymap", "tract"), "EtendueTable")

    def run(self, *, image: Exposure, objects: tuple[Table, ...]) -> ForcedPhotometryResult:
        """Measure the ``objects`` whose centres are on ``image``."""
        catalog = Table.concat(objects)
        assert image.wcs is not None
        x, y = image.wcs.sky_to_pixel(ra_deg=catalog["coord_ra"], dec_deg=catalog["coord_dec"])
        inside = np.flatnonzero(image.bbox.contains(x=x, y=y))
        measured = MeasureTask(self.config.measure).run(exposure=image, x=x[inside], y=y[inside], forced=True)
        rows, info, n = catalog.take(inside), image.visit_info or VisitInfo(), inside.size
        columns = {
            "objectId": rows["objectId"],
            "coord_ra": rows["coord_ra"],
            "coord_dec": rows["coord_dec"],
            "tract": rows["tract"],
            "patch": rows["patch"],
            "visit": np.full(n, info.visit),
            "detector": np.full(n, image.detector),
            "band": np.full(n, image.band),
            "midpointMjdTai": np.full(n, info.mjd_tai),
            "x": measured.x,
            "y": measured.y,
            "psfFlux": measured.psf_flux,
            "psfFluxErr": measured.psf_flux_err,
            "psfFlux_flag": measured.psf_flux_flag,
        }
        columns |= {name: measured.pixel_flags[name] for name in _FLAGS if name in measured.pixel_flags}
        return ForcedPhotometryResult(forced_source=Table("forced_source", columns))
