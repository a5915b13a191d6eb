"""Put the sky of the visit in place of a detector's own, and measure again."""

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from etendue.errors import AlgorithmError
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.table.table import Table
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
from etendue.tasks.characterize.source_table import source_table

_SAME_PX = 1.0  # farther away nothing is the same source


def with_visit_sky(exposure: Exposure, visit_sky: dict[str, Any]) -> Exposure:
    """Exchange the sky of a preliminary image for that of its visit.

    Parameters
    ----------
    exposure : Exposure
        In electrons, with the sky that was subtracted.
    visit_sky : dict
        As `MeasureVisitSky` wrote it.

    Returns
    -------
    Exposure

    Raises
    ------
    AlgorithmError
        If the sky does not hold this detector.
    """
    state = visit_sky["detectors"].get(str(exposure.detector))
    if state is None:
        raise AlgorithmError("the sky of the visit does not hold this detector", detector=exposure.detector)
    sky = Background.from_dict({**state, "values": np.asarray(state["values"], np.float32)})
    pixels = exposure.image.array - sky.image().array
    if exposure.background is not None:
        pixels += exposure.background.image().array
    return exposure.replace(image=Image(pixels.astype(np.float32), exposure.bbox), background=sky)


def measured_again(exposure: Exposure, stars: Table, config: CharacterizeConfig) -> tuple[Exposure, Table]:
    """Detect and measure the sources of an image; flags of calibration are those of the earlier measurement.

    Parameters
    ----------
    exposure : Exposure
        With PSF, WCS and flux scale.
    stars : Table
        What was measured before, schema ``single_visit_star``.
    config : CharacterizeConfig
        Without sky, PSF and cosmic rays, which are known.

    Returns
    -------
    exposure : Exposure
        With the planes of the new detection.
    stars : Table
        New rows.

    Raises
    ------
    AlgorithmError
        If nothing is measured.
    """
    result = CharacterizeTask(config).run(exposure=exposure)
    table = source_table("single_visit_star", result.columns, result.exposure, photo_calib=exposure.photo_calib)
    flags = [
        name for name in stars.names if name not in result.columns.measured and _is_flag(stars, name)
        and name not in result.columns.pixel_flags and not name.endswith("_flag")
    ]  # fmt: skip
    if not len(stars) or not len(table):
        return result.exposure, table
    distance, row = cKDTree(np.column_stack([stars["x"], stars["y"]])).query(np.column_stack([table["x"], table["y"]]))
    same = distance < _SAME_PX
    kept = {name: np.asarray(stars[name], bool)[row] & same for name in flags}
    return result.exposure, table.with_columns(**kept)


def _is_flag(table: Table, name: str) -> bool:
    return np.asarray(table[name]).dtype == np.bool_
