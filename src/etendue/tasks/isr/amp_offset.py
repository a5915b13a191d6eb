"""Remove steps of the sky between neighbouring amplifiers."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.amplifier import Amplifier
from etendue.camera.detector import Detector
from etendue.geom.box import Box
from etendue.kernels.overscan import line_levels
from etendue.tasks.task import Task, TaskConfig

Plane = NDArray[np.float32]
Levels = NDArray[np.float64]
_FEWEST = 4  # cells along an edge
_CLIP, _PASSES = 3.0, 4


class LevelAmplifiersConfig(TaskConfig):
    """Configuration of `LevelAmplifiersTask`."""

    depth: int = Field(32, ge=4)
    """Depth of the strips on both sides of an edge [px]."""

    inset: int = Field(2, ge=0)
    """Pixels next to the edge that are left out [px]."""

    cell: int = Field(32, ge=4)
    """Length of the pieces of a strip whose levels are compared [px]."""

    usable: float = Field(0.5, gt=0.0, le=1.0)
    """A piece with a smaller fraction of good pixels is left out."""

    significance: float = Field(4.0, ge=0.0)
    """Unless some step is larger than this nothing is changed [sigma]."""

    steepest: float = Field(0.02, gt=0.0)
    """An edge whose sky falls or rises faster towards it is not used: a galaxy or a halo lies there [noise of a pixel
    per px]."""


class Step(NamedTuple):
    """A step of the sky across the edge between two amplifiers."""

    first: int
    """Place of the amplifier before the edge in the detector's list."""

    second: int
    """Of the one behind it."""

    height: float
    """Level of the first above the second at the edge [unit of the image]."""

    error: float
    """Its 1-sigma error, from the scatter of the pieces."""


@dataclass(frozen=True, slots=True, eq=False)
class AmplifierOffsets:
    """An image without steps, and what was subtracted.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        The image; the one given if nothing was significant.
    names : tuple of str
        Amplifiers.
    offsets, errors : ndarray, float64, shape (n,)
        What was subtracted from each amplifier, of zero sum over connected ones, and its error; 0 and NaN for an
        amplifier without a usable edge [unit of the image].
    steps : tuple of Step
        Edges that were used.
    subtracted : bool
        Whether some step was significant.
    """

    image: Plane
    names: tuple[str, ...]
    offsets: Levels
    errors: Levels
    steps: tuple[Step, ...]
    subtracted: bool

    def to_dict(self) -> dict[str, Any]:
        """Return what was done, for the record.

        Returns
        -------
        dict
        """
        pairs = zip(self.names, self.offsets, self.errors, strict=True)
        return {
            "subtracted": self.subtracted,
            "offsets": {name: [float(v), None if np.isnan(e) else float(e)] for name, v, e in pairs},
        }


