"""Make alerts of the difference-image detections of one detector of a visit."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from etendue.alerts.batch import AlertBatch
from etendue.alerts.cutout import encode_cutouts
from etendue.alerts.package import package_alerts
from etendue.image.exposure import Exposure
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.diffim.template import WarpTemplateTask
from etendue.tasks.warp.warp import WarpConfig


class PackageAlertsConfig(StageConfig):
    """Configuration of `PackageAlerts`."""

    warp: WarpConfig = WarpConfig()
    """Resampling of the template for its cutouts."""

    cutout_size: int = Field(30, ge=11, le=102)
    """Side of the cutouts [px]."""

    min_snr: float = Field(5.0, ge=0.0)
    """Fainter detections make no alert."""


@dataclass(frozen=True)
class PackageAlertsResult:
    """The alerts, not yet published."""

    alerts: AlertBatch


class PackageAlerts(Stage[PackageAlertsConfig]):
    """Put every detection with its history, object and cutouts into an alert packet in LSST's schema."""

    dimensions = ("instrument", "visit", "detector")
    difference = Input("difference_image", ("instrument", "visit", "detector"), "EtendueExposure")
    image = Input("visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    templates = Input(
        "template_coadd", ("skymap", "tract", "patch", "band"), "EtendueExposure", multiple=True, deferred=True
    )
    sources = Input("dia_source", ("skymap", "tract"), "EtendueTable", multiple=True)
    dia_objects = Input("dia_object", ("skymap", "tract"), "EtendueTable", multiple=True)
    alerts = Output("alert_batch", ("instrument", "visit", "detector"), "EtendueAlertBatch")

    def run(
        self,
        *,
        difference: Exposure,
        image: Exposure,
        templates: tuple[DatasetHandle, ...],
        sources: tuple[Table, ...],
        dia_objects: tuple[Table, ...],
        data_id: dict[str, int | str],
    ) -> PackageAlertsResult:
        """Package the detections of this visit and detector among ``sources``."""
        visit, detector = int(data_id["visit"]), int(data_id["detector"])
        history = Table.concat(sources)
        own = (history["visit"] == visit) & (history["detector"] == detector) & (history["snr"] >= self.config.min_snr)
        new = history.take(np.flatnonzero(own)).sort_by("diaSourceId")
        known = history.take(np.flatnonzero(np.isin(history["diaObjectId"], new["diaObjectId"])))
        patches = [handle for handle in templates if handle.data_id["band"] == image.band]
        template = WarpTemplateTask(self.config.warp).run(science=image, patches=(p.get() for p in patches))
        cutouts = {
            name: encode_cutouts(exposure, x=new["x"], y=new["y"], size=self.config.cutout_size)
            for name, exposure in (
                ("cutoutScience", image), ("cutoutTemplate", template), ("cutoutDifference", difference)
            )
        }  # fmt: skip
        batch = package_alerts(
            visit=visit, detector=detector, dia_sources=new, history=known,
            dia_objects=Table.concat(dia_objects), cutouts=cutouts,
        )  # fmt: skip
        return PackageAlertsResult(alerts=batch)
