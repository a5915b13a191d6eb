"""Masks of the truth as runs of pixels, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.errors import InputError
from etendue.geom.box import Box, Interval
from etendue.image.mask import Mask
from etendue.schema.mask_planes import MASK_PLANES
from etendue.simulate.ccd.output import CcdMasks
from etendue.simulate.surveys.scene import Scene
from etendue.simulate.surveys.survey import Survey

Columns = dict[str, NDArray[Any]]

BLEED = "BLEED"
"""Plane of the truth alone: saturated pixels that only took charge up."""

_PLANES = dict(MASK_PLANES) | {BLEED: 30}
_NAMES = tuple(_PLANES)
_EVERY_VISIT = 0  # visit of the defects, which all exposures share


def frame_masks(survey: Survey, scene: Scene, masks: CcdMasks, *, visit: int, detector: Detector) -> Columns:
    """Return what is true of the pixels of one exposure.

    Parameters
    ----------
    survey : Survey
        Its ``truth`` says what a streak is.
    scene : Scene
        Light.
    masks : CcdMasks
        Truth of the CCD.
    visit : int
        Exposure id.
    detector : Detector
        The detector.

    Returns
    -------
    dict of ndarray
        One row per run of pixels along a row: ``visit``, ``detector``, ``plane`` (CR, SAT, BLEED, STREAK), ``y``, ``x``
        (first pixel, trimmed), ``length`` [px].
    """
    if not survey.spec.truth.masks:
        return runs({}, visit=visit, detector=detector.id)
    planes = {"CR": masks.cosmic_ray, "SAT": masks.saturated, BLEED: masks.bleed}
    if scene.streaks is not None:
        planes["STREAK"] = scene.streaks > survey.spec.truth.streak_noise * _noise(scene, detector)
    return runs(planes, visit=visit, detector=detector.id)


def defect_masks(survey: Survey) -> Columns:
    """Return the defects of all detectors, as `frame_masks` does, with visit 0 and plane BAD.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    dict of ndarray
    """
    wanted = survey.detectors if survey.spec.truth.masks else ()
    parts = [runs({"BAD": survey.ccd(d).defect_mask()}, visit=_EVERY_VISIT, detector=d.id) for d in wanted]
    parts = parts or [runs({}, visit=_EVERY_VISIT, detector=0)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def runs(planes: Mapping[str, NDArray[np.bool_]], *, visit: int, detector: int) -> Columns:
    """Return masks as runs of pixels.

    Parameters
    ----------
    planes : mapping of str to ndarray, bool, shape (ny, nx)
        Masks by plane.
    visit, detector : int
        What they are of.

    Returns
    -------
    dict of ndarray
        As of `frame_masks`, in the order of the planes, rows and columns.
    """
    found = [np.zeros((4, 0), np.int32)]
    for name, mask in planes.items():
        place = np.flatnonzero(mask)
        y, x = np.divmod(place, mask.shape[1])
        first = np.flatnonzero((np.diff(place, prepend=-2) != 1) | (x == 0))
        length = np.diff(first, append=place.size)
        found.append(np.stack([np.full(first.size, _NAMES.index(name)), y[first], x[first], length]).astype(np.int32))
    plane, y, x, length = np.concatenate(found, axis=1)
    return {
        "visit": np.full(y.size, visit, np.int64), "detector": np.full(y.size, detector, np.int32),
        "plane": np.array(_NAMES)[plane], "y": y, "x": x, "length": length,
    }  # fmt: skip


def mask_of_runs(table: Columns, shape: tuple[int, int]) -> Mask:
    """Return the mask of one frame.

    Parameters
    ----------
    table : dict of ndarray
        Its rows of `frame_masks` and of `defect_masks`.
    shape : tuple of int
        Rows and columns [px].

    Returns
    -------
    Mask
        Planes CR, SAT, STREAK, BAD, and BLEED besides those of images.
    """
    flat = np.zeros(shape[0] * shape[1], np.int32)
    length = table["length"].astype(np.int64)
    start = table["y"].astype(np.int64) * shape[1] + table["x"]
    bit = np.array([1 << number for number in _PLANES.values()], np.int32)
    place = {name: number for number, name in enumerate(_NAMES)}
    value = bit[[place[name] for name in table["plane"].tolist()]] if length.size else np.zeros(0, np.int32)
    pixel = np.repeat(start - (np.cumsum(length) - length), length) + np.arange(length.sum())
    np.bitwise_or.at(flat, pixel, np.repeat(value, length))
    return Mask(flat.reshape(shape), Box(Interval(0, shape[0]), Interval(0, shape[1])), _PLANES)


def read_true_mask(folder: str | Path, *, visit: int, detector: int) -> Mask:
    """Read what is true of the pixels of one frame.

    Parameters
    ----------
    folder : str or Path
        The ``truth`` folder of a simulated survey.
    visit : int
        Exposure id.
    detector : int
        Detector id.

    Returns
    -------
    Mask
        Trimmed pixels; planes CR (struck by a particle), SAT (saturated, bleeds included), BLEED (of these, filled by
        their neighbours), STREAK (satellites and fast movers), BAD (defects).

    Raises
    ------
    InputError
        If the survey has no such frame, or kept no masks.
    """
    frames, path = Path(folder) / "detectors.parquet", Path(folder) / "masks.parquet"
    if not (frames.is_file() and path.is_file()):
        raise InputError("holds no masks of a simulated survey", source=folder, remedy="give its truth folder")
    here = [("detector", "==", detector)]
    frame = pq.read_table(frames, columns=["xSize", "ySize"], filters=[*here, ("visit", "==", visit)]).to_pydict()
    if not frame["xSize"]:
        raise InputError("no such frame in the survey", source=folder, value=(visit, detector))
    table = pq.read_table(path, filters=[*here, ("visit", "in", [_EVERY_VISIT, visit])])
    columns = {name: table[name].to_numpy() for name in ("y", "x", "length")} | {"plane": table["plane"].to_numpy()}
    return mask_of_runs(columns, (frame["ySize"][0], frame["xSize"][0]))


def _noise(scene: Scene, detector: Detector) -> float:
    """Return the noise of sky and read-out [e]."""
    read = float(np.median([amplifier.read_noise for amplifier in detector.amplifiers]))
    return float(np.sqrt(np.median(scene.sky) + read**2))
