"""Detect sources with filters matched to the PSF and to the noise."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.footprint import FootprintSet, Peaks, SpanSet
from etendue.image.mask import Mask
from etendue.kernels.detect import (
    connected_spans,
    grown_spans,
    masked_spans,
    owner_at,
    paint_spans,
    peaks_in_spans,
    span_owners,
    spans_above,
    stands_out,
)
from etendue.kernels.local_background import significant_sky
from etendue.kernels.matched_filter import TILE, significance_map
from etendue.kernels.point_sources import pixel_noise
from etendue.tasks.detect.point_filters import PointFilters
from etendue.tasks.detect.sky_sources import SkySourcesConfig, SkySourcesTask
from etendue.tasks.task import Task, TaskConfig

_SAMPLE = 100_000  # significances from which their width is taken
_NOISE_SAMPLE = 500_000  # pixels from which gain and sky noise are taken
_Columns = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
_Spans = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class DetectConfig(TaskConfig):
    """Choices of the detection."""

    threshold_snr: float = Field(5.0, gt=0.0)
    """Matched-filter signal-to-noise ratio of the faintest peak."""

    false_per_megapixel: float | None = Field(None, gt=0.0)
    """Instead of ``threshold_snr``: how many peaks of one sign noise may have in a million pixels. The threshold
    follows from the PSF and the correlation of the noise."""

    dynamic_threshold: bool = False
    """Multiply the threshold by the scatter of the significance at empty places, which is 1 where the variance plane is
    right (LSST's dynamic detection)."""

    sky_sources: SkySourcesConfig = SkySourcesConfig(count=1000, margin=4)
    """The empty places for that."""

    polarity: str = Field("positive", pattern="^(positive|both)$")
    """"positive" for sources, "both" for difference images."""

    bad_planes: tuple[str, ...] = ("BAD", "NO_DATA", "VIGNETTED")
    """Mask planes whose pixels carry no weight."""

    merge_planes: tuple[str, ...] = ("SAT",)
    """Planes whose connected regions keep only their highest peak: a star and its bleed trail are one source."""

    merge_margin: int = Field(3, ge=0)
    """Pixels around such a region that belong to it."""

    merge_growth: float = Field(0.0, ge=0.0)
    """And as many times its radius (that of a disc of its area): on the halo of a star that saturates far out, noise
    makes peaks that look like stars where no PSF is known yet."""

    grow: int = Field(0, ge=0)
    """Pixels by which footprints grow; those that touch become one."""

    guess_fwhm: float = Field(2.5, gt=0.5)
    """Full width at half maximum [px] of the filter when the exposure has no PSF yet."""

    filter_radius: float = Field(3.0, gt=0.0)
    """Largest half side of the filter in units of the PSF's FWHM."""

    filter_loss: float = Field(2e-3, gt=0.0, lt=0.1)
    """Share of the S/N that may be lost by making the filter smaller, and by writing it as few products."""

    filter_patch: int = Field(512, ge=TILE, multiple_of=TILE)
    """Side of the patches that have a filter each, where the PSF varies [px]."""

    wing_tolerance: float = Field(0.3, ge=0.0)
    """Fraction by which the wings of brighter sources may exceed the PSF's; a peak must stand out from that."""

    wing_radius: int = Field(15, ge=2)
    """Distance [px] out to which wings of brighter sources are accounted for."""

    artefact_planes: tuple[str, ...] = ()
    """Planes of what bright stars make (SPIKE, HALO, GHOST), in which peaks must be clearer."""

    artefact_factor: float = Field(2.0, ge=1.0)
    """There the threshold is this many times higher."""

    sky_cell: int = Field(24, ge=0)
    """Cell side [px] of the local background subtracted for detection only (ghosts, haloes); 0 for none."""

    sky_significance: float = Field(3.0, ge=0.0)
    """Errors by which a cell's median must depart from zero to count."""

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
    threshold: float = float("nan")  # significance of the faintest peak looked for
    sky_scatter: float = float("nan")  # of the significance at empty places; NaN unless the threshold is dynamic


class NoiseModel(NamedTuple):
    """What is taken off the image and its variance before the filter."""

    cells: NDArray[np.float64]  # local sky at the centres of cells
    cell: int  # their side [px], or 0
    slope: float  # rise of the variance with the pixel value: the photon noise of sources


class _Scan(NamedTuple):
    """One pass over an image: per sign its peaks and spans; a sample of significances, and those at some pixels."""

    peaks: list[_Columns]
    spans: list[_Spans]
    sample: NDArray[np.float32]
    values: NDArray[np.float32]


class DetectTask(Task[DetectConfig]):
    """Matched-filter detection; the filter follows the PSF from patch to patch."""

    def run(self, *, exposure: Exposure, threshold_snr: float | None = None) -> DetectResult:
        """Detect sources.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted; its PSF may be missing (then a Gaussian of ``guess_fwhm`` is the filter).
        threshold_snr : float, optional
            Instead of the configured threshold.

        Returns
        -------
        DetectResult
            Peaks, footprints and the exposure with its detection planes set.

        Raises
        ------
        AlgorithmError
            If no pixel is usable, or too few places are empty for a dynamic threshold.
        """
        config = self.config
        filters = PointFilters.of(
            exposure,
            guess_fwhm=config.guess_fwhm,
            filter_radius=config.filter_radius,
            patch=config.filter_patch,
            loss=config.filter_loss,
        )
        scanner = _Scanner(exposure, filters, self._noise_model(exposure), config)
        threshold, unit, scatter = self._threshold(filters, threshold_snr), 1.0, float("nan")
        if config.rescale_variance:
            unit = _width(scanner.scan(np.inf).sample)
        if config.dynamic_threshold:
            scatter = self._sky_scatter(exposure, scanner, threshold * unit) / unit
            threshold *= scatter
        scan = scanner.scan(threshold * unit)
        profile = filters.wing_profile(config.wing_radius)
        regions = [
            self._regions(peaks, spans, unit, threshold, profile, exposure)
            for peaks, spans in zip(scan.peaks, scan.spans, strict=True)
        ]
        return _collect(exposure, regions, _width(scan.sample), threshold, scatter)

    def _threshold(self, filters: PointFilters, threshold_snr: float | None) -> float:
        """Return the threshold asked for, as a significance."""
        if threshold_snr is not None:
            return threshold_snr
        if self.config.false_per_megapixel is not None:
            return filters.noise_peaks().level(1e-6 * self.config.false_per_megapixel)
        return self.config.threshold_snr

    def _noise_model(self, exposure: Exposure) -> NoiseModel:
        """Return local sky and gain; the photon noise of a source must not weigh down its own core."""
        config, mask = self.config, exposure.mask
        bits = np.int32(mask.bits((*config.bad_planes, *config.merge_planes)))
        planes = exposure.image.array, exposure.variance.array, mask.array
        step = max(1, int(np.sqrt(planes[0].size / _NOISE_SAMPLE)))
        values, noise = (np.ascontiguousarray(plane[::step, ::step], np.float64) for plane in planes[:2])
        slope = pixel_noise(values, noise, (planes[2][::step, ::step] & bits) != 0).slope
        if not config.sky_cell:
            return NoiseModel(np.zeros((1, 1)), 0, slope)
        image, variance, flags = (np.ascontiguousarray(plane) for plane in planes)
        step = 1 if config.sky_cell < 16 else 2
        cells = significant_sky(image, variance, flags, bits, config.sky_cell, step, config.sky_significance)
        return NoiseModel(cells, config.sky_cell, slope)

    def _sky_scatter(self, exposure: Exposure, scanner: "_Scanner", threshold: float) -> float:
        """Return the scatter of the significance at places where nothing is above a threshold."""
        flags = np.array(exposure.mask.array, order="C")
        for spans in scanner.scan(threshold).spans:
            paint_spans(flags, *spans, np.int32(exposure.mask.bits("DETECTED")))
        masked = exposure.replace(mask=Mask(flags, exposure.bbox, exposure.mask.planes))
        places = SkySourcesTask(self.config.sky_sources).run(exposure=masked)
        box = exposure.bbox
        at = (places.x - box.x.start).astype(np.int64), (places.y - box.y.start).astype(np.int64)
        return _width(scanner.scan(np.inf, at=at).values)

    def _regions(
        self,
        peaks: _Columns,
        spans: _Spans,
        unit: float,
        threshold: float,
        profile: NDArray[np.float64],
        exposure: Exposure,
    ) -> "_Regions":
        """Keep the peaks that stand out, and join spans to footprints."""
        x, y, value = peaks[0], peaks[1], peaks[2] / unit
        keep = stands_out(
            x, y, value, profile, threshold, self.config.wing_tolerance
        ) & self._is_highest_in_merged_region(exposure, x, y, value)
        if self.config.artefact_planes:
            flags = exposure.mask.array[np.rint(y).astype(np.int64), np.rint(x).astype(np.int64)]
            artefact = (flags & exposure.mask.bits(self.config.artefact_planes)) != 0
            keep &= ~artefact | (value >= self.config.artefact_factor * threshold)
        x, y, value = x[keep], y[keep], value[keep]
        if self.config.grow:
            labelled = connected_spans(grown_spans(*spans, self.config.grow, *exposure.bbox.shape))
        else:
            labelled = (*spans, span_owners(*spans))
        owner = owner_at(*labelled, np.rint(x).astype(np.int64), np.rint(y).astype(np.int64))
        return _Regions(x, y, value, owner, labelled)

    def _is_highest_in_merged_region(
        self, exposure: Exposure, x: NDArray[np.float64], y: NDArray[np.float64], value: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell which peaks are the highest, or the only one, of their saturated region."""
        merged = masked_spans(
            np.ascontiguousarray(exposure.mask.array), np.int32(exposure.mask.bits(self.config.merge_planes))
        )
        if not merged[0].size or not x.size:
            return np.ones(x.size, np.bool_)
        at = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        region = np.full(x.size, -1)
        for spans, margin in self._merged(merged):
            grown = connected_spans(grown_spans(*spans, margin, *exposure.bbox.shape))
            here = owner_at(*grown, *at)
            region = np.where(here >= 0, here + region.max(initial=0) + 1, region)
        order = np.lexsort((-value, region))
        first = np.ones(x.size, np.bool_)
        first[1:] = np.diff(region[order]) != 0
        keep = region < 0
        keep[order[first]] = True
        return keep

    def _merged(self, spans: _Spans) -> list[tuple[_Spans, int]]:
        """Return the spans of regions with the margins that belong to them, in powers of two of the least."""
        config = self.config
        if not config.merge_growth:
            return [(spans, config.merge_margin)]
        row, x0, x1 = spans
        owner = span_owners(*spans)
        least = max(config.merge_margin, 1)
        radius = config.merge_growth * np.sqrt(np.bincount(owner, x1 - x0) / np.pi)
        margin = least * 2 ** np.ceil(np.log2(np.maximum(radius / least, 1.0))).astype(np.int64)[owner]
        return [((row[one], x0[one], x1[one]), int(k)) for k in np.unique(margin) for one in [margin == k]]


class _Scanner:
    """Passes over an exposure strip by strip, so that no map of its size is ever held."""

    def __init__(self, exposure: Exposure, filters: PointFilters, noise: NoiseModel, config: DetectConfig):
        self.planes = tuple(
            np.ascontiguousarray(plane, kind)
            for plane, kind in (
                (exposure.image.array, np.float32),
                (exposure.variance.array, np.float32),
                (exposure.mask.array, np.int32),
            )
        )
        self.bits = np.int32(exposure.mask.bits(config.bad_planes))
        self.filters, self.noise = filters, noise
        self.signs = (1, -1) if config.polarity == "both" else (1,)

    def scan(self, threshold: float, at: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None) -> _Scan:
        """Find peaks and spans from a threshold on, and read the significance at array pixels ``at`` (x, y).

        Raises
        ------
        AlgorithmError
            If no pixel is usable.
        """
        ny, nx = self.planes[0].shape
        work = np.empty((min(TILE, ny), nx), np.float32)
        found: list[list[tuple[_Columns, _Spans]]] = [[] for _ in self.signs]
        step = max(1, int(np.sqrt(ny * nx / _SAMPLE)))
        sample, values = [], np.zeros(0 if at is None else at[0].size, np.float32)
        height = TILE - 2  # with the rows before and after, which tell whether a pixel is a peak: one tile
        for top in range(0, ny, height):
            first, stop = max(top - 1, 0), min(top + height, ny)
            strip = work[: min(stop + 1, ny) - first]
            self._fill(strip, first)
            inner = strip[top - first : stop - first]
            sample.append(inner[::step, ::step].ravel())
            if at is not None:
                here = (at[1] >= top) & (at[1] < stop)
                values[here] = inner[at[1][here] - top, at[0][here]]
            for sign, parts in zip(self.signs, found, strict=True):
                if sign < 0:
                    np.negative(strip, out=strip)
                parts.append(_peaks_and_spans(strip, top - first, stop - first, threshold, first))
        kept = np.concatenate(sample) if sample else np.zeros(0, np.float32)
        kept = kept[kept != 0.0]
        if not kept.size:
            raise AlgorithmError("No usable pixel to detect sources on: check mask and variance", pixels=ny * nx)
        peaks = [_joined([part[0] for part in parts]) for parts in found]
        spans = [_joined([part[1] for part in parts]) for parts in found]
        return _Scan(peaks, spans, kept, values)

    def _fill(self, strip: NDArray[np.float32], first: int) -> None:
        """Compute the significances of the rows from ``first`` on."""
        bank, noise = self.filters.bank, self.noise
        significance_map(
            *self.planes, self.bits, noise.cells, noise.cell, np.float32(noise.slope), bank.columns, bank.rows,
            self.filters.scatter, bank.patch, bank.across, first, strip,
        )  # fmt: skip


def _peaks_and_spans(
    strip: NDArray[np.float32], start: int, stop: int, threshold: float, first: int
) -> tuple[_Columns, _Spans]:
    """Return peaks and spans of the rows ``start`` to ``stop`` of a strip whose first row is the image's ``first``."""
    row, x0, x1 = spans_above(strip[start:stop], np.float32(threshold))
    x, y, value = peaks_in_spans(strip, row + start, x0, x1)
    return (x, y + first, value), (row + start + first, x0, x1)


def _joined(parts: list[tuple[NDArray, NDArray, NDArray]]) -> tuple[NDArray, NDArray, NDArray]:
    """Concatenate columns."""
    first, second, third = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, third


def _width(values: NDArray[np.float32]) -> float:
    """Return the robust scatter of values: 1 for a standard normal distribution."""
    low, high = np.percentile(values, [25.0, 75.0])
    return float(high - low) / 1.349


@dataclass(frozen=True, slots=True)
class _Regions:
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    value: NDArray[np.float64]
    owner: NDArray[np.int64]
    spans: tuple[NDArray[np.int64], ...]


def _collect(
    exposure: Exposure, regions: list[_Regions], scale: float, threshold: float, scatter: float
) -> DetectResult:
    """Join the polarities into columns in parent pixels, and set the mask planes."""
    mask, y0, x0 = exposure.mask, exposure.bbox.y.start, exposure.bbox.x.start
    flags = np.array(mask.array, order="C")
    parts, n_footprints = [], 0
    for plane, region in zip(("DETECTED", "DETECTED_NEGATIVE"), regions, strict=False):
        used, owner = np.unique(region.spans[3], return_inverse=True)
        parts.append((region.spans, owner + n_footprints, region.owner + n_footprints))
        n_footprints += used.size
        paint_spans(flags, *region.spans[:3], np.int32(mask.bits(plane)))
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
    flagged = exposure.replace(mask=Mask(flags, exposure.bbox, mask.planes))
    return DetectResult(x, y, value, negative, footprints, flagged, scale, threshold, scatter)
