"""Every list of calibrations names the same ones."""

from etendue.stages.calibrated_stage import CalibratedStage
from etendue.stages.verify_calibrations import VerifyCalibrations
from etendue.tasks.isr.isr import STEPS
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES


def test_stages_get_and_signature_removal_orders_all_calibrations_that_there_are():
    assert set(CalibratedStage.inputs()) == set(CALIBRATION_TYPES)
    assert sorted(STEPS) == sorted(CALIBRATION_TYPES)
    assert all(name == one.name for name, one in CalibratedStage.inputs().items())


def test_what_is_judged_are_calibrations():
    judged = {one.name for one in VerifyCalibrations.inputs().values() if getattr(one, "calibration", False)}
    assert judged <= set(CALIBRATION_TYPES)
