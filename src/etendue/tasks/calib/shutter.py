"""Measure the pattern of a shutter: how much longer or shorter than the nominal time each pixel is open."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.exposed import dark_adu, saturated_pixels
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import electronics_of
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_CLIP, _LEAST_PART, _PASSES, _SAMPLE = 5.0, 0.3, 3, 256


class MeasureShutterConfig(TaskConfig):
    """Configuration of `MeasureShutterTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels."""

    cell_size: int = Field(32, ge=4)
    """Side of the cells in which the pattern is measured [px]; between their middles it is interpolated."""

    minimum_adu: float = Field(50.0, gt=0.0)
    """Fainter flats are left out [ADU]."""

    maximum_fraction: float = Field(0.85, gt=0.0, le=1.0)
    """So are flats brighter than this fraction of the saturation level."""

    lamp_tolerance: float = Field(0.05, gt=0.0)
    """Flats of one lamp have levels in proportion to their times to this part,"""

    largest_s: float = Field(0.2, gt=0.0)
    """or up to so much time: more a shutter does not need [s]. Twilight flats, whose light fades, drop out."""

    least_ratio: float = Field(4.0, gt=1.0)
    """Ratio of the longest to the shortest exposure time needed."""

    least_s: float = Field(1e-3, ge=0.0)
    """A pattern whose standard deviation and mean are smaller than this matters to no exposure [s]."""

    significance: float = Field(5.0, gt=0.0)
    """A pattern whose chi2 exceeds that of noise by less than this many of its standard deviations is none; so is a
    mean of less than so many errors."""

    largest_chi2: float = Field(5.0, gt=0.0)
    """Flats whose median chi2 per degree of freedom is higher do not follow any shutter's pattern: the lamp moved."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flats:
    """Flats of one lamp.

    Parameters
    ----------
    seconds, level : ndarray, float64, shape (n,)
        Nominal times, and mean levels [ADU].
    cells, error : ndarray, float64, shape (n, cy, cx)
        Levels of cells and their errors [ADU].
    files : tuple of str
        Their files.
    physical_filter : str
        Their filter.
    """

    seconds: Vector
    level: Vector
    cells: Vector
    error: Vector
    files: tuple[str, ...]
    physical_filter: str


class MeasureShutterTask(Task[MeasureShutterConfig]):
    """Fit a time per pixel to flats of one lamp at many exposure times.

    The light of a pixel is ``response * lamp * (t + s)``; its level over the mean of the frame is linear in
    ``1 / (t + mean of s)`` with the pattern ``s`` less its mean as slope, whatever the lamp did in that frame. The mean
    comes from the levels of all frames, for a lamp whose light is constant. Deviations from linearity look like a mean
    time in flats of one lamp; with a linearizer measured on the same flats there is none left.
    """

    def run(self, raws: Iterable[RawFrame], camera: Camera, calibrations: Calibrations | None = None) -> Exposure:
        """Measure the pattern of one detector.

        Parameters
        ----------
        raws : iterable of RawFrame
            Flats of several filters and lamps, read once; other types are left out. The filter with the widest range of
            times counts.
        camera : Camera
            Their camera.
        calibrations : Calibrations, optional
            Bias, crosstalk, linearizer, ptc and dark.

        Returns
        -------
        Exposure
            Time beyond the nominal one [s] and its variance. ``metadata`` holds ``n_frames``, ``files``,
            ``shortest_s``, ``longest_s``, ``mean_s`` with ``mean_err_s``, ``pattern_s`` (its standard deviation) with
            ``error_s``, and ``chi2``.

        Raises
        ------
        InputError
            If the flats have no exposure times that differ enough, or are of several detectors.
        AlgorithmError
            If they show no pattern, or none that times of a shutter explain.
        """
        flats, detector = self._flats(raws, camera, calibrations or Calibrations())
        mean, mean_err = _mean_time(flats)
        if abs(mean) < self.config.significance * mean_err:
            mean = 0.0
        pattern, error, chi2 = _pattern(flats, mean)
        self._check(pattern, error, chi2, mean)
        known = np.isfinite(pattern)
        noise = float(np.sqrt(np.mean(error[known] ** 2)))
        metadata = {
            "n_frames": len(flats.files), "files": list(flats.files), "physical_filter": flats.physical_filter,
            "shortest_s": float(flats.seconds.min()), "longest_s": float(flats.seconds.max()), "mean_s": mean,
            "mean_err_s": mean_err, "pattern_s": _beyond_noise(pattern, error), "error_s": noise, "chi2": chi2,
        }  # fmt: skip
        pattern, error = (np.where(known, plane, np.median(plane[known])) for plane in (pattern, error))
        box, size = detector.bbox, self.config.cell_size
        planes = [Image(_interpolated(plane, box.shape, size), box) for plane in (pattern + mean, error)]
        planes[1] = Image(planes[1].array ** 2, box)
        return Exposure(
            image=planes[0], mask=Mask.empty(box), variance=planes[1], unit="", detector=detector.id, metadata=metadata
        )

    def _flats(self, raws: Iterable[RawFrame], camera: Camera, known: Calibrations) -> tuple[_Flats, Detector]:
        """Return the flats of the lamp that was used for the widest range of times."""
        found: dict[str, list[tuple[ObservationInfo, Vector, Vector]]] = {}
        detector: Detector | None = None
        for raw in raws:
            if raw.info.observation_type != "flat" or not raw.info.exposure_time_s > 0.0:
                continue
            if detector is not None and raw.detector_id != detector.id:
                raise InputError(f"frame is of detector {raw.detector_id}, others of {detector.id}",
                                 source=raw.info.file_name, remedy="measure detector by detector")  # fmt: skip
            detector = camera.detector(raw.detector_id)
            measured = self._measured(raw, detector, known)
            if measured is not None:
                found.setdefault(raw.info.physical_filter, []).append((raw.info, *measured))
        lamps = [flats for one in found.values() if (flats := self._one_lamp(one)) is not None]
        ranges = [float(flats.seconds.max() / flats.seconds.min()) for flats in lamps]
        if detector is None or not lamps or max(ranges) < self.config.least_ratio:
            raise InputError("flats of one lamp and filter have no exposure times that differ enough for the shutter",
                             value=f"longest over shortest {max(ranges, default=1.0):.2g}",
                             remedy=f"take flats of times that differ by a factor of {self.config.least_ratio:g}"
                             )  # fmt: skip
        return lamps[int(np.argmax(ranges))], detector

    def _measured(self, raw: RawFrame, detector: Detector, known: Calibrations) -> tuple[Vector, Vector] | None:
        """Return the levels of cells and their errors; None for a flat that is too bright or too faint."""
        undone = Calibrations(bias=known.bias, crosstalk=known.crosstalk, linearizer=known.linearizer, ptc=known.ptc)
        readout = ReadoutTask(self.config.readout).run(raw.array, detector, calibrations=undone)
        pixels, limit = readout.pixels, min(amplifier.saturation for amplifier in detector.amplifiers)
        if known.dark is not None:
            pixels -= dark_adu(raw, detector, known, known.dark)
        full = saturated_pixels(raw, detector) | readout.beyond
        counts = float(np.median(detector.trim(raw.array)))
        level = float(np.nanmedian(pixels))
        if full.mean() > 0.5 or counts > self.config.maximum_fraction * limit or level < self.config.minimum_adu:
            return None
        pixels[full] = np.nan
        variance = np.empty_like(pixels)
        for amplifier, values in zip(detector.amplifiers, electronics_of(detector, known.ptc, raw.info), strict=True):
            where = amplifier.bbox.slices_in(detector.bbox)
            noise = np.float32((values.read_noise / values.gain) ** 2)
            variance[where] = np.maximum(pixels[where], 0.0) / np.float32(values.gain) + noise
        return _cells(pixels, variance, self.config.cell_size)

    def _one_lamp(self, flats: list[tuple[ObservationInfo, Vector, Vector]]) -> _Flats | None:
        """Return the most flats whose levels are in proportion to their times; None for fewer than three."""
        seconds = np.array([info.exposure_time_s for info, _, _ in flats])
        level = np.array([float(np.nanmean(cells)) for _, cells, _ in flats])
        reach = np.maximum(self.config.lamp_tolerance * seconds, self.config.largest_s)
        like = np.abs(level[None, :] / (level / seconds)[:, None] - seconds[None, :]) <= reach[None, :]
        span = [seconds[row].max() / seconds[row].min() for row in like]
        best = max(range(len(flats)), key=lambda k: (like[k].sum(), span[k], seconds[k]))
        chosen = [flats[k] for k in np.flatnonzero(like[best])]
        if len(chosen) < 3:
            return None
        cells, error = np.stack([one[1] for one in chosen]), np.stack([one[2] for one in chosen])
        names = tuple(info.file_name for info, _, _ in chosen)
        return _Flats(
            seconds[like[best]], level[like[best]], cells, error, names, chosen[0][0].physical_filter
        )  # fmt: skip

    def _check(self, pattern: Vector, error: Vector, chi2: float, mean: float) -> None:
        config, known = self.config, np.isfinite(pattern)
        if not known.any() or not chi2 <= config.largest_chi2:
            raise AlgorithmError("Flats do not follow the pattern of a shutter: the lamp moved or changed", chi2=chi2)
        size = _beyond_noise(pattern, error)
        power = float(np.mean((pattern[known] / error[known]) ** 2))
        seen = power > 1.0 + config.significance * np.sqrt(2.0 / known.sum()) and size > config.least_s
        if not seen and abs(mean) <= config.least_s:
            raise AlgorithmError("Flats show no pattern of a shutter", pattern_s=size, mean_s=mean,
                                 error_s=float(np.sqrt(np.mean(error[known] ** 2))))  # fmt: skip


def _cells(pixels: NDArray[np.float32], variance: NDArray[np.float32], size: int) -> tuple[Vector, Vector]:
    """Return means of cells without outliers, and their errors; NaN for cells with few pixels.

    The scatter within a cell is no error: it holds the response of its pixels, which is the same in all frames.
    """
    blocks, noise = (_blocks(plane, size) for plane in (pixels, variance))
    inside = np.asarray(_blocks(np.ones_like(pixels), size) == 1.0)
    known = np.asarray(np.isfinite(blocks) & inside)
    values = np.where(known, blocks, np.float32(np.nan))
    sample = values[..., :: max(1, size**2 // _SAMPLE)]
    some = np.asarray(np.isfinite(sample).any(axis=2))
    sample = np.where(some[..., None], sample, np.float32(0.0))
    middle = np.nanmedian(sample, axis=2, keepdims=True)
    spread = 1.4826 * np.nanmedian(np.abs(sample - middle), axis=2, keepdims=True)
    use: NDArray[np.bool_] = known & (np.abs(values - middle) <= _CLIP * np.maximum(spread, 0.5))
    count = use.sum(axis=2)
    good = count > _LEAST_PART * inside.sum(axis=2)
    many = np.maximum(count, 1)
    mean, square = (np.where(use, plane, 0.0).sum(axis=2, dtype=np.float64) / many for plane in (values, noise))
    return np.where(good, mean, np.nan), np.where(good, np.sqrt(square / many), np.nan)


def _blocks(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the pixels of cells, shape (cy, cx, size**2); 0 beyond the edges of the frame."""
    ny, nx = (-(-length // size) for length in plane.shape)
    whole = np.zeros((ny * size, nx * size), np.float32)
    whole[: plane.shape[0], : plane.shape[1]] = plane
    return whole.reshape(ny, size, nx, size).swapaxes(1, 2).reshape(ny, nx, -1)


def _mean_time(flats: _Flats) -> tuple[float, float]:
    """Return the mean time beyond the nominal one and its error, for a lamp that scatters by a part of its light."""
    weight = 1.0 / flats.level
    for _ in range(_PASSES):
        slope, zero = np.polyfit(flats.seconds, flats.level, 1, w=weight)
        weight = 1.0 / np.maximum(slope * flats.seconds + zero, 1e-3)  # the lamp's scatter goes with the light
    design = np.stack([flats.seconds, np.ones_like(flats.seconds)], axis=1) * weight[:, None]
    residual = flats.level * weight - design @ [slope, zero]
    scatter = float(residual @ residual) / max(flats.seconds.size - 2, 1)
    covariance = np.linalg.inv(design.T @ design) * scatter
    return float(zero / slope), float(np.sqrt(covariance[1, 1]) / slope)


def _pattern(flats: _Flats, mean: float) -> tuple[Vector, Vector, float]:
    """Return the pattern about the mean, its errors, and the median chi2 per degree of freedom of the cells.

    The lamp's level in each frame is that of the cells' mean; the patterns of all cells then add up to 0.
    """
    inverse = 1.0 / np.maximum(flats.seconds + mean, 0.1 * flats.seconds)
    known = np.isfinite(flats.cells).all(axis=0)
    level = flats.cells[:, known].mean(axis=1)[:, None, None]
    value, weight = flats.cells / level, (level / flats.error) ** 2
    total = weight.sum(axis=0)
    u = inverse[:, None, None]
    middle_u, middle = (weight * u).sum(axis=0) / total, (weight * value).sum(axis=0) / total
    spread: Vector = np.asarray((weight * (u - middle_u) ** 2).sum(axis=0))
    slope: Vector = (weight * (u - middle_u) * (value - middle)).sum(axis=0) / spread
    response = middle - slope * middle_u
    left = (weight * (value - response - slope * u) ** 2).sum(axis=0) / max(flats.seconds.size - 2, 1)
    return slope / response, 1.0 / (np.sqrt(spread) * response), float(np.median(left[known]))


def _beyond_noise(pattern: Vector, error: Vector) -> float:
    """Return the standard deviation of a pattern without that of its noise."""
    known = np.isfinite(pattern)
    return max(float(np.var(pattern[known]) - np.mean(error[known] ** 2)), 0.0) ** 0.5


def _interpolated(cells: Vector, shape: tuple[int, int], size: int) -> NDArray[np.float32]:
    """Return cells interpolated linearly between their middles, and on beyond the outer ones."""
    weights = []
    for length, count in zip(shape, cells.shape, strict=True):
        first = np.arange(count) * size
        middle = 0.5 * (first + np.minimum(first + size, length) - 1)  # the last cell may be smaller
        place = np.arange(length)
        weight = np.zeros((length, max(count, 2)))
        weight[:, 0] = 1.0
        if count > 1:
            lower = np.clip(np.searchsorted(middle, place) - 1, 0, count - 2)
            share = (place - middle[lower]) / (middle[lower + 1] - middle[lower])
            weight[:, 0] = 0.0
            weight[place, lower], weight[place, lower + 1] = 1.0 - share, share
        weights.append(weight[:, :count])
    return np.asarray(weights[0] @ cells @ weights[1].T, np.float32)
