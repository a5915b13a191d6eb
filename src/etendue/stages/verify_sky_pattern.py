"""Judge the fringe frames and sky frames of a detector."""

from dataclasses import dataclass
from typing import Any

from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.verify_corrections import VerifyCorrectionsConfig, VerifyCorrectionsTask

_FILTER = ("instrument", "detector", "physical_filter")


class VerifySkyPatternStageConfig(StageConfig):
    """Configuration of `VerifySkyPattern`."""

    verify: VerifyCorrectionsConfig = VerifyCorrectionsConfig()
    """Limits."""


@dataclass(frozen=True)
class VerifySkyPatternResult:
    """What was judged: one JSON object per number."""

    verdicts: list[dict[str, Any]]


class VerifySkyPattern(Stage[VerifySkyPatternStageConfig]):
    """Compare what the night sky leaves in images with limits; what fails is not certified."""

    dimensions = ("instrument", "detector")
    fringes = Input("fringe", _FILTER, "EtendueExposure", multiple=True, minimum=0, calibration=True)
    skies = Input("sky", _FILTER, "EtendueExposure", multiple=True, minimum=0, calibration=True)
    verdicts = Output("calibration_verdict", ("instrument", "detector"), "EtendueJson")

    def run(self, *, fringes: tuple[Exposure, ...], skies: tuple[Exposure, ...]) -> VerifySkyPatternResult:
        """Judge the products of one detector; those that were not made have no verdict."""
        by_filter = [{one.physical_filter: one for one in kind} for kind in (fringes, skies)]
        found = VerifyCorrectionsTask(self.config.verify).run({}, *by_filter)
        return VerifySkyPatternResult([verdict.to_dict() for verdict in found])
