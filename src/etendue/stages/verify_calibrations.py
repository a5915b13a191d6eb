"""Judge the calibration products of a detector."""

from dataclasses import dataclass
from typing import Any

from etendue.camera.camera import Camera
from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.tasks.calib.verify import VerifyCalibrationsConfig, VerifyCalibrationsTask
from etendue.tasks.readout.calibrations import Calibrations

_DETECTOR = ("instrument", "detector")


class VerifyCalibrationsStageConfig(StageConfig):
    """Configuration of `VerifyCalibrations`."""

    verify: VerifyCalibrationsConfig = VerifyCalibrationsConfig()
    """Limits."""


@dataclass(frozen=True)
class VerifyCalibrationsResult:
    """What was judged: one JSON object per number."""

    verdicts: list[dict[str, Any]]


class VerifyCalibrations(Stage[VerifyCalibrationsStageConfig]):
    """Compare every product of the run with its limits; what fails is not certified."""

    dimensions = _DETECTOR
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    bias = Input("bias", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    dark = Input("dark", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
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

    def run(
        self, *, camera: Camera, flats: tuple[Exposure, ...], data_id: dict[str, int | str], **products: Any
    ) -> VerifyCalibrationsResult:
        """Judge the products of one detector; those that were not made have no verdict."""
        detector = camera.detector(int(data_id["detector"]))
        by_filter = {flat.physical_filter: flat for flat in flats}
        found = VerifyCalibrationsTask(self.config.verify).run(Calibrations(**products), detector, by_filter)
        return VerifyCalibrationsResult([verdict.to_dict() for verdict in found])
