"""Build the master flat of a detector in one filter."""

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
from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask
from etendue.tasks.readout.calibrations import Calibrations


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
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    shutter = Input("shutter", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    dark = Input("dark", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    ptc = Input("ptc", ("instrument", "detector"), "EtenduePtc", minimum=0, calibration=True)
    crosstalk = Input("crosstalk", ("instrument", "detector"), "EtendueCalibration", minimum=0, calibration=True)
    linearizer = Input("linearizer", ("instrument", "detector"), "EtendueCalibration", minimum=0, calibration=True)
    flat = Output("flat", ("instrument", "detector", "physical_filter"), "EtendueExposure", calibration=True)

    def run(
        self,
        *,
        raws: tuple[RawFrame, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        bias: Exposure | None,
        dark: Exposure | None = None,
        ptc: Ptc | None = None,
        crosstalk: Crosstalk | None = None,
        linearizer: Linearizer | None = None,
        shutter: Exposure | None = None,
    ) -> BuildFlatResult:
        """Combine ``raws``, all of one detector and filter; too few of them make no flat and are named.

        Raises
        ------
        AlgorithmError
            If too few usable frames are left.
        """
        raws, excluded = apply_overrides(raws, overrides, camera)
        needed = self.config.flat.minimum_frames
        if len(raws) < needed:
            names = ", ".join(raw.info.file_name for raw in raws) or "no frame"
            filters = f" in filter {raws[0].info.physical_filter}" if raws else ""
            reason = f"{names} refused: {len(raws)} flat{filters}, {needed} make one"
            raise AlgorithmError("; ".join([reason, *excluded]))
        known = Calibrations(bias=bias, dark=dark, ptc=ptc, crosstalk=crosstalk, linearizer=linearizer, shutter=shutter)
        try:
            return BuildFlatResult(flat=BuildFlatTask(self.config.flat).run(raws, camera, known).exposure)
        except InputError as error:  # the frames of the night, not a fault of the run: it goes on without a flat
            raise AlgorithmError("; ".join([f"no flat: {error}", *excluded])) from error
