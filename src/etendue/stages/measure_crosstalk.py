"""Measure the crosstalk between the amplifiers of a detector."""

from dataclasses import dataclass

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.errors import AlgorithmError, InputError
from etendue.image.crosstalk import Crosstalk
from etendue.image.exposure import Exposure
from etendue.stages.raw_connections import CAMERA, FRAME_OVERRIDES
from etendue.stages.raw_stream import read_in_order
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.calib.crosstalk import MeasureCrosstalkConfig, MeasureCrosstalkTask


class MeasureCrosstalkStageConfig(StageConfig):
    """Configuration of `MeasureCrosstalk`."""

    crosstalk: MeasureCrosstalkConfig = MeasureCrosstalkConfig()
    """Regression of pixels on each other."""

    between_detectors: bool = False
    """Measure the crosstalk of the other detectors in the run too."""


@dataclass(frozen=True)
class MeasureCrosstalkResult:
    """Coefficients."""

    crosstalk: Crosstalk


class MeasureCrosstalk(Stage[MeasureCrosstalkStageConfig]):
    """Compare amplifiers while spots of a projector fall on others."""

    dimensions = ("instrument", "detector")
    raws = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True,
        observation_types=("test",),
    )  # fmt: skip
    others = Input(
        "raw", ("instrument", "exposure", "detector"), "EtendueRaw", multiple=True, deferred=True, minimum=0,
        observation_types=("test",), others=True, switch="between_detectors",
    )  # fmt: skip
    overrides = FRAME_OVERRIDES
    camera = CAMERA
    bias = Input("bias", ("instrument", "detector"), "EtendueExposure", minimum=0, calibration=True)
    crosstalk = Output("crosstalk", ("instrument", "detector"), "EtendueCalibration", calibration=True)

    def run(
        self,
        *,
        raws: tuple[DatasetHandle, ...],
        others: tuple[DatasetHandle, ...] = (),
        overrides: tuple[FrameOverride, ...] = (),
        camera: Camera,
        bias: Exposure | None,
    ) -> MeasureCrosstalkResult:
        """Measure one detector; exposures that some detector lacks are left out.

        Raises
        ------
        AlgorithmError
            If no frame holds enough bright light.
        """
        frames, partners = _common(list(read_in_order(raws, overrides, camera)), _by_detector(others, camera))
        task = MeasureCrosstalkTask(self.config.crosstalk)
        try:
            return MeasureCrosstalkResult(task.run(frames, camera, bias, partners))
        except InputError as error:  # the frames of the night, not a fault of the run
            raise AlgorithmError(f"no crosstalk: {error}") from error


def _by_detector(others: tuple[DatasetHandle, ...], camera: Camera) -> dict[int, list[RawFrame]]:
    numbers = sorted({int(handle.data_id["detector"]) for handle in others})
    return {
        number: list(read_in_order([one for one in others if one.data_id["detector"] == number], (), camera))
        for number in numbers
    }


def _common(
    frames: list[RawFrame], partners: dict[int, list[RawFrame]]
) -> tuple[list[RawFrame], dict[int, list[RawFrame]]]:
    """Return the frames of the exposures that all detectors have."""
    sets = [{frame.info.exposure_id for frame in some} for some in (frames, *partners.values())]
    shared = set.intersection(*sets)
    kept = [[frame for frame in some if frame.info.exposure_id in shared] for some in (frames, *partners.values())]
    return kept[0], dict(zip(partners, kept[1:], strict=True))
