"""Measure gain, noise, turn-off, covariances and linearity of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.errors import AlgorithmError, InputError
from etendue.image.charge_transfer import ChargeTransfer
from etendue.image.crosstalk import Crosstalk
from etendue.image.exposure import Exposure
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc
from etendue.log import get_logger
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.calib.photon_transfer import MeasurePhotonTransferConfig, MeasurePhotonTransferTask
from etendue.tasks.readout.calibrations import Calibrations

_log = get_logger(__name__)


class MeasurePhotonTransferStageConfig(StageConfig):
    """Configuration of `MeasurePhotonTransfer`."""

    photon_transfer: MeasurePhotonTransferConfig = MeasurePhotonTransferConfig()
    """Pairs of flats, and what is fitted to them."""


@dataclass(frozen=True)
class MeasurePhotonTransferResult:
    """Curves, and linearity where there are levels enough."""

    ptc: Ptc
    linearizer: Linearizer | None


class MeasurePhotonTransfer(Stage[MeasurePhotonTransferStageConfig]):
    """Fit photon-transfer curves and linearity to pairs of flats at many exposure times."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("flat", "bias"),
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    crosstalk = Input("crosstalk", ("instrument", "detector"), "EtendueCalibration", minimum=0, calibration=True)
    charge_transfer = Input(
        "charge_transfer", ("instrument", "detector"), "EtendueCalibration", minimum=0, calibration=True
    )
    ptc = Output("ptc", ("instrument", "detector"), "EtenduePtc", calibration=True)
    linearizer = Output("linearizer", ("instrument", "detector"), "EtendueCalibration", calibration=True)

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        bias: Exposure | None,
        crosstalk: Crosstalk | None,
        charge_transfer: ChargeTransfer | None,
    ) -> MeasurePhotonTransferResult:
        """Measure one detector.

        Raises
        ------
        AlgorithmError
            If there is no pair of flats, or they tell nothing.
        """
        known = Calibrations(bias=bias, crosstalk=crosstalk, charge_transfer=charge_transfer)
        task = MeasurePhotonTransferTask(self.config.photon_transfer)
        try:
            found = task.run(read_in_order(raws, overrides, camera), camera, known)
        except InputError as error:  # the frames of the night, not a fault of the run
            raise AlgorithmError(f"no photon-transfer curve: {error}") from error
        for note in found.notes:
            _log.info("%s", note)
        return MeasurePhotonTransferResult(ptc=found.ptc, linearizer=found.linearizer)
