"""Build the master dark of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import AlgorithmError, InputError
from etendue.image.crosstalk import Crosstalk
from etendue.image.exposure import Exposure
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.dark import BuildDarkConfig, BuildDarkTask
from etendue.tasks.readout.calibrations import Calibrations


class BuildDarkStageConfig(StageConfig):
    """Configuration of `BuildDark`."""

    dark: BuildDarkConfig = BuildDarkConfig(on_odd="drop")
    """Combination of the frames; unusable ones are left out and named."""


@dataclass(frozen=True)
class BuildDarkResult:
    """The master dark."""

    dark: Exposure


class BuildDark(Stage[BuildDarkStageConfig]):
    """Fit the dark current of one detector to its dark frames."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, observation_types=("dark",)
    )
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    ptc = Input("ptc", ("instrument", "detector"), "EtenduePtc", minimum=0, calibration=True)
    crosstalk = Input("crosstalk", ("instrument", "detector"), "EtendueCalibration", minimum=0, calibration=True)
    linearizer = Input("linearizer", ("instrument", "detector"), "EtendueCalibration", minimum=0, calibration=True)
    dark = Output("dark", ("instrument", "detector"), "EtendueExposure", calibration=True)

    def run(
        self,
        *,
        raws: tuple[RawFrame, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        bias: Exposure | None,
        ptc: Ptc | None,
        crosstalk: Crosstalk | None = None,
        linearizer: Linearizer | None = None,
    ) -> BuildDarkResult:
        """Combine ``raws``, all of one detector of ``camera``.

        Raises
        ------
        AlgorithmError
            If too few usable frames are left.
        """
        raws, excluded = apply_overrides(raws, overrides, camera)
        try:
            known = Calibrations(bias=bias, ptc=ptc, crosstalk=crosstalk, linearizer=linearizer)
            dark = BuildDarkTask(self.config.dark).run(raws, camera, known)
        except InputError as error:  # the frames of the night, not a fault of the run: it goes on without a dark
            raise AlgorithmError("; ".join([f"no dark: {error}", *excluded])) from error
        return BuildDarkResult(dark=dark.exposure)
