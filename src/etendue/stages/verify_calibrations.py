"""Judge the calibration products of a detector."""

from dataclasses import dataclass
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.image.exposure import Exposure
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.calib.verify import VerifyCalibrationsConfig, VerifyCalibrationsTask
from etendue.tasks.calib.verify_frames import VerifyFramesConfig, VerifyFramesTask
from etendue.tasks.readout.calibrations import Calibrations

_DETECTOR = ("instrument", "detector")


class VerifyCalibrationsStageConfig(StageConfig):
    """Configuration of `VerifyCalibrations`."""

    verify: VerifyCalibrationsConfig = VerifyCalibrationsConfig()
    """Limits of products by themselves."""

    frames: VerifyFramesConfig = VerifyFramesConfig()
    """Limits of what they leave in the frames that they were made of."""

    on_frames: bool = True
    """Whether products are applied to frames; else they are judged by themselves only."""


@dataclass(frozen=True)
class VerifyCalibrationsResult:
    """What was judged: one JSON object per number; and the numbers of single frames."""

    verdicts: list[dict[str, Any]]
    checks: list[dict[str, Any]]


class VerifyCalibrations(Stage[VerifyCalibrationsStageConfig]):
    """Compare every product of the run, and what it leaves in frames, with limits; what fails is not certified."""

    dimensions = _DETECTOR
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("bias", "dark", "flat", "test"),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    dark = Input("dark", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    shutter = Input("shutter", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    flats = Input(
        "flat", ("instrument", "detector", "physical_filter"), "EtendueExposure",
        multiple=True, minimum=0, calibration=True,
    )  # fmt: skip
    ptc = Input("ptc", _DETECTOR, "EtenduePtc", minimum=0, calibration=True)
    linearizer = Input("linearizer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    crosstalk = Input("crosstalk", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    charge_transfer = Input("charge_transfer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    brighter_fatter = Input("brighter_fatter", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    defects = Input("defects", _DETECTOR, "EtendueDefects", minimum=0, calibration=True)
    verdicts = Output("calibration_verdict", _DETECTOR, "EtendueJson")
    checks = Output("calibration_check", _DETECTOR, "EtendueJson")

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...] = (),
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        flats: tuple[Exposure, ...],
        data_id: dict[str, int | str],
        **products: Any,
    ) -> VerifyCalibrationsResult:
        """Judge the products of one detector; those that were not made have no verdict."""
        detector = camera.detector(int(data_id["detector"]))
        by_filter = {flat.physical_filter: flat for flat in flats}
        known = Calibrations(**products)
        alone = VerifyCalibrationsTask(self.config.verify).run(known, detector, by_filter)
        frames = read_in_order(raws, overrides, camera) if self.config.on_frames else ()
        on_frames = VerifyFramesTask(self.config.frames).run(frames, camera, known, by_filter)
        verdicts = [verdict.to_dict() for verdict in (*alone, *on_frames.verdicts)]
        return VerifyCalibrationsResult(verdicts, [check.to_dict() for check in on_frames.checks])
