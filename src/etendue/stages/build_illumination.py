"""Correct the flat of a detector and filter by the stars of dithered visits."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.stages.stage import DatasetHandle, Input, Output, Prerequisite, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.calib.illumination import BuildIlluminationConfig, BuildIlluminationTask, StarFluxes


class BuildIlluminationStageConfig(StageConfig):
    """Configuration of `BuildIllumination`."""

    illumination: BuildIlluminationConfig = BuildIlluminationConfig()
    """Fit of stars, zero points and response."""

    flux_column: str = "calibFlux"
    """Fluxes of stars."""

    minimum_snr: float = Field(100.0, gt=0.0)
    """Fainter stars say little, are blended more often, and near the limit only their brighter measurements count."""

    bad_flags: tuple[str, ...] = (
        "psfFlux_flag", "centroid_flag", "pixelFlags_saturated", "pixelFlags_interpolatedCenter",
        "pixelFlags_crCenter", "pixelFlags_bad", "pixelFlags_edge", "pixelFlags_nodata",
    )  # fmt: skip
    """Flags that keep a measurement out."""

    max_extendedness: float = 0.5
    """Sources beyond this are not stars."""


@dataclass(frozen=True)
class BuildIlluminationResult:
    """Factor on the flat."""

    illumination: Exposure


class BuildIllumination(Stage[BuildIlluminationStageConfig]):
    """Find out from stars that were seen at several places of a detector how wrong its flat is.

    The visits must have been calibrated with that flat, and without an illumination correction.
    """

    dimensions = ("instrument", "detector", "physical_filter")
    stars = Input("single_visit_star", ("instrument", "visit", "detector"), "EtendueTable", multiple=True)
    images = Input(
        "preliminary_visit_image", ("instrument", "visit", "detector"), "EtendueExposure",
        multiple=True, deferred=True, minimum=0,
    )  # fmt: skip
    camera = Prerequisite("camera", ("instrument",), "EtendueCamera")
    illumination = Output(
        "illumination", ("instrument", "detector", "physical_filter"), "EtendueExposure", calibration=True
    )

    def run(
        self,
        *,
        stars: tuple[Table, ...],
        images: tuple[DatasetHandle, ...] = (),
        camera: Camera,
        data_id: dict[str, int | str],
    ) -> BuildIlluminationResult:
        """Fit the stars of all visits of one detector and filter.

        Raises
        ------
        AlgorithmError
            If too few stars were seen at two places, or the visits were corrected already.
        """
        _refuse_corrected(images)
        detector = camera.detector(int(data_id["detector"]))
        table = Table.concat(stars)
        use = self._usable(table)
        name = self.config.flux_column
        columns = (table[column][use] for column in ("visit", "ra", "dec", "x", "y", name, f"{name}Err"))
        visit, *values = (np.asarray(column) for column in columns)
        found = BuildIlluminationTask(self.config.illumination).run(
            StarFluxes(visit.astype(np.int64), *(value.astype(float) for value in values)), detector.bbox
        )
        filter_name = str(data_id["physical_filter"])
        return BuildIlluminationResult(replace(found, physical_filter=filter_name, detector=detector.id))

    def _usable(self, table: Table) -> NDArray[np.bool_]:
        flux, error = (
            np.asarray(table[name], float) for name in (self.config.flux_column, f"{self.config.flux_column}Err")
        )
        with np.errstate(invalid="ignore"):
            use = (flux > self.config.minimum_snr * error) & (error > 0.0)
            use &= ~(np.asarray(table["extendedness"], float) > self.config.max_extendedness)
        for flag in self.config.bad_flags:
            use &= ~np.asarray(table[flag], bool)
        return np.asarray(use)


def _refuse_corrected(images: tuple[DatasetHandle, ...]) -> None:
    """Refuse visits whose flat was corrected: what is left of it would take the place of the whole."""
    for handle in images:
        facts = handle.get("metadata") or {}
        if "illumination" in facts.get("isr", ()):
            reason = "the visits were calibrated with an illumination correction; calibrate them without:"
            raise AlgorithmError(f'{reason} calibrate_image:isr.skip=["illumination"]', visit=handle.data_id["visit"])
