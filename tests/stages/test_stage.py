from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig, seed_from


class SumConfig(StageConfig):
    power: int = 1
    """Exponent."""


@dataclass(frozen=True)
class SumResult:
    total: float | None


class SumUp(Stage[SumConfig]):
    dimensions = ("instrument",)
    numbers = Input("number", ("instrument", "exposure"), "EtendueJson", multiple=True)
    scale = Prerequisite("scale", ("instrument",), "EtendueJson", minimum=0)
    total = Output("total", ("instrument",), "EtendueJson")

    def run(self, *, numbers, scale) -> SumResult:
        return SumResult(sum(numbers) * (scale or 1))


def test_connections_are_found_in_order_of_declaration():
    assert list(SumUp.connections) == ["numbers", "scale", "total"]
    assert list(SumUp.inputs()) == ["numbers", "scale"]
    assert list(SumUp.outputs()) == ["total"]
    assert SumUp.config_class is SumConfig
    assert not SumUp.wants_data_id


def test_a_stage_runs_without_any_repository():
    assert SumUp().run(numbers=(1, 2), scale=None).total == 3


def test_run_must_fit_the_connections():
    with pytest.raises(TypeError, match=r"differ in: number\b"):

        class Wrong(Stage[SumConfig]):
            number = Input("number", ("instrument",), "EtendueJson")

            def run(self, *, data_id):
                return None


@given(st.integers(0, 2**40), st.integers(0, 400))
def test_seeds_depend_on_the_data_id_and_nothing_else(visit, detector):
    seed = seed_from({"visit": visit, "detector": detector})
    assert seed == seed_from({"detector": detector, "visit": visit})
    assert seed != seed_from({"detector": detector + 1, "visit": visit})
    assert seed != seed_from({"visit": visit, "detector": detector}, "dither")
    assert 0 <= seed < 2**63
