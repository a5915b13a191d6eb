"""What a pair of equal flats says about each amplifier: levels, variance, covariances."""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.errors import InputError
from etendue.kernels.covariance import cell_moments, lagged_products, moments_within, truncated_variance
from etendue.kernels.isr import grow_mask
from etendue.tasks.calib.smooth_ratio import smooth_ratio
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
Plane = NDArray[np.float32]
_PASSES = 5
_ODD_SIGNAL = 8.0  # robust sigmas of a cell


@dataclass(frozen=True, slots=True, eq=False)
class FlatPair:
    """Two flats of one light and exposure time; two biases are a pair without light.

    Parameters
    ----------
    first, second : ndarray, float32, shape of the detector's ``bbox``
        Trimmed pixels above overscan and bias [ADU]; NaN where a pixel must not be used.
    seconds : tuple of float
        Exposure times [s].
    photodiode : tuple of float
        What a photodiode collected during each, in any unit; NaN without.
    name : str
        For messages.
    """

    first: Plane
    second: Plane
    seconds: tuple[float, float]
    photodiode: tuple[float, float] = (nan, nan)
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class PairStatistics:
    """Statistics of one pair, by amplifier.

    Parameters
    ----------
    seconds, photodiode : tuple of float
        Of the pair.
    level : ndarray, float64, shape (n, 2)
        Mean of either flat [ADU].
    signal : ndarray, float64, shape (n,)
        Level to which the covariances belong [ADU].
    covariance : ndarray, float64, shape (n, lag + 1, lag + 1)
        Covariance of two pixels of one flat, ``[rows apart, columns apart]`` [ADU**2]; the first is the variance.
    pairs : ndarray, float64, shape (n, lag + 1, lag + 1)
        Pairs of pixels in each.
    cell_count, cell_signal, cell_variance : ndarray, float64, shape (n, cells)
        Pixels, mean [ADU] and variance [ADU**2] in cells.
    name : str
        Of the pair.
    """

    seconds: tuple[float, float]
    photodiode: tuple[float, float]
    level: Vector
    signal: Vector
    covariance: Vector
    pairs: Vector
    cell_count: Vector
    cell_signal: Vector
    cell_variance: Vector
    name: str = ""


class MeasurePairConfig(TaskConfig):
    """Configuration of `MeasurePairTask`."""

    lag: int = Field(8, ge=1, le=32)
    """Largest offset of the covariances along each axis [px]."""

    clip: float = Field(5.0, gt=2.0)
    """Clipping radius of the difference; what clipping takes from normal noise is given back [sigma]."""

    grow: int = Field(2, ge=0)
    """Pixels around a clipped one that are left out: cosmic rays have faint rims [px]."""

    margin: int = Field(8, ge=0)
    """Pixels at an amplifier's edges that are left out [px]."""

    cell_size: int = Field(64, ge=8)
    """Side of the cells in which odd pixels and the turn-off are looked for [px]."""

    gradient: bool = False
    """Whether the ratio of the two flats may be a quadratic surface (twilight) instead of a number (dome)."""


