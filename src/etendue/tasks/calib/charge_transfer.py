"""Measure charge-transfer losses from what flats leave in the overscan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.camera.read_order import ReadOrder, read_orders
from etendue.camera.segments import Segments
from etendue.errors import AlgorithmError, InputError
from etendue.image.charge_transfer import AmplifierTransfer, ChargeTransfer, TransferLoss
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc
from etendue.kernels.overscan import line_levels
from etendue.tasks.calib.trail_fit import Trails, fit_trails
from etendue.tasks.readout.electronics import electronics_of
from etendue.tasks.readout.linearize import LinearizeTask
from etendue.tasks.task import Task, TaskConfig

Levels = NDArray[np.float64]
_REACH = 128  # px of light whose charge may still be released behind it
_LAST = 3  # px of light by which a flat's brightness is judged
_LIGHT = ("flat", "dark")
_FEWEST = 3
_BEND, _FLATS, _RANGE = 2, 8, 4.0  # degree of the response by exposure time, flats and range of levels that it takes
_LAMP, _ZERO_E = 3e-4, 0.5  # scatter of a lamp, and error of a level that is not its [e]
_STEADY, _BENT = 0.01, 0.1  # relative scatter about the response, and departure of a rate, that are no steady lamp's


class MeasureChargeTransferConfig(TaskConfig):
    """Configuration of `MeasureChargeTransferTask`."""

    edge: int = Field(10, ge=0)
    """Rows and columns of light left out at both ends [px]."""

    clip: float = Field(4.0, gt=0.0)
    """Pixels further from their column's (row's) level are left out: cosmic rays, bleeding [sigma]."""

    maximum_fraction: float = Field(0.85, gt=0.0, le=1.0)
    """Flats brighter than this fraction of the saturation level, or of the turn-off in the ptc, are left out."""

    significance: float = Field(3.0, ge=0.0)
    """A trap of fixed size smaller than this times its error is left out [sigma]."""


@dataclass(slots=True)
class _Collected:
    """Mean charge of all pixels of a line of one amplifier in one direction, frame by frame."""

    profile: list[Levels] = field(default_factory=list)
    lamp: list[tuple[str, float]] = field(default_factory=list)
    error: list[Levels] = field(default_factory=list)
    zero: list[Levels] = field(default_factory=list)


class MeasureChargeTransferTask(Task[MeasureChargeTransferConfig]):
    """Extended pixel edge response: charge behind the last light of flats, over its signal.

    The trails of all flats are fitted together by losses in proportion to the signal and by a trap of fixed size
    (Snyder and Roodman 2021). Bias frames tell what the overscan pixels hold without light; without them the trap
    cannot be told from a pattern of the bias, and is left out. Darks count as flats of very little light. Trails are
    so faint that no amplifier bends them, but their light is bright: without a linearizer, which is measured later, it
    is made linear by the exposure times of the filter with most flats.
    """

    def run(
        self, raws: Iterable[RawFrame], camera: Camera, *, ptc: Ptc | None = None, linearizer: Linearizer | None = None
    ) -> ChargeTransfer:
        """Measure all amplifiers of a detector.

        Parameters
        ----------
        raws : iterable of RawFrame
            Flats of many levels, bias frames, darks, of one detector; other types are left out. They are read once, one
            after the other.
        camera : Camera
            Their camera.
        ptc : Ptc, optional
            Gains and turn-offs; else those of the camera.
        linearizer : Linearizer, optional
            Makes the flats' signals linear; by default their exposure times do, if there are eight flats of one filter.

        Returns
        -------
        ChargeTransfer
            Without a direction where an amplifier has no overscan for it or fewer than three usable flats.

        Raises
        ------
        InputError
            If frames are of several detectors.
        AlgorithmError
            If no amplifier has three usable flats and a serial overscan.
        """
        detector: Detector | None = None
        serial: list[_Collected] = []
        parallel: list[_Collected] = []
        for raw in raws:
            if raw.info.observation_type not in (*_LIGHT, "bias"):
                continue
            if detector is None:
                detector = camera.detector(raw.detector_id)
                serial, parallel = ([_Collected() for _ in detector.amplifiers] for _ in range(2))
            elif raw.detector_id != detector.id:
                raise InputError(f"frame is of detector {raw.detector_id}, others of {detector.id}",
                                 source=raw.info.file_name, remedy="measure detector by detector")  # fmt: skip
            self._collect(raw, detector, ptc, linearizer, serial, parallel)
        if detector is None:
            raise AlgorithmError("no flats were given")
        both = zip(read_orders(detector), serial, parallel, strict=True)
        found = ChargeTransfer(tuple(self._amplifier(*one) for one in both))
        if all(amplifier.serial is None for amplifier in found.amplifiers):
            raise AlgorithmError("too few flats show a trail", frames=max(len(one.profile) for one in serial))
        return found

    def _collect(
        self,
        raw: RawFrame,
        detector: Detector,
        ptc: Ptc | None,
        linearizer: Linearizer | None,
        serial: list[_Collected],
        parallel: list[_Collected],
    ) -> None:
        """Add the trails of one frame."""
        segments = Segments.of(raw.array, detector)
        usable = [self._usable(segments, number, ptc) for number in range(len(detector.amplifiers))]
        pairs = zip(segments.array, segments.orders, strict=True)
        noise = [_subtract_rows(segment, order, self.config.clip) for segment, order in pairs]
        if linearizer is not None:
            LinearizeTask().run(segments, linearizer)
        for number, values in enumerate(electronics_of(detector, ptc, raw.info)):
            if usable[number] and np.isfinite(noise[number]):
                order = segments.orders[number]
                segment = segments.array[number][: order.shape[0], : order.shape[1]] * np.float32(values.gain)
                lamp = _lamp(raw, known=linearizer is not None)
                self._add(serial[number], segment, *order.data, lamp)
                if order.overscan_rows().stop:
                    turned = np.ascontiguousarray(segment.T)
                    self._add(parallel[number], turned, *order.data[::-1], lamp)

    def _usable(self, segments: Segments, number: int, ptc: Ptc | None) -> bool:
        """Tell whether the last light of an amplifier is well below saturation."""
        amplifier, pixels = segments.orders[number].amplifier, segments.data(number)
        last = float(np.nanmedian(pixels[:, -_LAST:]))
        limit = amplifier.saturation
        full = ptc[amplifier.name].turnoff_adu if ptc is not None else np.nan
        if np.isfinite(full):
            limit = min(limit, full + _level(segments, number))
        return last < self.config.maximum_fraction * limit

    def _add(
        self,
        collected: _Collected,
        lines: NDArray[np.float32],
        across: slice,
        along: slice,
        lamp: tuple[str, float] | None,
    ) -> None:
        """Add the light and the trail behind it, averaged over ``across``; ``lamp`` is None for a bias."""
        edge = min(self.config.edge, (across.stop - across.start) // 4)
        inner = lines[across.start + edge : across.stop - edge]
        skipped = max(0, along.stop - _REACH)
        level, scatter, used = line_levels(np.ascontiguousarray(inner[:, skipped:].T), self.config.clip, 3)
        if not (used > 0).all():
            return
        level = np.pad(level, (skipped, 0), mode="edge")
        if lamp is None:
            collected.zero.append(level)
            return
        collected.profile.append(level)
        collected.lamp.append(lamp)
        error = np.maximum(scatter, 0.1) / np.sqrt(used)
        collected.error.append(error[along.stop - skipped :])

    def _amplifier(self, order: ReadOrder, serial: _Collected, parallel: _Collected) -> AmplifierTransfer:
        rows, columns = order.data
        far = _far(order)
        behind = slice(far.start - columns.stop, far.stop - columns.stop) if far.stop else far
        last = order.shape[0] - rows.stop
        return AmplifierTransfer(
            order.amplifier.name,
            self._fit(serial, columns.stop, behind) if far.stop else None,
            self._fit(parallel, rows.stop, slice(last // 2, last)) if far.stop and order.overscan_rows().stop else None,
        )

    def _fit(self, collected: _Collected, transfers: int, far: slice) -> TransferLoss | None:
        """Fit the trails; None for an amplifier that saw no light."""
        if len(collected.profile) < _FEWEST:
            return None
        profile, error = np.array(collected.profile), np.array(collected.error)
        if collected.zero:
            profile -= np.mean(collected.zero, axis=0)
        signal = profile[:, transfers - _LAST : transfers].mean(axis=1)
        if not signal.max() > 0.0:
            return None
        light, trail = np.maximum(profile[:, :transfers], 0.0), profile[:, transfers:].copy()
        light = (light / _response(light, signal, collected.lamp)).astype(np.float32)
        trail -= trail[:, far].mean(axis=1, keepdims=True)
        zero_error = np.full(trail.shape[1], np.nan)
        if collected.zero:
            zero_error = np.median(error, axis=0) / np.sqrt(len(collected.zero))
        else:  # what trails have in common whatever the signal is: a pattern of the bias, and any trap
            pairs = zip(trail.T, 1.0 / error.T, strict=True)
            trail = trail - [np.polyfit(signal, column, 1, w=weight)[1] for column, weight in pairs]
        return fit_trails(Trails(light, trail, error, far, zero_error), self.config.significance)


def _lamp(raw: RawFrame, *, known: bool) -> tuple[str, float] | None:
    """Return filter and time of a flat, NaN for what no lamp lit or where the response is known; None for a bias."""
    if raw.info.observation_type == "bias":
        return None
    lit = raw.info.observation_type == "flat" and not known
    return raw.info.physical_filter, raw.info.exposure_time_s if lit else float("nan")


def _response(light: Levels, signal: Levels, lamps: Sequence[tuple[str, float]]) -> Levels:
    """Return what the amplifier made of the light, over what it makes of faint light; 1 where no lamp tells.

    The signal over the exposure time is a polynomial of the signal. Its value at 0 is the lamp's.
    """
    names, seconds = np.array([name for name, _ in lamps]), np.array([seconds for _, seconds in lamps])
    timed = (seconds > 0.0) & (signal > 0.0)
    found, count = np.unique(names[timed], return_counts=True)
    if count.max(initial=0) < _FLATS:
        return np.ones_like(light)
    timed &= names == found[np.argmax(count)]
    levels, rate = signal[timed], signal[timed] / seconds[timed]
    steady = np.abs(rate / np.median(rate) - 1.0) < _BENT  # not those of twilight
    levels, rate = levels[steady], rate[steady]
    if levels.size < _FLATS or levels.max() < _RANGE * levels.min():
        return np.ones_like(light)
    top = levels.max()
    weight = 1.0 / (rate * np.hypot(_LAMP, _ZERO_E / levels))
    curve = np.polynomial.polynomial.polyfit(levels / top, rate, _BEND, w=weight)
    left = rate / np.polynomial.polynomial.polyval(levels / top, curve) - 1.0
    if not np.sqrt(np.average(left**2, weights=weight**2)) < _STEADY:
        return np.ones_like(light)
    return np.asarray(np.polynomial.polynomial.polyval(np.minimum(light, top) / top, curve) / curve[0])


def _far(order: ReadOrder) -> slice:
    """Return the second half of the named overscan columns: hardly any deferred charge gets there."""
    overscan = order.overscan_columns()
    return slice((overscan.start + overscan.stop) // 2, overscan.stop)


def _subtract_rows(segment: NDArray[np.float32], order: ReadOrder, clip: float) -> float:
    """Subtract the far overscan of each row; return the error of that in one row, NaN without overscan [ADU]."""
    far = _far(order)
    if far.stop == 0:
        return float("nan")
    level, scatter, used = line_levels(np.ascontiguousarray(segment[:, far]), clip, 3)
    known = used > 0
    if not known.any():
        return float("nan")
    level = np.where(known, level, np.median(level[known]))
    behind = order.data[0].stop
    if level.size > behind:  # the noise of these few rows' own levels would drown their trails
        level[behind:] = level[behind:].mean()
    segment -= level.astype(np.float32)[:, None]
    return float(np.median(scatter[known]) / np.sqrt(np.median(used[known])))


def _level(segments: Segments, number: int) -> float:
    far = _far(segments.orders[number])
    return float(np.nanmedian(segments.array[number][:, far])) if far.stop else 0.0
