"""Build a master flat."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.exposed import ExposedFlat, LevelConfig, expose_flats
from etendue.tasks.calib.odd_frames import odd_frames
from etendue.tasks.calib.selection import (
    OnOdd,
    Refusal,
    check_enough,
    check_same_detector,
    settle,
    split_by_conditions,
    split_by_filter,
    split_by_type,
)
from etendue.tasks.calib.smooth_ratio import ratio_plane
from etendue.tasks.calib.stack import combine_frames, combine_weighted, pair_noise
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import ReadoutConfig
from etendue.tasks.task import Task, TaskConfig

_SLOPE_CELL = 64


class BuildFlatConfig(TaskConfig):
    """Configuration of `BuildFlatTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels; must be that of the frames to be calibrated."""

    level: LevelConfig = LevelConfig()
    """Exposure levels accepted."""

    minimum_frames: int = Field(3, ge=2)
    """Frames needed."""

    temperature_tolerance_c: float = Field(5.0, gt=0.0)
    """Accepted distance from the usual temperature [deg C]."""

    odd_beyond: float = Field(0.05, gt=0.0)
    """A flat whose shape departs by more from the others, in parts of its level, and five times as much as they, is
    odd: gradients of twilight are not, clouds and headlamps are."""

    gradient: float = Field(1e-3, ge=0.0)
    """Flats whose slope over the detector differs from that of the others by more than this are levelled to their mean
    slope before they are combined: twilights brighten towards the sun, which moves."""

    uneven: float = Field(1.5, ge=1.0)
    """Flats whose levels differ by more than this factor are weighted by their light: all of one lamp, from faint to
    nearly full. Others count alike."""

    clip: float = Field(3.0, gt=0.0)
    """Clipping radius of the combination [sigma]; rejects stars in twilight flats."""

    on_odd: OnOdd = "refuse"
    """Whether frames that do not fit stop the task or are dropped and reported."""


class BuildFlatResult(NamedTuple):
    """A master flat and the frames left out."""

    exposure: Exposure
    """Response of each pixel, median 1, with the variance of the mean."""

    refused: tuple[Refusal, ...]
    """Frames left out."""


class BuildFlatTask(Task[BuildFlatConfig]):
    """Scale sky or dome flats of one filter to each other and average them without outliers."""

    def run(
        self, raws: Sequence[RawFrame], camera: Camera, calibrations: Calibrations | None = None
    ) -> BuildFlatResult:
        """Build the flat of one detector and filter.

        Parameters
        ----------
        raws : sequence of RawFrame
            Flat frames.
        camera : Camera
            Their camera.
        calibrations : Calibrations, optional
            Bias, crosstalk, linearizer and dark.

        Returns
        -------
        BuildFlatResult
            The flat is a ratio of ADU, so the gains of the amplifiers are part of it.
            ``exposure.metadata`` holds ``n_frames``, ``levels_adu``, ``files``, ``largest_slope`` of a frame over the
            mean and ``refused`` ones with the reason.

        Raises
        ------
        InputError
            If frames are of another type or filter, saturated, underexposed or too few, naming file,
            value and the filter of the others.
        """
        known = calibrations or Calibrations()
        flats, refused = split_by_type(raws, "flat")
        flats, other_filter = split_by_filter(flats)
        flats, unlike = split_by_conditions(flats, self.config.temperature_tolerance_c)
        settle([*refused, *other_filter, *unlike], self.config.on_odd)
        refused += [*other_filter, *unlike]
        name = flats[0].info.physical_filter if flats else ""
        check_enough(flats, self.config.minimum_frames, f"flat (filter {name!r})", refused)
        detector = camera.detector(check_same_detector(flats))
        exposed, out_of_range = expose_flats(flats, detector, known, self.config.readout, self.config.level)
        frames = [flat.pixels / np.float32(flat.level) for flat in exposed]
        odd = odd_frames(frames, [flat.raw for flat in exposed], tolerance=self.config.odd_beyond, unit="")
        settle([*out_of_range, *odd.refused], self.config.on_odd)
        refused += [*out_of_range, *odd.refused]
        exposed, frames = odd.others(exposed), odd.others(frames)
        check_enough([flat.raw for flat in exposed], self.config.minimum_frames, f"flat (filter {name!r})", refused)
        slope = _level_slopes(frames, self.config.gradient)
        flat = self._combine(exposed, frames, detector)
        facts = {**flat.metadata, "largest_slope": slope, "refused": dict(refused)}
        return BuildFlatResult(flat.replace(metadata=facts), tuple(refused))

    def _combine(
        self, exposed: Sequence[ExposedFlat], frames: Sequence[NDArray[np.float32]], detector: Detector
    ) -> Exposure:
        """Return the clipped mean of the frames, which are scaled to level 1, normalised to median 1."""
        levels = np.array([flat.level for flat in exposed])
        uneven = float(levels.max() / levels.min()) > self.config.uneven
        if uneven:
            sigma = _noise_of_light(frames, levels, detector) / np.sqrt(levels)
            mean, variance = combine_weighted(frames, sigma=sigma, clip=self.config.clip)
        else:
            mean, variance, _ = combine_frames(frames, clip=self.config.clip, sigma_floor=_noise(frames))
        scale = np.float32(np.nanmedian(mean))
        info = exposed[0].raw.info
        return Exposure(
            image=Image(mean / scale, detector.bbox),
            mask=Mask.empty(detector.bbox),
            variance=Image(variance / scale**2, detector.bbox),
            band=info.band,
            physical_filter=info.physical_filter,
            detector=detector.id,
            unit="",
            metadata={
                "n_frames": len(exposed),
                "levels_adu": levels.tolist(),
                "weighted": uneven,
                "files": [flat.raw.info.file_name for flat in exposed],
            },
        )


def _level_slopes(frames: list[NDArray[np.float32]], least: float) -> float:
    """Divide frames in place by the plane in which they differ from their mean; return the largest such difference."""
    known = [np.isfinite(frame) for frame in frames]
    total, count = np.zeros(frames[0].shape, np.float32), np.zeros(frames[0].shape, np.float32)
    for frame, good in zip(frames, known, strict=True):
        total += np.where(good, frame, np.float32(0.0))
        count += good
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
    planes = np.array([ratio_plane(frame, mean, _SLOPE_CELL) for frame in frames])
    usual = planes.mean(axis=0)  # their mean slope stays: nobody knows which frame has none
    slopes = np.abs(planes / planes[:, :1] - usual / usual[0])[:, 1:].sum(axis=1)
    if slopes.max() > least:
        y, x = (np.arange(size, dtype=np.float32) / np.float32(size) for size in mean.shape)
        for frame, plane in zip(frames, planes, strict=True):
            one, other = (p[0] + np.float32(p[1]) * y[:, None] + np.float32(p[2]) * x for p in (plane, usual))
            frame *= other / one
    return float(slopes.max())


def _noise_of_light(frames: Sequence[NDArray[np.float32]], levels: NDArray[np.float64], detector: Detector) -> float:
    """Return the noise of a frame of level 1 ADU in the worst amplifier; it goes as one over the root of the level."""
    noise = []
    for amplifier in detector.amplifiers:
        rows, columns = (
            slice(s.start + (s.stop - s.start) // 3, s.stop - (s.stop - s.start) // 3)
            for s in amplifier.bbox.slices_in(detector.bbox)
        )
        pairs = pairwise(zip(frames, levels, strict=True))
        noise.append(np.median([
            pair_noise(a[rows, columns], b[rows, columns]) / np.sqrt(0.5 / one + 0.5 / other)
            for (a, one), (b, other) in pairs
        ]))  # fmt: skip
    return float(np.nanmax(noise))


def _noise(frames: Sequence[NDArray[np.float32]]) -> float:
    """Return the typical noise of a scaled frame near the detector's middle, from successive pairs."""
    ny, nx = frames[0].shape
    middle = (slice(ny // 3, 2 * ny // 3), slice(nx // 3, 2 * nx // 3))
    pairs = pairwise(frames)
    return float(np.median([pair_noise(a[middle], b[middle]) for a, b in pairs]))
