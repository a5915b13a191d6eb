"""Detect sources with a filter matched to the PSF and to the noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.footprint import FootprintSet, Peaks, SpanSet
from etendue.image.psf import GaussianMixturePsf, Psf
from etendue.kernels.convolve import correlate
from etendue.kernels.detect import connected_spans, find_peaks, matched_filter, owner_at, stands_out
from etendue.kernels.local_background import cell_medians, subtract_cells
from etendue.kernels.point_sources import model_variance, pixel_noise
from etendue.tasks.task import Task, TaskConfig


class DetectConfig(TaskConfig):
    """Choices of the detection."""

    threshold_snr: float = Field(5.0, gt=0.0)
    """Matched-filter signal-to-noise ratio of the faintest peak."""

    polarity: str = Field("positive", pattern="^(positive|both)$")
    """"positive" for sources, "both" for difference images."""

    bad_planes: tuple[str, ...] = ("BAD", "NO_DATA", "VIGNETTED")
    """Mask planes whose pixels carry no weight."""

    merge_planes: tuple[str, ...] = ("SAT",)
    """Planes whose connected regions keep only their highest peak: a star and its bleed trail are one source."""

    merge_margin: int = Field(3, ge=0)
    """Pixels around such a region that belong to it."""

    guess_fwhm: float = Field(2.5, gt=0.5)
    """Full width at half maximum [px] of the filter when the exposure has no PSF yet."""

    filter_radius: float = Field(3.0, gt=0.0)
    """Half side of the filter in units of the PSF's FWHM."""

    wing_tolerance: float = Field(0.3, ge=0.0)
    """Fraction by which the wings of brighter sources may exceed the PSF's; a peak must stand out from that."""

    wing_radius: int = Field(15, ge=2)
    """Distance [px] out to which wings of brighter sources are accounted for."""

    sky_cell: int = Field(24, ge=0)
    """Cell side [px] of the local background subtracted for detection only (ghosts, haloes); 0 for none."""

    rescale_variance: bool = False
    """Divide significances by their robust scatter over the image (the factor is in the result either way)."""


@dataclass(frozen=True, slots=True)
class DetectResult:
    """What was detected, in parent pixels; columns of one length, ordered by row."""

    x: NDArray[np.float64]  # (n,) [px]
    y: NDArray[np.float64]  # (n,) [px]
    peak_snr: NDArray[np.float64]  # (n,) positive, also for negative sources
    is_negative: NDArray[np.bool_]  # (n,)
    footprints: FootprintSet
    exposure: Exposure  # with DETECTED (and DETECTED_NEGATIVE) set
    noise_scale: float  # robust scatter of the significance map: 1 when the variance plane is right


