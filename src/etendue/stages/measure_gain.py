"""Measure the gain and read noise of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.image.ptc import Ptc
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
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
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", calibration=True)
    ptc = Output("ptc", ("instrument", "detector"), "EtenduePtc", calibration=True)

    def run(self, *, raws: tuple[RawFrame, ...], camera: Camera, bias: Exposure) -> MeasureGainResult:
        """Measure the gains of the detector that ``raws`` come from; the read noise is the master bias's."""
        try:
            return MeasureGainResult(ptc=MeasureGainTask(self.config.gain).run(raws, camera, bias))
        except InputError as error:  # no pair among these flats: the night's data, not a fault of the run
            raise AlgorithmError(str(error)) from error
