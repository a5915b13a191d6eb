"""Quanta of one detector read what others were exposed with."""

from typing import Any

import pytest
from lsst.pipe.base import Pipeline
from toy_survey import INPUTS

from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository


def compared(repository: Repository, **options: Any) -> dict[tuple[int, int], Any]:
    pipeline = Pipeline("compare detectors")
    pipeline.addTask("toy_steps.Compare", "compare")
    if "neighbours" in options:
        pipeline.addConfigOverride("compare", "neighbours", options.pop("neighbours"))
    run_pipeline(repository, pipeline, inputs=INPUTS, output="toy/compared", workers=1, progress=False, **options)
    found = repository.query("compared", collections="toy/compared")
    return {(ref.dataId["exposure"], ref.dataId["detector"]): repository.get(ref) for ref in found}


def test_each_detector_reads_its_own_and_those_beside_it(toy_repository):
    results = compared(toy_repository)
    assert len(results) == 12
    for (exposure, detector), numbers in results.items():
        other = 1 - detector
        assert numbers == [exposure + 10 * detector, [other, exposure + 10 * other]]


@pytest.mark.parametrize("options", [{"neighbours": False}, {"where": "detector = 1"}])
def test_switched_off_or_alone_in_the_run_it_reads_its_own_only(toy_repository, options):
    assert compared(toy_repository, **options)[3, 1] == [13]
