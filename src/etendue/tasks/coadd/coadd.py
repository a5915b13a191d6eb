"""Assemble warped exposures into a coadd."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import maximum_filter

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box, Interval
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.coadd import median_of_good, reject_outliers, weighted_mean
from etendue.tasks.task import Task, TaskConfig

_BYTES_PER_PIXEL = 22  # image, variance, mask, bad, rejected and temporaries of one input pixel


class WarpHandle(Protocol):
    """A warp that is read when needed."""

    @property
    def data_id(self) -> Mapping[str, Any]:
        """Which warp this is."""

    def get(self, component: str | None = None, box: Box | None = None) -> Any:
        """Return the exposure, or the part of it inside ``box``."""


class AssembleCoaddConfig(TaskConfig):
    """Weights, rejection and memory."""

    bad_planes: tuple[str, ...] = ("NO_DATA", "EDGE", "SAT", "BAD", "CR", "INTRP", "STREAK", "VIGNETTED")
    """Mask planes whose pixels do not enter where another exposure is good."""

    missing_planes: tuple[str, ...] = ("NO_DATA", "EDGE")
    """Mask planes whose pixels never enter; those of the other bad planes do where nothing better exists."""

    threshold: float = Field(4.5, gt=0.0)
    """Deviation from the median that makes a pixel an outlier [sigma]."""

    grow_threshold: float = Field(2.0, gt=0.0)
    """Deviation that makes a neighbour of an outlier one too [sigma]."""

    grow_radius: int = Field(2, ge=0)
    """Reach of `grow_threshold` [px]."""

    signal_fraction: float = Field(0.3, ge=0.0)
    """Change of a pixel that seeing may cause, as a fraction of the brightest median pixel next to it."""

    min_epochs: int = Field(3, ge=3)
    """Good exposures a pixel needs before any of them is rejected."""

    memory_mb: float = Field(256.0, gt=0.0)
    """Memory for the stack [MB]; larger patches are combined in strips."""


@dataclass(frozen=True, slots=True)
class _Strip:
    """Combined rows; arrays of shape (ny, nx)."""

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]


class AssembleCoaddTask(Task[AssembleCoaddConfig]):
    """Weighted mean of warps, one weight per exposure, after rejection of outliers per pixel.

    Because weights do not vary inside an exposure the coadd has one PSF wherever the same exposures
    contribute; pixels where one is missing are INEXACT_PSF.
    """

    def run(self, *, warps: Sequence[WarpHandle], weights: Sequence[float] | None = None) -> Exposure:
        """Combine warps of one patch.

        Parameters
        ----------
        warps : sequence of handles
            On one pixel grid, read strip by strip with ``get(box=...)``.
        weights : sequence of float, optional
            Positive; inverse median variances by default.

        Returns
        -------
        Exposure
            NaN and NO_DATA where nothing contributes. ``inputs`` holds data ID and normalised weight of
            every warp; the noise autocorrelation is the weighted mean of theirs. ``metadata["calibration_noise"]`` is
            the noise that bias, dark and flat have left if the telescope did not move between the exposures, which
            share it: its rms at the sky, and its variance over that of the coadd's own noise.

        Raises
        ------
        InputError
            If grids, units or the number of weights differ.
        AlgorithmError
            If no warp holds a usable pixel.
        """
        overviews = [self._overview(warp) for warp in warps]
        usable = [k for k, (_, median) in enumerate(overviews) if np.isfinite(median)]
        if not usable:
            raise AlgorithmError("No warp has usable pixels", n=len(warps))
        handles = [warps[k] for k in usable]
        exposures = [overviews[k][0] for k in usable]
        medians = np.array([overviews[k][1] for k in usable])
        _require_same_grid(exposures)
        weight = self._weights(weights, medians, usable, len(warps))
        first = exposures[0]
        strips = [self._combine(handles, weight, box) for box in self._strips(first.bbox, len(handles))]
        mean_epoch_noise = _mean_noise([e.noise for e in exposures], weight**2 * medians)
        return Exposure(
            image=Image(np.concatenate([strip.image for strip in strips]), first.bbox),
            variance=Image(np.concatenate([strip.variance for strip in strips]), first.bbox),
            mask=Mask(np.concatenate([strip.mask for strip in strips]), first.bbox),
            wcs=first.wcs,
            noise=mean_epoch_noise,
            photo_calib=first.photo_calib,
            band=first.band,
            physical_filter=first.physical_filter,
            inputs=tuple(
                {**_plain(handle.data_id), "weight": float(w)} for handle, w in zip(handles, weight, strict=True)
            ),
            unit=first.unit,
            metadata={"calibration_noise": _common_noise(exposures, weight, medians)},
        )

    def _overview(self, handle: WarpHandle) -> tuple[Exposure, float]:
        """Return a pixel-free stand-in for a warp, and the median variance of its good pixels."""
        exposure = handle.get()
        good = ~exposure.mask.any_of(self.config.bad_planes) & np.isfinite(exposure.image.array)
        sample = exposure.variance.array[::4, ::4][good[::4, ::4]]
        shared = np.broadcast_to(np.float32(0.0), exposure.bbox.shape)
        blank = Image(shared, exposure.bbox)
        mask = Mask(np.broadcast_to(np.int32(0), exposure.bbox.shape), exposure.bbox)
        median = float(np.median(sample)) if sample.size else float("nan")
        return exposure.replace(image=blank, variance=blank, mask=mask), median

    def _weights(
        self, weights: Sequence[float] | None, medians: NDArray[np.float64], usable: list[int], n: int
    ) -> NDArray[np.float64]:
        if weights is None:
            chosen = 1.0 / medians
        elif len(weights) != n:
            raise InputError(f"{n} warps need as many weights", value=len(weights))
        else:
            chosen = np.asarray(weights, np.float64)[usable]
        if not np.all(chosen > 0.0):
            raise InputError("weights must be positive", value=float(chosen.min()))
        return np.asarray(chosen / chosen.sum())

    def _strips(self, bbox: Box, n: int) -> list[Box]:
        rows = max(16, int(self.config.memory_mb * 1e6 / (_BYTES_PER_PIXEL * n * max(1, bbox.x.size))))
        starts = range(bbox.y.start, bbox.y.stop, rows)
        return [Box(y=Interval(start, min(start + rows, bbox.y.stop)), x=bbox.x) for start in starts]

    def _combine(self, handles: Sequence[WarpHandle], weight: NDArray[np.float64], box: Box) -> _Strip:
        """Combine the rows of ``box``; rejection looks a few rows beyond."""
        config = self.config
        exposures = [handle.get(box=box) for handle in handles]
        stack = np.stack([e.image.array for e in exposures])
        variance = np.stack([e.variance.array for e in exposures])
        bits = np.stack([e.mask.array for e in exposures])
        planes = exposures[0].mask
        unseen = np.int32(planes.bits(config.missing_planes))
        missing = ((bits & unseen) != 0) | ~np.isfinite(stack) | ~np.isfinite(variance)
        bad = missing | ((bits & np.int32(planes.bits(config.bad_planes))) != 0)
        hopeless = bad.all(axis=0)
        bad[:, hopeless] = missing[:, hopeless]  # saturated cores: better an average than a hole
        rejected = self._reject(stack, variance, bad, hopeless)
        mean, mean_variance, count = weighted_mean(stack, variance, bad | rejected, weight)
        used = np.where(bad | rejected, np.int32(0), bits)
        mask = np.bitwise_or.reduce(used, axis=0)
        for name, where in (
            ("CLIPPED", rejected.any(axis=0)),
            ("INEXACT_PSF", (count < len(handles)) & (count > 0)),
            ("NO_DATA", count == 0),
        ):
            mask |= np.where(where, np.int32(planes.bits(name)), np.int32(0))
        return _Strip(mean, mean_variance, mask)

    def _reject(
        self,
        stack: NDArray[np.float32],
        variance: NDArray[np.float32],
        bad: NDArray[np.bool_],
        hopeless: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        config = self.config
        centre = median_of_good(stack, bad)
        signal = maximum_filter(np.nan_to_num(centre, nan=0.0), size=3)
        tolerance = np.float32(config.signal_fraction) * np.maximum(signal, np.float32(0.0))
        judged = bad | hopeless | ((~bad).sum(axis=0) < config.min_epochs)
        return reject_outliers(
            stack, variance, judged, centre, tolerance, config.threshold, config.grow_threshold, config.grow_radius
        )


def _require_same_grid(exposures: Sequence[Exposure]) -> None:
    first = exposures[0]
    for other in exposures[1:]:
        if other.bbox != first.bbox:
            raise InputError(f"warps cover {first.bbox.to_list()} and {other.bbox.to_list()}")
        if other.unit != first.unit:
            raise InputError(f"warps are in {first.unit!r} and {other.unit!r}", remedy="calibrate them first")


def _mean_noise(noises: Sequence[NoiseAutocorrelation | None], weight: NDArray[np.float64]) -> NoiseAutocorrelation:
    """Average autocorrelations; exposures without one count as white."""
    kernels = [np.ones((1, 1)) if noise is None else noise.kernel for noise in noises]
    size = max(kernel.shape[0] for kernel in kernels)
    padded = [np.pad(kernel, (size - kernel.shape[0]) // 2) for kernel in kernels]
    mean = np.average(padded, axis=0, weights=weight)
    mean[size // 2, size // 2] = 1.0
    return NoiseAutocorrelation(mean)


def _common_noise(
    exposures: Sequence[Exposure], weight: NDArray[np.float64], medians: NDArray[np.float64]
) -> dict[str, float]:
    """Return rms and relative variance of noise that all exposures share: its amplitudes add up, its variances do not.

    Exposures that do not tell theirs count as without.
    """
    fractions = [exposure.metadata.get("calibration_noise", {}).get("fraction", 0.0) for exposure in exposures]
    sky = float(weight @ np.sqrt(medians * np.nan_to_num(fractions)))
    return {"sky": sky, "fraction": sky**2 / float(weight**2 @ medians)}


def _plain(data_id: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data ID of plain Python values."""
    return {str(key): value.item() if isinstance(value, np.generic) else value for key, value in data_id.items()}
