"""Measure the charge that the amplifiers of a detector leave behind."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.errors import AlgorithmError, InputError
from etendue.image.charge_transfer import ChargeTransfer
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.calib.charge_transfer import MeasureChargeTransferConfig, MeasureChargeTransferTask


class MeasureChargeTransferStageConfig(StageConfig):
    """Configuration of `MeasureChargeTransfer`."""

    charge_transfer: MeasureChargeTransferConfig = MeasureChargeTransferConfig()
    """Fit of trails."""


@dataclass(frozen=True)
class MeasureChargeTransferResult:
    """Losses of each amplifier."""

    charge_transfer: ChargeTransfer


class MeasureChargeTransfer(Stage[MeasureChargeTransferStageConfig]):
    """Find the trails of flats in the overscan."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("flat", "bias", "dark"),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    charge_transfer = Output("charge_transfer", ("instrument", "detector"), "EtendueCalibration", calibration=True)

    def run(
        self, *, raws: tuple[DatasetHandle, ...], overrides: tuple[FrameOverride, ...] = (), camera: Camera
    ) -> MeasureChargeTransferResult:
        """Measure one detector, by the gains of the camera's description.

        Raises
        ------
        AlgorithmError
            If no amplifier has an overscan and three usable flats.
        """
        frames = read_in_order(raws, overrides, camera)
        try:
            found = MeasureChargeTransferTask(self.config.charge_transfer).run(frames, camera)
        except InputError as error:  # the frames of the night, not a fault of the run
            raise AlgorithmError(f"no charge transfer: {error}") from error
        return MeasureChargeTransferResult(found)
