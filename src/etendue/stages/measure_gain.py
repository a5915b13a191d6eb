"""Measure the gain and read noise of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.image.ptc import Ptc
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.gain import MeasureGainConfig, MeasureGainTask


class MeasureGainStageConfig(StageConfig):
    """Configuration of `MeasureGain`."""

    gain: MeasureGainConfig = MeasureGainConfig()
    """Photon transfer from pairs of flats."""


@dataclass(frozen=True)
class MeasureGainResult:
    """Gains and read noises."""

    ptc: Ptc


class MeasureGain(Stage[MeasureGainStageConfig]):
    """Measure gains from flat pairs, and compare them with the headers'."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, observation_types=("flat",)
    )
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", calibration=True)
    ptc = Output("ptc", ("instrument", "detector"), "EtenduePtc", calibration=True)

    def run(
        self, *, raws: tuple[RawFrame, ...], overrides: tuple[FrameOverride, ...] = (), camera: Camera, bias: Exposure
    ) -> MeasureGainResult:
        """Measure the gains of the detector that ``raws`` come from; the read noise is the master bias's."""
        raws, _ = apply_overrides(raws, overrides, camera)
        try:
            return MeasureGainResult(ptc=MeasureGainTask(self.config.gain).run(raws, camera, bias))
        except InputError as error:  # no pair among these flats: the night's data, not a fault of the run
            raise AlgorithmError(str(error)) from error