class DetectTask(Task[DetectConfig]):
    """Matched-filter detection; the filter is the PSF at the image centre."""

    def run(self, *, exposure: Exposure, threshold_snr: float | None = None) -> DetectResult:
        """Detect sources.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted; its PSF may be missing (then a Gaussian of ``guess_fwhm`` is the filter).
        threshold_snr : float, optional
            Instead of the configured one.

        Returns
        -------
        DetectResult
            Peaks, footprints and the exposure with its detection planes set.

        Raises
        ------
        AlgorithmError
            If no pixel is usable.
        """
        threshold = self.config.threshold_snr if threshold_snr is None else threshold_snr
        kernel = self._filter(exposure)
        significance, scale = self._significance(exposure, kernel)
        signs = (1, -1) if self.config.polarity == "both" else (1,)
        regions = [self._regions(sign * significance, threshold, kernel, exposure) for sign in signs]
        return _collect(exposure, regions, scale)

    def _filter(self, exposure: Exposure) -> NDArray[np.float32]:
        x, y = exposure.bbox.x.center, exposure.bbox.y.center
        psf: Psf = exposure.psf or GaussianMixturePsf.circular(self.config.guess_fwhm / 2.3548, 41)
        half = min(int(np.ceil(self.config.filter_radius * psf.fwhm(x=x, y=y)[0])), psf.size // 2)
        middle = psf.size // 2
        core = psf.stamp(x=x, y=y)[middle - half : middle + half + 1, middle - half : middle + half + 1]
        return np.ascontiguousarray(core, np.float32)

    def _significance(self, exposure: Exposure, kernel: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        bad = exposure.mask.any_of(self.config.bad_planes)
        image, variance = exposure.image.array.astype(np.float64), exposure.variance.array.astype(np.float64)
        unusable = bad | exposure.mask.any_of(self.config.merge_planes) | ~np.isfinite(image)
        if self.config.sky_cell:
            subtract_cells(image, cell_medians(image, unusable, self.config.sky_cell), self.config.sky_cell)
        # The photon noise of a source must not weight down its own core: that would flatten and shift bright peaks.
        model_variance(variance, image, pixel_noise(image, variance, unusable).slope, bad, variance)
        significance = matched_filter(image.astype(np.float32), variance.astype(np.float32), bad, kernel)
        return self._rescaled(significance, significance != 0.0)

    def _rescaled(
        self, significance: NDArray[np.float32], usable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], float]:
        """Divide by the width of the noise, from every third pixel that is usable; return that width too."""
        sample = significance[::3, ::3][usable[::3, ::3]]
        if not sample.size:
            raise AlgorithmError("No usable pixel to detect sources on", bad_fraction=float(1.0 - usable.mean()))
        low, high = np.percentile(sample, [25.0, 75.0])
        scale = float(high - low) / 1.349
        return (significance / np.float32(scale) if self.config.rescale_variance else significance), scale

    def _regions(
        self, significance: NDArray[np.float32], threshold: float, kernel: NDArray[np.float32], exposure: Exposure
    ) -> "_Regions":
        significance = np.ascontiguousarray(significance)
        x, y, value = find_peaks(significance, threshold)
        keep = stands_out(
            x, y, value, self._wing_profile(exposure, kernel), threshold, self.config.wing_tolerance
        ) & self._is_highest_in_merged_region(exposure, x, y, value)
        x, y, value = x[keep], y[keep], value[keep]
        spans = connected_spans(significance >= threshold)
        owner = owner_at(*spans, np.rint(x).astype(np.int64), np.rint(y).astype(np.int64))
        return _Regions(x, y, value, owner, spans)

    def _wing_profile(self, exposure: Exposure, kernel: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the response of the filter to a point source, azimuthal mean at integer distances, peak 1."""
        size = 2 * self.config.wing_radius + kernel.shape[0]
        middle = size // 2
        stamp = np.zeros((size, size), np.float32)
        source = (
            np.asarray(exposure.psf.stamp(x=exposure.bbox.x.center, y=exposure.bbox.y.center), np.float32)
            if (exposure.psf)
            else kernel
        )
        half = min(source.shape[0] // 2, middle)
        centre = source.shape[0] // 2
        inner = slice(centre - half, centre + half + 1)
        stamp[middle - half : middle + half + 1, middle - half : middle + half + 1] = source[inner, inner]
        response = correlate(stamp, kernel)
        rows, cols = np.indices(response.shape) - middle
        radius = np.rint(np.hypot(rows, cols)).astype(np.int64)
        total = np.bincount(radius.ravel(), response.ravel())[: self.config.wing_radius + 2]
        profile = total / np.bincount(radius.ravel())[: self.config.wing_radius + 2]
        return np.ascontiguousarray(np.maximum(profile / profile[0], 0.0))

    def _is_highest_in_merged_region(
        self, exposure: Exposure, x: NDArray[np.float64], y: NDArray[np.float64], value: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell which peaks are the highest, or the only one, of their saturated region."""
        merged = np.ascontiguousarray(exposure.mask.any_of(self.config.merge_planes))
        if not merged.any() or not x.size:
            return np.ones(x.size, np.bool_)
        margin = self.config.merge_margin
        grown = _dilated(merged, margin)
        region = owner_at(*connected_spans(grown), np.rint(x).astype(np.int64), np.rint(y).astype(np.int64))
        order = np.lexsort((-value, region))
        first = np.ones(x.size, np.bool_)
        first[1:] = np.diff(region[order]) != 0
        keep = region < 0
        keep[order[first]] = True
        return keep


@dataclass(frozen=True, slots=True)
class _Regions:
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    value: NDArray[np.float64]
    owner: NDArray[np.int64]
    spans: tuple[NDArray[np.int64], ...]


def _dilated(where: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Grow a region by a square of half side ``margin``."""
    grown = where.copy()
    for shift in range(1, margin + 1):
        grown[shift:] |= where[:-shift]
        grown[:-shift] |= where[shift:]
    rows = grown.copy()
    for shift in range(1, margin + 1):
        grown[:, shift:] |= rows[:, :-shift]
        grown[:, :-shift] |= rows[:, shift:]
    return grown


def _collect(exposure: Exposure, regions: list[_Regions], scale: float) -> DetectResult:
    """Join the polarities into columns in parent pixels, and set the mask planes."""
    mask, y0, x0 = exposure.mask, exposure.bbox.y.start, exposure.bbox.x.start
    parts, n_footprints = [], 0
    for plane, region in zip(("DETECTED", "DETECTED_NEGATIVE"), regions, strict=False):
        used, owner = np.unique(region.spans[3], return_inverse=True)
        parts.append((region.spans, owner + n_footprints, region.owner + n_footprints))
        n_footprints += used.size
        mask = mask.with_plane(plane, _painted(region.spans, exposure.bbox.shape))
    span_y, span_x0, span_x1 = (np.concatenate([spans[k] for spans, _, _ in parts]) for k in range(3))
    span_owner = np.concatenate([owner for _, owner, _ in parts])
    peak_owner = np.concatenate([owner for _, _, owner in parts])
    x = np.concatenate([region.x for region in regions]) + x0
    y = np.concatenate([region.y for region in regions]) + y0
    value = np.concatenate([region.value for region in regions])
    negative = np.concatenate([np.full(region.x.size, k == 1) for k, region in enumerate(regions)])
    spans_order, peaks_order = np.argsort(span_owner, kind="stable"), np.lexsort((-value, peak_owner))
    footprints = FootprintSet(
        SpanSet((span_y + y0)[spans_order], (span_x0 + x0)[spans_order], (span_x1 + x0)[spans_order]),
        span_owner[spans_order],
        Peaks(np.rint(x)[peaks_order], np.rint(y)[peaks_order], np.where(negative, -value, value)[peaks_order]),
        peak_owner[peaks_order],
        n_footprints,
    )
    return DetectResult(x, y, value, negative, footprints, exposure.replace(mask=mask), scale)


def _painted(spans: tuple[NDArray[np.int64], ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the spans as a boolean image."""
    edges = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(edges, (spans[0], spans[1]), 1)
    np.add.at(edges, (spans[0], spans[2]), -1)
    return np.cumsum(edges[:, :-1], axis=1) > 0