class MeasurePairTask(Task[MeasurePairConfig]):
    """Levels and covariances from the sum and the difference of two flats.

    The difference is ``first - r * second``, ``r`` the ratio of their means, so it holds noise only. Pixels far from
    their surroundings (hot, dead, stars) and, with their neighbours, outliers of the difference are left out.
    """

    def run(self, pair: FlatPair, detector: Detector) -> PairStatistics:
        """Measure all amplifiers.

        Parameters
        ----------
        pair : FlatPair
            Trimmed pixels.
        detector : Detector
            Their detector.

        Returns
        -------
        PairStatistics
            In the order of ``detector.amplifiers``; NaN for an amplifier without usable pixels.

        Raises
        ------
        InputError
            If the flats are not of the detector's shape.
        """
        for pixels in (pair.first, pair.second):
            if pixels.shape != detector.bbox.shape:
                raise InputError("flat is not of this detector", source=pair.name, value=pixels.shape,
                                 remedy=f"give trimmed frames of {detector.bbox.shape} (ny, nx)")  # fmt: skip
        measured = [
            self._amplifier(*(self._inner(pixels[where]) for pixels in (pair.first, pair.second)))
            for where in (amplifier.bbox.slices_in(detector.bbox) for amplifier in detector.amplifiers)
        ]
        cells = max(entry[4].shape[1] for entry in measured)
        padded = [np.pad(e[4], ((0, 0), (0, cells - e[4].shape[1])), constant_values=np.nan) for e in measured]
        level, signal, covariance, pairs = (np.array([entry[k] for entry in measured]) for k in range(4))
        count, means, variances = np.array(padded).swapaxes(0, 1)
        return PairStatistics(
            pair.seconds, pair.photodiode, level, signal, covariance, pairs, count, means, variances, pair.name
        )

    def _inner(self, pixels: Plane) -> Plane:
        margin = min(self.config.margin, min(pixels.shape) // 4)
        return np.ascontiguousarray(pixels[margin : pixels.shape[0] - margin, margin : pixels.shape[1] - margin])

    def _amplifier(self, first: Plane, second: Plane) -> tuple[Vector, float, Vector, Vector, Vector]:
        """Return levels, signal, covariances, numbers of pairs and moments of cells."""
        config = self.config
        size = min(config.cell_size, *first.shape)
        usable = np.isfinite(first) & np.isfinite(second)
        usable &= ~odd_pixels(np.where(usable, first + second, np.float32(np.nan)), size)
        lags = (config.lag + 1, config.lag + 1)
        if usable.sum() < 100:
            nothing = np.full((3, (first.shape[0] // size) * (first.shape[1] // size)), np.nan)
            return np.full(2, nan), nan, np.full(lags, nan), np.zeros(lags), nothing
        ratio = self._ratio(first, second, usable)
        residual = np.where(usable, first - ratio * second, np.float32(np.nan)).astype(np.float32)
        center, deviation = clipped_center(residual, config.clip)
        residual -= np.float32(center)
        outlier = usable & (np.abs(residual) > config.clip * deviation)
        usable &= ~grow_mask(outlier, config.grow, config.grow)
        residual[~usable] = 0.0
        products, pairs = lagged_products(residual, usable.astype(np.float32), config.lag)
        kept = truncated_variance(config.clip)
        shrink = np.full(lags, kept * kept)
        shrink[0, 0] = kept
        norm = 1.0 + float(np.mean(ratio * ratio))
        level = np.array([np.mean(pixels, where=usable, dtype=np.float64) for pixels in (first, second)])
        signals = np.where(usable, (first + ratio * ratio * second) / norm, np.nan).astype(np.float32)
        cells = cell_moments(signals, residual, config.clip * deviation, size).reshape(3, -1)
        cells[2] /= norm * kept
        signal = (level[0] + (norm - 1.0) * level[1]) / norm
        with np.errstate(divide="ignore", invalid="ignore"):
            return level, float(signal), products / pairs / (norm * shrink), pairs, cells

    def _ratio(self, first: Plane, second: Plane, usable: NDArray[np.bool_]) -> Vector | float:
        """Return the ratio of two flats; 1 without light."""
        means = [float(np.mean(pixels, where=usable, dtype=np.float64)) for pixels in (first, second)]
        if min(means) < 10.0:
            return 1.0
        if not self.config.gradient:
            return means[0] / means[1]
        nothing = np.float32(np.nan)
        return smooth_ratio(np.where(usable, first, nothing), np.where(usable, second, nothing), self.config.cell_size)


def odd_pixels(signal: Plane, size: int) -> NDArray[np.bool_]:
    """Find pixels far from the others of their cell: hot, dead, stars.

    Parameters
    ----------
    signal : ndarray, float32, shape (ny, nx)
        Signal; NaN is not odd.
    size : int
        Side of the cells, at most that of the image [px].

    Returns
    -------
    ndarray, bool, shape (ny, nx)
    """
    ny, nx = signal.shape
    my, mx = ny // size, nx // size
    cells = signal[: my * size, : mx * size].reshape(my, size, mx, size).swapaxes(1, 2).reshape(my, mx, -1)
    sample = cells[..., ::3]
    quartiles = np.percentile if np.isfinite(sample).all() else _percentile_of_known
    low, middle, high = quartiles(sample, [25.0, 50.0, 75.0], axis=2)
    radius = _ODD_SIGNAL * np.maximum(0.7413 * (high - low), 1e-3)
    rows, columns = np.minimum(np.arange(ny) // size, my - 1), np.minimum(np.arange(nx) // size, mx - 1)
    where = np.ix_(rows, columns)
    return np.abs(signal - middle[where].astype(np.float32)) > radius[where].astype(np.float32)


def _percentile_of_known(values: Plane, percent: list[float], axis: int) -> Vector:
    """Return percentiles without NaN; NaN where nothing is known."""
    known: NDArray[np.bool_] = np.asarray(np.isfinite(values).any(axis=axis, keepdims=True))
    found = np.nanpercentile(np.where(known, values, 0.0), percent, axis=axis)
    return np.where(known[..., 0], found, np.nan)


def clipped_center(residual: Plane, clip: float) -> tuple[float, float]:
    """Return mean and standard deviation within a radius, clipped until they settle.

    Parameters
    ----------
    residual : ndarray, float32, shape (ny, nx)
        Values; NaN is left out, at least some are finite.
    clip : float
        Radius [sigma].

    Returns
    -------
    mean, deviation : float
        The deviation is made up for what clipping takes from normal noise.
    """
    sample = residual[::3, ::3]
    low, center, high = (float(v) for v in np.nanpercentile(sample, [16.0, 50.0, 84.0]))
    deviation = max(0.5 * (high - low), 1e-12)
    for _ in range(_PASSES):
        _, center, variance = moments_within(residual, center, clip * deviation)
        deviation = max((variance / truncated_variance(clip)) ** 0.5, 1e-12)
    return center, deviation
