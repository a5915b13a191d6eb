"""Stages that remove the instrument's signature with whatever calibrations are certified."""

from typing import Generic, TypeVar

from etendue.stages.stage import Prerequisite, Stage, StageConfig

C = TypeVar("C", bound=StageConfig)

_DETECTOR = ("instrument", "detector")
_FILTER = ("instrument", "detector", "physical_filter")


class CalibratedStage(Stage[C], Generic[C]):
    """Base of stages whose ``run`` gets all calibrations that are valid for its quantum as ``**calibrations``.

    They are the fields of `etendue.tasks.readout.calibrations.Calibrations`; an absent one is None.
    """

    bias = Prerequisite("bias", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    dark = Prerequisite("dark", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    flat = Prerequisite("flat", _FILTER, "EtendueExposure", minimum=0, calibration=True)
    shutter = Prerequisite("shutter", _DETECTOR, "EtendueExposure", minimum=0, calibration=True)
    illumination = Prerequisite("illumination", _FILTER, "EtendueExposure", minimum=0, calibration=True)
    fringe = Prerequisite("fringe", _FILTER, "EtendueExposure", minimum=0, calibration=True)
    sky = Prerequisite("sky", _FILTER, "EtendueExposure", minimum=0, calibration=True)
    defects = Prerequisite("defects", _DETECTOR, "EtendueDefects", minimum=0, calibration=True)
    crosstalk = Prerequisite("crosstalk", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    linearizer = Prerequisite("linearizer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    charge_transfer = Prerequisite("charge_transfer", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    brighter_fatter = Prerequisite("brighter_fatter", _DETECTOR, "EtendueCalibration", minimum=0, calibration=True)
    ptc = Prerequisite("ptc", _DETECTOR, "EtenduePtc", minimum=0, calibration=True)
