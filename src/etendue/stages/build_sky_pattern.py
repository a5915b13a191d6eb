"""Build the fringe frame and the sky frame of a detector in one filter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.stages.calibrated_stage import CalibratedStage
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.stage import DatasetHandle, Input, Output, StageConfig
from etendue.tasks.calib.sky_pattern import BuildSkyPatternConfig, BuildSkyPatternTask
from etendue.tasks.isr.isr import IsrConfig, IsrTask
from etendue.tasks.readout.calibrations import Calibrations

_DIMENSIONS = ("instrument", "detector", "physical_filter")


class BuildSkyPatternStageConfig(StageConfig):
    """Configuration of `BuildSkyPattern`."""

    isr: IsrConfig = IsrConfig(skip=("fringe", "sky"))
    """Instrument signature removal of the images."""

    fringe: BuildSkyPatternConfig = BuildSkyPatternConfig()
    """The fringe frame."""

    sky: BuildSkyPatternConfig = BuildSkyPatternConfig(kind="sky")
    """The sky frame."""

    longest_stack: int = 40
    """Of more images than this, evenly chosen ones enter: the stack must fit into memory."""


@dataclass(frozen=True)
class BuildSkyPatternResult:
    """The fringes, and the whole sky; None where there is no pattern."""

    fringe: Exposure | None
    sky: Exposure | None


class BuildSkyPattern(CalibratedStage[BuildSkyPatternStageConfig]):
    """Find what the night sky leaves in every image of a detector and filter, from dithered science frames."""

    dimensions = _DIMENSIONS
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("science",),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    # Made here, not read.
    fringe = Output("fringe", _DIMENSIONS, "EtendueExposure", calibration=True)  # type: ignore[assignment]
    sky = Output("sky", _DIMENSIONS, "EtendueExposure", calibration=True)  # type: ignore[assignment]

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        **calibrations: Any,
    ) -> BuildSkyPatternResult:
        """Build both from the images, which are calibrated one after the other.

        Raises
        ------
        AlgorithmError
            If neither can be built.
        """
        step = -(-len(raws) // self.config.longest_stack)
        images = list(self._calibrated(raws[::step], overrides, camera, Calibrations(**calibrations)))
        built: dict[str, Exposure | None] = {}
        faults = []
        for kind, config in (("fringe", self.config.fringe), ("sky", self.config.sky)):
            try:
                built[kind] = BuildSkyPatternTask(config).run(images)
            except AlgorithmError as error:
                built[kind] = None
                faults.append(f"no {kind} frame: {error}")
        if len(faults) == len(built):
            raise AlgorithmError("; ".join(faults))
        return BuildSkyPatternResult(**built)

    def _calibrated(
        self,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...],
        camera: Camera,
        known: Calibrations,
    ) -> Iterator[Exposure]:
        isr = IsrTask(self.config.isr)
        for handle in raws:
            for raw in apply_overrides((handle.get(),), overrides, camera)[0]:
                yield isr.run(raw=raw, camera=camera, calibrations=known)
