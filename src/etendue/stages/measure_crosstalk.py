"""Measure the crosstalk between the amplifiers of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.errors import AlgorithmError, InputError
from etendue.image.crosstalk import Crosstalk
from etendue.image.exposure import Exposure
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.calib.crosstalk import MeasureCrosstalkConfig, MeasureCrosstalkTask


class MeasureCrosstalkStageConfig(StageConfig):
    """Configuration of `MeasureCrosstalk`."""

    crosstalk: MeasureCrosstalkConfig = MeasureCrosstalkConfig()
    """Regression of pixels on each other."""


@dataclass(frozen=True)
class MeasureCrosstalkResult:
    """Coefficients."""

    crosstalk: Crosstalk


class MeasureCrosstalk(Stage[MeasureCrosstalkStageConfig]):
    """Compare amplifiers while spots of a projector fall on others."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("test",),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    crosstalk = Output("crosstalk", ("instrument", "detector"), "EtendueCalibration", calibration=True)

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        bias: Exposure | None,
    ) -> MeasureCrosstalkResult:
        """Measure one detector.

        Raises
        ------
        AlgorithmError
            If no frame holds enough bright light.
        """
        frames = list(read_in_order(raws, overrides, camera))
        try:
            return MeasureCrosstalkResult(MeasureCrosstalkTask(self.config.crosstalk).run(frames, camera, bias))
        except InputError as error:  # the frames of the night, not a fault of the run
            raise AlgorithmError(f"no crosstalk: {error}") from error
