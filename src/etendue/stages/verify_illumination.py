"""Judge the illumination corrections of a detector."""

from dataclasses import dataclass
from typing import Any

from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.verify_corrections import VerifyCorrectionsConfig, VerifyCorrectionsTask

_FILTER = ("instrument", "detector", "physical_filter")


class VerifyIlluminationStageConfig(StageConfig):
    """Configuration of `VerifyIllumination`."""

    verify: VerifyCorrectionsConfig = VerifyCorrectionsConfig()
    """Limits."""


@dataclass(frozen=True)
class VerifyIlluminationResult:
    """What was judged: one JSON object per number."""

    verdicts: list[dict[str, Any]]


class VerifyIllumination(Stage[VerifyIlluminationStageConfig]):
    """Compare what stars or spots say about flats with limits; what fails is not certified."""

    dimensions = ("instrument", "detector")
    illuminations = Input("illumination", _FILTER, "EtendueExposure", multiple=True, minimum=0, calibration=True)
    verdicts = Output("calibration_verdict", ("instrument", "detector"), "EtendueJson")

    def run(self, *, illuminations: tuple[Exposure, ...]) -> VerifyIlluminationResult:
        """Judge the products of one detector; those that were not made have no verdict."""
        by_filter = {one.physical_filter: one for one in illuminations}
        found = VerifyCorrectionsTask(self.config.verify).run(by_filter, {}, {})
        return VerifyIlluminationResult([verdict.to_dict() for verdict in found])
