"""Fit one sky to all detectors of a visit."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.background.visit_sky import VisitSkyConfig, VisitSkyTask


class MeasureVisitSkyConfig(StageConfig):
    """Configuration of `MeasureVisitSky`."""

    sky: VisitSkyConfig = VisitSkyConfig()
    """The fit."""


@dataclass(frozen=True)
class MeasureVisitSkyResult:
    """A JSON object: the sky of each detector [electron], and how well it fits."""

    visit_sky: dict[str, Any]


class MeasureVisitSky(Stage[MeasureVisitSkyConfig]):
    """Sky over the field of view, of preliminary images one at a time; `FinalizeVisit` puts it in place of theirs.

    Flats are normalised detector by detector, so levels are compared on the flux scale of each.
    """

    dimensions = ("instrument", "visit")
    images = Input(
        "preliminary_visit_image", ("instrument", "visit", "detector"), "EtendueExposure", multiple=True, deferred=True
    )
    visit_sky = Output("visit_sky", ("instrument", "visit"), "EtendueJson")

    def run(self, *, images: tuple[DatasetHandle, ...]) -> MeasureVisitSkyResult:
        """Fit the sky of one visit.

        Raises
        ------
        AlgorithmError
            If too few cells hold sky.
        """
        task, cells, scales = VisitSkyTask(self.config.sky), [], []
        for image in images:  # one detector in memory at a time
            exposure = image.get()
            scales.append((exposure.photo_calib or PhotoCalib(scale=1.0)).scale)
            cells.append(task.cells(_on_flux_scale(exposure, scales[-1])))
        found = task.fit(cells)
        detectors = {}
        for image, sky, scale in zip(images, found.backgrounds, scales, strict=True):
            electrons = sky.to_dict()
            electrons["values"] = (np.asarray(sky.values, float) / scale).tolist()
            detectors[str(int(image.data_id["detector"]))] = electrons
        offsets = [None if np.isnan(value) else float(value) for value in found.offsets]
        facts = {"scatter_njy": found.scatter, "share_of_cells": found.share, "offsets_njy": offsets}
        return MeasureVisitSkyResult({"detectors": detectors, **facts})


def _on_flux_scale(exposure: Exposure, scale: float) -> Exposure:
    """Return an image in nJy, with the sky that was taken off put back."""
    pixels = exposure.image.array
    if exposure.background is not None:
        pixels = pixels + exposure.background.image().array
    factor = np.float32(scale)
    return exposure.replace(
        image=Image((pixels * factor).astype(np.float32), exposure.bbox),
        variance=Image(exposure.variance.array * factor**2, exposure.bbox),
        background=None,
    )
