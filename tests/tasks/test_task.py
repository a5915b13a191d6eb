import pytest
from pydantic import Field, ValidationError

from etendue.tasks.task import Task, TaskConfig


class ThresholdConfig(TaskConfig):
    snr: float = Field(5.0, gt=0)
    """Detection threshold."""


class ThresholdTask(Task[ThresholdConfig]):
    def run(self, *, snr: float) -> bool:
        return snr > self.config.snr


class StricterTask(ThresholdTask):
    pass


def test_the_config_class_comes_from_the_brackets():
    assert ThresholdTask.config_class is ThresholdConfig
    assert StricterTask.config_class is ThresholdConfig
    assert ThresholdTask().config.snr == 5.0


def test_a_subclass_may_name_a_config_of_its_own():
    class LooserConfig(ThresholdConfig):
        snr: float = 3.0

    class LooserTask(ThresholdTask):
        config_class = LooserConfig

    assert LooserTask().config.snr == 3.0


def test_a_config_of_another_task_is_refused():
    with pytest.raises(TypeError, match="needs a ThresholdConfig"):
        ThresholdTask(TaskConfig())


def test_configs_are_frozen_typo_proof_and_documented():
    with pytest.raises(ValidationError):
        ThresholdConfig(sn=3.0)
    with pytest.raises(ValidationError):
        ThresholdConfig().snr = 3.0
    assert ThresholdConfig.model_fields["snr"].description == "Detection threshold."
