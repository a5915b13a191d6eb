"""Find the bad pixels of a detector."""

from dataclasses import dataclass

from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.defects import BuildDefectsConfig, BuildDefectsTask


class BuildDefectsStageConfig(StageConfig):
    """Configuration of `BuildDefects`."""

    defects: BuildDefectsConfig = BuildDefectsConfig()
    """Limits beyond which a pixel is bad."""


@dataclass(frozen=True)
class BuildDefectsResult:
    """Bad pixels."""

    defects: Defects


class BuildDefects(Stage[BuildDefectsStageConfig]):
    """Collect hot pixels from bias and dark, and odd ones from the flats of all filters."""

    dimensions = ("instrument", "detector")
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", calibration=True)
    dark = Input("dark", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    flats = Input(
        "flat", ("instrument", "detector", "physical_filter"), "EtendueExposure",
        multiple=True, minimum=0, calibration=True,
    )  # fmt: skip
    defects = Output("defects", ("instrument", "detector"), "EtendueDefects", calibration=True)

    def run(self, *, bias: Exposure, dark: Exposure | None = None, flats: tuple[Exposure, ...]) -> BuildDefectsResult:
        """Unite what the bias, the dark and each of the flats show."""
        task = BuildDefectsTask(self.config.defects)
        found = [task.run(bias=bias, dark=dark), *(task.run(flat=flat) for flat in flats)]
        return BuildDefectsResult(defects=Defects(tuple(box for part in found for box in part.boxes)))
