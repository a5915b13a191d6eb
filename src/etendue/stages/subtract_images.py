"""Subtract the template from a visit image and measure what is left."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.errors import AlgorithmError
from etendue.geom.ids import source_ids
from etendue.image.exposure import Exposure
from etendue.image.visit_info import VisitInfo
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.diffim.dia_detect import DiaDetectConfig, DiaDetectTask
from etendue.tasks.diffim.subtract import SubtractConfig, SubtractTask
from etendue.tasks.diffim.template import WarpTemplateTask
from etendue.tasks.warp.warp import WarpConfig


class SubtractImagesConfig(StageConfig):
    """Configuration of `SubtractImages`."""

    warp: WarpConfig = WarpConfig()
    """Resampling of the template."""

    subtract: SubtractConfig = SubtractConfig()
    """Matching and noise."""

    detect: DiaDetectConfig = DiaDetectConfig()
    """Detection and measurement on the difference."""


@dataclass(frozen=True)
class SubtractImagesResult:
    """The difference and its detections."""

    difference: Exposure
    sources: Table


class SubtractImages(Stage[SubtractImagesConfig]):
    """Warp the template onto the visit, match its PSF, subtract, and detect both polarities."""

    dimensions = ("instrument", "visit", "detector")
    image = Input("visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    templates = Input(
        "template_coadd", ("skymap", "tract", "patch", "band"), "EtendueExposure", multiple=True, deferred=True
    )
    difference = Output("difference_image", ("instrument", "visit", "detector"), "EtendueExposure")
    sources = Output("dia_source_detector", ("instrument", "visit", "detector"), "EtendueTable")

    def run(self, *, image: Exposure, templates: tuple[DatasetHandle, ...]) -> SubtractImagesResult:
        """Subtract the ``templates`` of the image's band.

        Raises
        ------
        AlgorithmError
            If there is no template in this band, or the kernel cannot be fitted.
        """
        template = self.warped(image, templates)
        result = SubtractTask(self.config.subtract).run(science=image, template=template)
        found = DiaDetectTask(self.config.detect).run(
            difference=result.difference, science=image, matched_template=result.matched_template
        )
        return SubtractImagesResult(found.exposure, _dia_source_table(found.columns, image))

    def warped(self, image: Exposure, templates: tuple[DatasetHandle, ...]) -> Exposure:
        """Return the template of the image's band on the image's pixels.

        Raises
        ------
        AlgorithmError
            If there is none in this band, or it does not overlap.
        """
        patches = [handle for handle in templates if handle.data_id["band"] == image.band]
        if not patches:
            raise AlgorithmError("no template in this band", band=image.band)
        return WarpTemplateTask(self.config.warp).run(science=image, patches=(p.get() for p in patches))


def _dia_source_table(columns: Mapping[str, NDArray], image: Exposure) -> Table:
    info, n = image.visit_info or VisitInfo(), int(columns["x"].size)
    fixed = {
        "diaSourceId": source_ids(info.visit, image.detector, n),
        "visit": np.full(n, info.visit),
        "detector": np.full(n, image.detector),
        "band": np.full(n, image.band),
        "physical_filter": np.full(n, image.physical_filter),
        "midpointMjdTai": np.full(n, info.mjd_tai),
        "exposureTime": np.full(n, info.exposure_time_s),
    }
    table = Table("dia_source", {**columns, **fixed})
    # A row without position or flux is no measurement: the fit left the image or found no good pixel.
    measured = np.isfinite(table["ra"]) & np.isfinite(table["psfFlux"])
    return table.take(np.flatnonzero(measured))
