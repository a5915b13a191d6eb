"""Resample a visit onto the pixels of a patch."""

from dataclasses import dataclass

from etendue.geom.skymap import SkyMap
from etendue.image.exposure import Exposure
from etendue.stages.stage import DatasetHandle, Input, Output, Prerequisite, Stage, StageConfig
from etendue.tasks.warp.mosaic import mosaic
from etendue.tasks.warp.warp import WarpConfig, WarpTask


class MakeWarpConfig(StageConfig):
    """Configuration of `MakeWarp`."""

    warp: WarpConfig = WarpConfig()
    """Resampling."""


@dataclass(frozen=True)
class MakeWarpResult:
    """The visit on the patch's grid; None where they do not overlap."""

    warp: Exposure | None


class MakeWarp(Stage[MakeWarpConfig]):
    """Resample all detectors of one visit that overlap a patch, and put them together."""

    dimensions = ("instrument", "visit", "skymap", "tract", "patch")
    images = Input("visit_image", ("instrument", "visit", "detector"), "EtendueExposure", multiple=True, deferred=True)
    skymap = Prerequisite("skyMap", ("skymap",), "EtendueSkyMap")
    warp = Output("direct_warp", ("instrument", "visit", "skymap", "tract", "patch"), "EtendueExposure")

    def run(
        self, *, images: tuple[DatasetHandle, ...], skymap: SkyMap, data_id: dict[str, int | str]
    ) -> MakeWarpResult:
        """Resample ``images``, read one after the other."""
        patch = skymap.tract(int(data_id["tract"])).patch(int(data_id["patch"]))
        task = WarpTask(self.config.warp)
        warps = [task.run(exposure=image.get(), wcs=patch.wcs, bbox=patch.outer) for image in images]
        usable = [warp for warp in warps if not warp.mask.any_of(("NO_DATA",)).all()]
        return MakeWarpResult(warp=mosaic(usable) if usable else None)
