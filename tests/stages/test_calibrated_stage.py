"""Every list of calibrations names the same ones."""

from pathlib import Path

import pytest
import yaml

from etendue import stages
from etendue.middleware.stage_registry import all_stages
from etendue.stages.calibrated_stage import CalibratedStage
from etendue.stages.stage import Input, Prerequisite
from etendue.stages.verify_calibrations import VerifyCalibrations
from etendue.tasks.isr.isr import STEPS
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES

PIPELINES = Path(stages.__file__).parent / "pipelines"


def test_stages_get_and_signature_removal_orders_all_calibrations_that_there_are():
    assert set(CalibratedStage.inputs()) == set(CALIBRATION_TYPES)
    assert sorted(STEPS) == sorted(CALIBRATION_TYPES)
    assert all(name == one.name for name, one in CalibratedStage.inputs().items())


def test_what_is_judged_are_calibrations():
    judged = {one.name for one in VerifyCalibrations.inputs().values() if getattr(one, "calibration", False)}
    assert judged <= set(CALIBRATION_TYPES)


def _kinds(path):
    """Return the names that a pipeline's stages read from the run, and those that they look up before it."""
    labels = yaml.safe_load(path.read_text()).get("tasks", {})
    found = [all_stages()[str(task["class"]).rpartition(".")[2]].inputs().values() for task in labels.values()]
    read, looked_up = (
        {one.name for connections in found for one in connections if isinstance(one, kind)}
        for kind in (Input, Prerequisite)
    )
    return read, looked_up


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("calib*.yaml")), ids=lambda path: path.stem)
def test_no_dataset_is_looked_up_by_one_task_and_read_from_the_run_by_another(path):
    read, looked_up = _kinds(path)  # Rubin's graph builder refuses that
    assert read & looked_up == set()
