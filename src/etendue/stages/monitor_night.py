"""Measure how the amplifiers of a detector did in one night."""

from dataclasses import dataclass
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.errors import AlgorithmError
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Prerequisite, Stage, StageConfig
from etendue.tasks.calib.night_trend import MeasureNightConfig, MeasureNightTask
from etendue.tasks.readout.calibrations import Calibrations

_DETECTOR = ("instrument", "detector")


class MonitorNightStageConfig(StageConfig):
    """Configuration of `MonitorNight`."""

    night: MeasureNightConfig = MeasureNightConfig()
    """Statistics of the night's biases and flats."""


@dataclass(frozen=True)
class MonitorNightResult:
    """One JSON object per amplifier."""

    amplifiers: list[dict[str, Any]]


class MonitorNight(Stage[MonitorNightStageConfig]):
    """Bias levels, noises and gains of a night, compared with the certified photon-transfer curve."""

    dimensions = ("instrument", "day_obs", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("bias", "flat"),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Prerequisite("bias", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    ptc = Prerequisite("ptc", _DETECTOR, "EtenduePtc", minimum=0, calibration=True)
    linearizer = Prerequisite("linearizer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    crosstalk = Prerequisite("crosstalk", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    charge_transfer = Prerequisite("charge_transfer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    amplifiers = Output("calibration_night", ("instrument", "day_obs", "detector"), "EtendueJson")

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        **calibrations: Any,
    ) -> MonitorNightResult:
        """Measure one detector in one night.

        Raises
        ------
        AlgorithmError
            If people excluded all its frames.
        """
        frames = read_in_order(raws, overrides, camera)
        found = MeasureNightTask(self.config.night).run(frames, camera, Calibrations(**calibrations))
        if not found:
            raise AlgorithmError("no bias and no flat of this night is left")
        return MonitorNightResult([amplifier.to_dict() for amplifier in found])
