from typing import Literal

import pytest
import toy_steps
from lsst.pex.config import ChoiceField, ConfigField, FieldValidationError, ListField, RangeField
from pydantic import Field, field_validator

from etendue.errors import InputError
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.stage_config import make_config_class, to_model
from etendue.tasks.task import TaskConfig


class InnerConfig(TaskConfig):
    order: int = Field(2, gt=0, lt=9)
    """Order of the polynomial."""

    radii: tuple[float, ...] = (3.0, 6.0)
    """Radii."""


class OuterConfig(TaskConfig):
    inner: InnerConfig = InnerConfig(order=3)
    """Inner."""

    mode: Literal["fast", "good"] = "good"
    """Mode."""

    skipped: tuple[Literal["dark", "flat"], ...] = ()
    """Steps."""

    limit: float | None = None
    """Limit."""

    scales: dict[str, float] = Field({"g": 1.0})
    """Per band."""

    boxes: tuple[tuple[int, int], ...] = ((1, 2),)
    """Nested, kept as JSON."""

    name: str = "even"
    """Name of even length."""

    @field_validator("name")
    @classmethod
    def _even(cls, value: str) -> str:
        if len(value) % 2:
            raise ValueError("length must be even")
        return value


OuterPex = make_config_class(OuterConfig, name="OuterPex", module=__name__)


def test_fields_translate_with_defaults_limits_and_docs():
    fields = OuterPex._fields
    assert isinstance(fields["inner"], ConfigField)
    assert isinstance(fields["mode"], ChoiceField)
    inner = type(OuterPex().inner)._fields
    assert isinstance(inner["order"], RangeField)
    assert isinstance(inner["radii"], ListField)
    assert inner["order"].doc.startswith("Order of the polynomial.")
    assert fields["limit"].optional


def test_a_round_trip_keeps_every_value():
    assert to_model(OuterPex(), OuterConfig) == OuterConfig()
    config = OuterPex()
    config.inner.order = 5
    config.limit = 2
    config.scales["r"] = 2.0
    config.boxes = "[[3, 4], [5, 6]]"
    config.skipped = ["flat"]
    expected = OuterConfig(
        inner=InnerConfig(order=5), limit=2.0, scales={"g": 1.0, "r": 2.0}, boxes=((3, 4), (5, 6)), skipped=("flat",)
    )
    assert to_model(config, OuterConfig) == expected


def test_limits_and_choices_hold_in_both_worlds():
    config = OuterPex()
    with pytest.raises(FieldValidationError):
        config.inner.order = 9
    with pytest.raises(FieldValidationError):
        config.mode = "slow"
    config.name = "odd"
    with pytest.raises(InputError, match="length must be even"):
        config.validate()
    fogged = OuterPex()
    fogged.skipped = ["fog"]
    with pytest.raises(InputError, match="skipped"):
        fogged.validate()


def test_names_of_pex_config_are_refused():
    class Bad(TaskConfig):
        keys: int = 1

    with pytest.raises(TypeError, match="the name belongs to Config"):
        make_config_class(Bad, name="Bad", module=__name__)


def test_wrong_overrides_fail_before_any_graph_in_one_line():
    from toy_survey import TOY

    for override, words in (
        ("measure:scale.factor=1000", "outside of valid range"),
        ("measure:mode=triple", "mode"),
        ("measure:fast=1", "fast"),
        ("nobody:mode=plain", "no such task"),
        ("mode=plain", "label:field=value"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            load_pipeline(TOY, [override])
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such pipeline"):
        load_pipeline("unheard_of")


def test_the_task_gets_the_validated_model():
    config = toy_steps.Measure.ConfigClass()
    config.scale.factor = 4.0
    config.freeze()
    task = toy_steps.Measure(config=config)
    assert task.stage.config.scale.factor == 4.0
    assert task.stage.config.defeated == ()
