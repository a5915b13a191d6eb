"""Build the master flat of a detector in one filter."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask


class BuildFlatStageConfig(StageConfig):
    """Configuration of `BuildFlat`."""

    flat: BuildFlatConfig = BuildFlatConfig(on_odd="drop")
    """Combination of the frames; unusable ones are left out and named."""


@dataclass(frozen=True)
class BuildFlatResult:
    """The master flat."""

    flat: Exposure


class BuildFlat(Stage[BuildFlatStageConfig]):
    """Combine the flat frames of one detector and filter."""

    dimensions = ("instrument", "detector", "physical_filter")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, observation_types=("flat",)
    )
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    flat = Output("flat", ("instrument", "detector", "physical_filter"), "EtendueExposure", calibration=True)

    def run(self, *, raws: tuple[RawFrame, ...], camera: Camera, bias: Exposure | None) -> BuildFlatResult:
        """Combine ``raws``, all of one detector and filter; too few of them make no flat and are named."""
        needed = self.config.flat.minimum_frames
        if len(raws) < needed:
            names = ", ".join(raw.info.file_name for raw in raws)
            raise AlgorithmError(
                f"{names} refused: {len(raws)} flat in filter {raws[0].info.physical_filter}, {needed} make one"
            )
        return BuildFlatResult(flat=BuildFlatTask(self.config.flat).run(raws, camera, bias).exposure)
