"""Build the master bias of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.tasks.calib.bias import BuildBiasConfig, BuildBiasTask


class BuildBiasStageConfig(StageConfig):
    """Configuration of `BuildBias`."""

    bias: BuildBiasConfig = BuildBiasConfig()
    """Combination of the frames."""


@dataclass(frozen=True)
class BuildBiasResult:
    """The master bias."""

    bias: Exposure


class BuildBias(Stage[BuildBiasStageConfig]):
    """Combine the bias frames of one detector."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, observation_types=("bias",)
    )
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    bias = Output("bias", ("instrument", "detector"), "EtendueExposure", calibration=True)

    def run(self, *, raws: tuple[RawFrame, ...], camera: Camera) -> BuildBiasResult:
        """Combine ``raws``, all of one detector of ``camera``."""
        return BuildBiasResult(bias=BuildBiasTask(self.config.bias).run(raws, camera).exposure)
