"""Bad pixels that a list of defects leaves out, as single frames show them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import label

from etendue.camera.detector import Detector
from etendue.geom.box import Box
from etendue.image.defects import Defects
from etendue.tasks.calib.frame_check import FrameCheck
from etendue.tasks.calib.odd_frames import CELL, cell_medians
from etendue.tasks.calib.stack import clipped_deviation
from etendue.tasks.task import TaskConfig

Plane = NDArray[np.float32]


class OddPixelConfig(TaskConfig):
    """When a pixel of a single frame is bad."""

    sigma: float = Field(10.0, gt=0.0)
    """Departure from its surroundings that is no noise,"""

    response: float = Field(0.4, gt=0.0)
    """and, in a flat, relative to them: what defects are found by, and a little more;"""

    window: int = Field(7, ge=1)
    """Surroundings: so many pixels to both sides along the row and along the column. The brighter median counts: edges
    of vignetting are not odd by it, bad columns are [px]."""

    rate_e_s: float = Field(3.0, gt=0.0)
    """in a dark, relative to the exposure time [e/s]."""

    persistent: float = Field(0.8, gt=0.0, le=1.0)
    """Part of the frames in which a pixel departs if it is no cosmic ray."""

    faintest: float = Field(0.2, ge=0.0)
    """Pixels whose surroundings are below this part of the frame's median are vignetted and not judged."""


class OddPixels:
    """Counts how often pixels stand out from their surroundings.

    Parameters
    ----------
    config : OddPixelConfig
        Limits.
    """

    def __init__(self, config: OddPixelConfig):
        self._config = config
        self._counts: dict[str, NDArray[np.int32]] = {}
        self._frames: dict[str, int] = {}

    def add_flat(self, pixels: Plane) -> None:
        """Take the pixels of a flat, not divided by any.

        Parameters
        ----------
        pixels : ndarray, float32, shape (ny, nx)
            Flat above bias.
        """
        detail, cells = _detail(pixels)
        noise = self._config.sigma * _noise(detail)
        usual = float(np.nanmedian(cells))
        suspect = np.abs(detail) > np.maximum(noise, self._config.response * cells)
        around = _surroundings(pixels, suspect, self._config.window)
        away = np.abs(pixels[suspect] - around)
        odd = (away > np.maximum(noise, self._config.response * around)) & (around > self._config.faintest * usual)
        self._add("flat", suspect, odd)

    def add_dark(self, charge: Plane, seconds: float) -> None:
        """Take the charge of a dark, the dark current in it.

        Parameters
        ----------
        charge : ndarray, float32, shape (ny, nx)
            [e].
        seconds : float
            Exposure time [s].
        """
        detail, _ = _detail(charge)
        limit = max(self._config.sigma * _noise(detail), self._config.rate_e_s * seconds)
        suspect = detail > limit
        self._add("dark", suspect, charge[suspect] - _surroundings(charge, suspect, self._config.window) > limit)

    def _add(self, kind: str, suspect: NDArray[np.bool_], odd: NDArray[np.bool_]) -> None:
        counts = self._counts.setdefault(kind, np.zeros(suspect.shape, np.int32))
        counts[suspect] += odd
        self._frames[kind] = self._frames.get(kind, 0) + 1

    def checks(self, defects: Defects, detector: Detector) -> Iterator[FrameCheck]:
        """Compare with the list of defects.

        Parameters
        ----------
        defects : Defects
            The list.
        detector : Detector
            Its detector.

        Yields
        ------
        FrameCheck
            By kind of frame, the part of the pixels that is bad in most frames and not in the list.
        """
        known = defects.mask(detector.bbox)
        for kind, count in self._counts.items():
            frames = self._frames[kind]
            left = (count >= max(2, self._config.persistent * frames)) & ~known
            yield FrameCheck("defects", f"bad pixels in {kind}s that it leaves out", f"{frames} {kind}s",
                             float(left.mean()))  # fmt: skip


def single_pixels(defects: Defects, box: Box) -> float:
    """Return the part of a detector in defects of one pixel, without neighbours.

    Parameters
    ----------
    defects : Defects
        Bad pixels.
    box : Box
        The detector's.

    Returns
    -------
    float
    """
    mask = defects.mask(box)
    groups, count = label(mask, np.ones((3, 3)))
    return float((np.bincount(groups.ravel(), minlength=count + 1)[1:] == 1).sum() / mask.size)


def _detail(pixels: Plane) -> tuple[Plane, Plane]:
    """Return pixels less the medians of their cells, and these medians, both of the frame's shape."""
    cells = cell_medians(pixels)
    rows, columns = (
        np.minimum(np.arange(size) // min(CELL, size), count - 1)
        for size, count in zip(pixels.shape, cells.shape, strict=True)
    )
    middle = cells[np.ix_(rows, columns)].astype(np.float32)
    return pixels - middle, middle


def _noise(detail: Plane) -> float:
    known = detail[np.isfinite(detail)].astype(np.float64)
    return clipped_deviation(known, clip=4.0) if known.size else np.inf


def _surroundings(pixels: Plane, where: NDArray[np.bool_], window: int) -> Plane:
    """Return the brighter of the medians along row and column of some pixels."""
    y, x = np.nonzero(where)
    ny, nx = pixels.shape
    steps = np.arange(-window, window + 1)
    row = pixels[y[:, None], np.clip(x[:, None] + steps, 0, nx - 1)]
    column = pixels[np.clip(y[:, None] + steps, 0, ny - 1), x[:, None]]
    return np.asarray(np.maximum(np.nan_to_num(_median(row)), np.nan_to_num(_median(column))))


def _median(values: Plane) -> Plane:
    """Return medians along the last axis; NaN sorts to the end and counts as bright."""
    return np.asarray(np.sort(values, axis=1)[:, values.shape[1] // 2])