class LevelAmplifiersTask(Task[LevelAmplifiersConfig]):
    """Subtract one number from each amplifier, so that the sky goes on across their edges.

    Bias levels that drift otherwise than the overscan leave such steps. They are measured between strips along common
    edges, each piece extrapolated to the edge along its own slope, without stars by clipping; offsets of least squares
    follow from all edges, and their sum is 0: the mean sky stays.
    """

    def run(self, image: Plane, bad: NDArray[np.bool_], detector: Detector) -> AmplifierOffsets:
        """Level the amplifiers of one image.

        Parameters
        ----------
        image : ndarray, float32, shape of ``detector.bbox``
            Image after the flat, with its sky.
        bad : ndarray, bool, same shape
            Pixels not to use.
        detector : Detector
            Places of the amplifiers.

        Returns
        -------
        AmplifierOffsets
        """
        steps = []
        for (first, one), (second, other) in combinations(enumerate(detector.amplifiers), 2):
            strips = _strips(image, one, other, detector.bbox, self.config)
            spoiled = _strips(bad, one, other, detector.bbox, self.config)
            measured = None
            if strips is not None and spoiled is not None:
                measured = self._measure(*(_calm(*pair) for pair in zip(strips, spoiled, strict=True)))
            if measured is not None:
                steps.append(Step(first, second, *measured))
        count = len(detector.amplifiers)
        offsets, errors = _solve(steps, count)
        subtracted = any(abs(step.height) > self.config.significance * step.error for step in steps)
        out = image
        if subtracted:
            out = image.copy()
            for amplifier, offset in zip(detector.amplifiers, offsets, strict=True):
                out[amplifier.bbox.slices_in(detector.bbox)] -= np.float32(offset)
        names = tuple(amplifier.name for amplifier in detector.amplifiers)
        return AmplifierOffsets(
            out, names, offsets if subtracted else np.zeros(count), errors, tuple(steps), subtracted
        )

    def _measure(self, one: Plane, other: Plane) -> tuple[float, float] | None:
        """Return the step between two strips ``[along, away from the edge]`` and its error; None if not to be had."""
        levels, slopes, noises = zip(*(self._edge_level(strip) for strip in (one, other)), strict=True)
        noise = float(np.nanmedian(np.concatenate(noises))) if np.isfinite(noises).any() else np.nan
        if not max(abs(slope) for slope in slopes) < self.config.steepest * noise:
            return None
        difference = levels[0] - levels[1]
        difference = difference[np.isfinite(difference)]
        if difference.size < _FEWEST:
            return None
        height, scatter, kept = (float(part[0]) for part in _clipped(difference))
        scatter = max(scatter, noise * np.sqrt(2.0 / (self.config.cell * (self.config.depth // 2))))
        return (height, scatter / np.sqrt(kept)) if kept >= _FEWEST else None

    def _edge_level(self, strip: Plane) -> tuple[Levels, float, Levels]:
        """Return the level of each piece at the edge, the slope of the strip away from it, and the pieces' noise."""
        half = self.config.depth // 2
        near, far = (self._pieces(strip[:, k * half : (k + 1) * half]) for k in (0, 1))
        slopes = (far[0] - near[0]) / half
        known = slopes[np.isfinite(slopes)]
        slope = float(_clipped(known)[0][0]) if known.size else np.nan
        return near[0] - slopes * (self.config.inset + 0.5 * half), slope, near[1]

    def _pieces(self, strip: Plane) -> tuple[Levels, Levels]:
        """Return level and noise of the pieces of a strip, NaN where too few pixels are good."""
        count = strip.shape[0] // self.config.cell
        pieces = np.ascontiguousarray(strip[: count * self.config.cell]).reshape(count, -1)
        level, scatter, used = line_levels(pieces, _CLIP, _PASSES)
        few = used < self.config.usable * pieces.shape[1]
        level[few], scatter[few] = np.nan, np.nan
        return level, scatter


def _clipped(values: Levels) -> tuple[Levels, Levels, NDArray[np.int64]]:
    """Return mean, scatter and number of values without outliers, in arrays of one."""
    middle = np.median(values)
    scale = max(1.4826 * float(np.median(np.abs(values - middle))), 1e-9)
    level, scatter, used = line_levels(((values - middle) / scale).astype(np.float32)[None, :], _CLIP, _PASSES)
    return level * scale + middle, scatter * scale, used


def _calm(strip: Plane, spoiled: NDArray[np.bool_]) -> Plane:
    return np.where(spoiled | ~np.isfinite(strip), np.float32(np.nan), strip)


def _strips(
    image: NDArray[Any], one: Amplifier, other: Amplifier, whole: Box, config: LevelAmplifiersConfig
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the strips on both sides of the edge between two amplifiers, rows along it, the nearest column first."""
    for turned in (False, True):
        plane = image.T if turned else image
        boxes = [(box.x, box.y) if turned else (box.y, box.x) for box in (one.bbox, other.bbox)]
        origin = (whole.x.start, whole.y.start) if turned else (whole.y.start, whole.x.start)
        order = (0, 1) if boxes[0][1].stop == boxes[1][1].start else (1, 0)
        low, high = boxes[order[0]], boxes[order[1]]
        along = low[0].intersection(high[0])
        reach = config.inset + config.depth
        if low[1].stop != high[1].start or along.size < _FEWEST * config.cell or min(low[1].size, high[1].size) < reach:
            continue
        rows, edge = slice(along.start - origin[0], along.stop - origin[0]), low[1].stop - origin[1]
        before = plane[rows, edge - reach : edge - config.inset][:, ::-1]
        behind = plane[rows, edge + config.inset : edge + reach]
        return (before, behind) if order == (0, 1) else (behind, before)
    return None


def _solve(steps: list[Step], count: int) -> tuple[Levels, Levels]:
    """Return offsets of least squares and zero sum, and their errors."""
    normal, target = np.zeros((count, count)), np.zeros(count)
    for first, second, height, error in steps:
        row = np.zeros(count)
        row[first], row[second] = 1.0, -1.0
        normal += np.outer(row, row) / error**2
        target += row * height / error**2
    scale = max(float(np.diag(normal).max(initial=0.0)), 1e-30)
    covariance = np.linalg.pinv(normal / scale, rcond=1e-10, hermitian=True) / scale
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return covariance @ target, np.where(np.diag(normal) > 0.0, errors, np.nan)
