"""Quanta of one detector find frames of the others."""

from dataclasses import dataclass
from typing import Any

import pytest
from lsst.daf.butler import DataCoordinate
from toy_survey import fill

from etendue.middleware.derive import derive_task
from etendue.middleware.other_detectors import find_others
from etendue.middleware.repository import Repository
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig

NUMBERS = ("toy/numbers",)
KEY = ("instrument", "exposure", "detector")


class CompareConfig(StageConfig):
    neighbours: bool = False
    """Whether they are read."""


@dataclass(frozen=True)
class CompareResult:
    compared: float


class Compare(Stage[CompareConfig]):
    """Divide a number by those of other detectors."""

    dimensions = KEY
    number = Input("number", KEY, "EtendueJson")
    others = Prerequisite("number", KEY, "EtendueJson", multiple=True, minimum=0, others=True, switch="neighbours")
    compared = Output("compared", KEY, "EtendueJson")

    def run(self, *, number: float, others: tuple[Any, ...] = ()) -> CompareResult:
        return CompareResult(number / sum(others))


@pytest.fixture
def butler(tmp_path):
    home = Repository.create(tmp_path / "repo")
    fill(home)
    return home.butler


@pytest.mark.parametrize("detector", [0, 1])
def test_those_of_the_same_exposure_are_found_without_the_quantums_own(butler, detector):
    quantum = DataCoordinate.standardize(
        {"instrument": "toy", "exposure": 3, "detector": detector}, universe=butler.dimensions
    )
    refs = find_others(butler.get_dataset_type("number"), butler.registry, quantum, NUMBERS)
    assert [(ref.dataId["exposure"], ref.dataId["detector"]) for ref in refs] == [(3, 1 - detector)]


@pytest.mark.parametrize("switched_on", [False, True])
def test_they_are_looked_for_only_if_the_configuration_says_so(switched_on):
    config = derive_task(Compare, __name__).ConfigClass()
    config.neighbours = switched_on
    connections = config.connections.ConnectionsClass(config=config)
    assert connections.prerequisiteInputs == ({"others"} if switched_on else set())
