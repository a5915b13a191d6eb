"""Find out what charge does to the boundaries of pixels."""

from dataclasses import dataclass
from typing import Literal

from etendue.errors import AlgorithmError, InputError
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries
from etendue.image.ptc import Ptc
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.tasks.calib.brighter_fatter import MeasureBrighterFatterConfig, MeasureBrighterFatterTask


class MeasureBrighterFatterStageConfig(StageConfig):
    """Configuration of `MeasureBrighterFatter`."""

    brighter_fatter: MeasureBrighterFatterConfig = MeasureBrighterFatterConfig()
    """Electrostatic fit."""

    model: Literal["boundaries", "kernel"] = "boundaries"
    """What is kept: boundaries of pixels, or the scalar kernel of Coulton et al. (2018)."""


@dataclass(frozen=True)
class MeasureBrighterFatterResult:
    """The model."""

    brighter_fatter: PixelBoundaries | BrighterFatterKernel


class MeasureBrighterFatter(Stage[MeasureBrighterFatterStageConfig]):
    """Fit boundaries of pixels, or a scalar kernel, to the covariances of flats."""

    dimensions = ("instrument", "detector")
    ptc = Input("ptc", ("instrument", "detector"), "EtenduePtc", calibration=True)
    brighter_fatter = Output("brighter_fatter", ("instrument", "detector"), "EtendueCalibration", calibration=True)

    def run(self, *, ptc: Ptc) -> MeasureBrighterFatterResult:
        """Make the product of one detector.

        Raises
        ------
        AlgorithmError
            If the curve holds no covariances, or flats show no effect.
        """
        try:
            found = MeasureBrighterFatterTask(self.config.brighter_fatter).run(ptc)
        except InputError as error:  # too few levels in this night, not a fault of the run
            raise AlgorithmError(f"no brighter-fatter model: {error}") from error
        return MeasureBrighterFatterResult(found.boundaries if self.config.model == "boundaries" else found.kernel)
