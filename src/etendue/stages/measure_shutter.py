"""Measure the pattern of the shutter over a detector."""

from dataclasses import dataclass
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.calib.shutter import MeasureShutterConfig, MeasureShutterTask
from etendue.tasks.readout.calibrations import Calibrations

_DETECTOR = ("instrument", "detector")


class MeasureShutterStageConfig(StageConfig):
    """Configuration of `MeasureShutter`."""

    shutter: MeasureShutterConfig = MeasureShutterConfig()
    """Times beyond the nominal ones."""


@dataclass(frozen=True)
class MeasureShutterResult:
    """Time that each pixel is open beyond the nominal one."""

    shutter: Exposure


class MeasureShutter(Stage[MeasureShutterStageConfig]):
    """Compare flats of short and long exposure times."""

    dimensions = _DETECTOR
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("flat",),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    dark = Input("dark", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    ptc = Input("ptc", _DETECTOR, "EtenduePtc", minimum=0, calibration=True)
    crosstalk = Input("crosstalk", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    linearizer = Input("linearizer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    shutter = Output("shutter", _DETECTOR, "EtendueExposure", calibration=True)

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        **calibrations: Any,
    ) -> MeasureShutterResult:
        """Measure one detector.

        Raises
        ------
        AlgorithmError
            If the flats tell nothing about the shutter, or show no pattern.
        """
        task = MeasureShutterTask(self.config.shutter)
        try:
            found = task.run(read_in_order(raws, overrides, camera), camera, Calibrations(**calibrations))
        except InputError as error:  # the frames of the night, not a fault of the run
            raise AlgorithmError(f"no shutter pattern: {error}") from error
        return MeasureShutterResult(found)
