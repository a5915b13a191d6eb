"""Correct the flat of a detector and filter by spots of a projector."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.stages.calibrated_stage import CalibratedStage
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, StageConfig
from etendue.tasks.calib.spot_scan import BuildSpotScanConfig, BuildSpotScanTask, SpotImage
from etendue.tasks.isr.isr import IsrConfig, IsrTask
from etendue.tasks.readout.calibrations import Calibrations

_FILTER = ("instrument", "detector", "physical_filter")


class BuildSpotScanStageConfig(StageConfig):
    """Configuration of `BuildSpotScan`."""

    isr: IsrConfig = IsrConfig(skip=("illumination", "fringe", "sky"))
    """Instrument signature removal of the images."""

    spot_scan: BuildSpotScanConfig = BuildSpotScanConfig()
    """Light of spots, and the fit to it."""


@dataclass(frozen=True)
class BuildSpotScanResult:
    """Factor on the flat."""

    illumination: Exposure


class BuildSpotScan(CalibratedStage[BuildSpotScanStageConfig]):
    """Find out from a spot of known power at many places of a detector how wrong its flat is."""

    dimensions = _FILTER
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("test",),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    # Made here, not read.
    illumination = Output("illumination", _FILTER, "EtendueExposure", calibration=True)  # type: ignore[assignment]

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        data_id: dict[str, int | str],
        **calibrations: Any,
    ) -> BuildSpotScanResult:
        """Fit the spots of one detector and filter.

        Raises
        ------
        AlgorithmError
            If there is no flat, too few spots are usable, or none has a known power.
        """
        known = Calibrations(**calibrations)
        if known.flat is None:
            raise AlgorithmError("there is no flat to correct")
        detector = camera.detector(int(data_id["detector"]))
        try:
            images = self._images(raws, overrides, camera, known)
            found = BuildSpotScanTask(self.config.spot_scan).run(images, detector.bbox)
        except InputError as error:  # the frames of the night, not a fault of the run
            raise AlgorithmError(f"no illumination correction: {error}") from error
        name = str(data_id["physical_filter"])
        return BuildSpotScanResult(replace(found, physical_filter=name, detector=detector.id))

    def _images(
        self,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...],
        camera: Camera,
        known: Calibrations,
    ) -> Iterator[SpotImage]:
        isr = IsrTask(self.config.isr)
        for raw in read_in_order(raws, overrides, camera):
            exposure = isr.run(raw=raw, camera=camera, calibrations=known)
            yield SpotImage(exposure, raw.info.lamp_monitor, raw.info.file_name)
