"""Judge the illumination corrections, fringe frames and sky frames of a detector."""

from dataclasses import dataclass
from typing import Any

from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.verify_corrections import VerifyCorrectionsConfig, VerifyCorrectionsTask

_FILTER = ("instrument", "detector", "physical_filter")


class VerifyCorrectionsStageConfig(StageConfig):
    """Configuration of `VerifyCorrections`."""

    verify: VerifyCorrectionsConfig = VerifyCorrectionsConfig()
    """Limits."""


@dataclass(frozen=True)
class VerifyCorrectionsResult:
    """What was judged: one JSON object per number."""

    verdicts: list[dict[str, Any]]


class VerifyCorrections(Stage[VerifyCorrectionsStageConfig]):
    """Compare what stars and the night sky say about flats with limits; what fails is not certified."""

    dimensions = ("instrument", "detector")
    illuminations = Input("illumination", _FILTER, "EtendueExposure", multiple=True, minimum=0, calibration=True)
    fringes = Input("fringe", _FILTER, "EtendueExposure", multiple=True, minimum=0, calibration=True)
    skies = Input("sky", _FILTER, "EtendueExposure", multiple=True, minimum=0, calibration=True)
    verdicts = Output("calibration_verdict", ("instrument", "detector"), "EtendueJson")

    def run(
        self, *, illuminations: tuple[Exposure, ...], fringes: tuple[Exposure, ...], skies: tuple[Exposure, ...]
    ) -> VerifyCorrectionsResult:
        """Judge the products of one detector; those that were not made have no verdict."""
        by_filter = [{one.physical_filter: one for one in kind} for kind in (illuminations, fringes, skies)]
        found = VerifyCorrectionsTask(self.config.verify).run(*by_filter)
        return VerifyCorrectionsResult([verdict.to_dict() for verdict in found])
