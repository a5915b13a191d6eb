"""Apply the solution of a frame itself, without waiting for other visits."""

from dataclasses import dataclass

import numpy as np

from etendue.image.exposure import Exposure
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.finalize_visit import calibrated
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.astrometry.joint_calibration import ExposureCalibration


class FinalizeSingleVisitConfig(StageConfig):
    """Configuration of `FinalizeSingleVisit`: nothing to choose."""


@dataclass(frozen=True)
class FinalizeSingleVisitResult:
    """The calibrated image and its sources."""

    visit_image: Exposure
    source: Table


class FinalizeSingleVisit(Stage[FinalizeSingleVisitConfig]):
    """Make the visit image of a night that is still going on: WCS and flux scale are those of the frame alone.

    Its products do not depend on any other visit, so they never change when the next frame arrives. `FinalizeVisit`
    replaces them by better ones, from all visits together, when the night is processed as a whole.
    """

    dimensions = ("instrument", "visit", "detector")
    exposure = Input("preliminary_visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    stars = Input("single_visit_star", ("instrument", "visit", "detector"), "EtendueTable")
    visit_image = Output("visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    source = Output("source", ("instrument", "visit", "detector"), "EtendueTable")

    def run(self, *, exposure: Exposure, stars: Table) -> FinalizeSingleVisitResult:
        """Bring the image to nJy; positions and fluxes of the sources are on that scale already."""
        assert exposure.wcs is not None
        own = ExposureCalibration(
            visit=exposure.visit_info.visit if exposure.visit_info else 0,
            detector=exposure.detector,
            wcs=exposure.wcs,
            photo_calib=exposure.photo_calib or PhotoCalib(scale=1.0),
            n_stars_astrometry=_count(stars, "calib_astrometry_used"),
            n_stars_photometry=_count(stars, "calib_photometry_used"),
        )
        columns = {name: stars[name] for name in stars.names} | {"isolated_star_id": np.zeros(len(stars), np.int64)}
        return FinalizeSingleVisitResult(visit_image=calibrated(exposure, own), source=Table("source", columns))


def _count(stars: Table, flag: str) -> int:
    return int(np.asarray(stars[flag], bool).sum()) if flag in stars else 0
