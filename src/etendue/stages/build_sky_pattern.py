"""Build the fringe frame and the sky frame of a detector in one filter."""

from collections.abc import Iterator
from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.errors import AlgorithmError
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.ptc import Ptc
from etendue.stages.stage import DatasetHandle, Input, Output, Prerequisite, Stage, StageConfig
from etendue.tasks.calib.sky_pattern import BuildSkyPatternConfig, BuildSkyPatternTask
from etendue.tasks.isr.isr import IsrConfig, IsrTask
from etendue.tasks.readout.calibrations import Calibrations


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


class BuildSkyPattern(Stage[BuildSkyPatternStageConfig]):
    """Find what the night sky leaves in every image of a detector and filter, from dithered science frames."""

    dimensions = ("instrument", "detector", "physical_filter")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("science",),
    )  # fmt: skip
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    bias = Prerequisite("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    dark = Prerequisite("dark", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    flat = Prerequisite(
        "flat", ("instrument", "detector", "physical_filter"), "EtendueExposure", minimum=0, calibration=True
    )
    defects = Prerequisite("defects", ("instrument", "detector"), "EtendueDefects", minimum=0, calibration=True)
    ptc = Prerequisite("ptc", ("instrument", "detector"), "EtenduePtc", minimum=0, calibration=True)
    fringe = Output("fringe", ("instrument", "detector", "physical_filter"), "EtendueExposure", calibration=True)
    sky = Output("sky", ("instrument", "detector", "physical_filter"), "EtendueExposure", calibration=True)

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        camera: Camera,
        bias: Exposure | None,
        dark: Exposure | None,
        flat: Exposure | None,
        defects: Defects | None,
        ptc: Ptc | None,
    ) -> BuildSkyPatternResult:
        """Build both from the images, which are calibrated one after the other.

        Raises
        ------
        AlgorithmError
            If neither can be built.
        """
        known = Calibrations(bias=bias, dark=dark, flat=flat, defects=defects, ptc=ptc)
        step = -(-len(raws) // self.config.longest_stack)
        images = list(self._calibrated(raws[::step], camera, known))
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

    def _calibrated(self, raws: tuple[DatasetHandle, ...], camera: Camera, known: Calibrations) -> Iterator[Exposure]:
        isr = IsrTask(self.config.isr)
        for handle in raws:
            yield isr.run(raw=handle.get(), camera=camera, calibrations=known)
