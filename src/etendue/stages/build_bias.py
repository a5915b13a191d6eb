"""Build the master bias of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.bias import BuildBiasConfig, BuildBiasTask


class BuildBiasStageConfig(StageConfig):
    """Configuration of `BuildBias`."""

    bias: BuildBiasConfig = BuildBiasConfig(on_odd="drop")
    """Combination of the frames; unusable ones are left out and named."""


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
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Output("bias", ("instrument", "detector"), "EtendueExposure", calibration=True)

    def run(
        self, *, raws: tuple[RawFrame, ...], overrides: tuple[FrameOverride, ...] = (), camera: Camera
    ) -> BuildBiasResult:
        """Combine ``raws``, all of one detector of ``camera``.

        Raises
        ------
        AlgorithmError
            If too few usable frames are left.
        """
        raws, excluded = apply_overrides(raws, overrides, camera)
        try:
            return BuildBiasResult(bias=BuildBiasTask(self.config.bias).run(raws, camera).exposure)
        except InputError as error:  # the frames of the night, not a fault of the run: it goes on without a bias
            raise AlgorithmError("; ".join([f"no bias: {error}", *excluded])) from error
