"""Pairs of flats against gains, linearity and the brighter-fatter correction."""

from collections.abc import Iterator
from math import nan

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.tasks.calib.frame_check import FrameCheck
from etendue.tasks.calib.gain_trend import MonitorGainTask
from etendue.tasks.calib.pair_statistics import FlatPair, MeasurePairConfig, MeasurePairTask, PairStatistics
from etendue.tasks.calib.photon_transfer import mean_deferral
from etendue.tasks.isr.brighter_fatter import CorrectBrighterFatterTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import TaskConfig

Plane = NDArray[np.float32]


class PairCheckConfig(TaskConfig):
    """Which pairs tell what."""

    pair: MeasurePairConfig = MeasurePairConfig(lag=2)
    """Statistics of pairs."""

    most_corrected: int = Field(3, ge=0)
    """Pairs on which the brighter-fatter correction is tried."""

    corrected_between: tuple[float, float] = (0.4, 0.8)
    """Their levels, in parts of the turn-off."""

    fewest_levels: int = Field(4, ge=2)
    """Levels of one filter that tell linearity."""

    faintest_adu: float = Field(1000.0, gt=0.0)
    """Fainter flats do not [ADU]."""


class PairChecks:
    """Measures pairs of flats one after the other.

    Parameters
    ----------
    detector : Detector
        Their detector.
    products : Calibrations
        What there is.
    readout : ReadoutConfig
        From raw to trimmed pixels.
    config : PairCheckConfig
        Which pairs tell what.
    """

    def __init__(self, detector: Detector, products: Calibrations, readout: ReadoutConfig, config: PairCheckConfig):
        self._detector, self._products, self._config = detector, products, config
        self._readout = ReadoutTask(readout)
        curves = products.ptc is not None and any(entry.transfer is not None for entry in products.ptc.amplifiers)
        # Gains without curves come from whatever flats there were, twilight ones perhaps, whose slopes differ.
        pair = config.pair if curves else config.pair.model_copy(update={"gradient": True})
        self._measure = MeasurePairTask(pair)
        self._flats: dict[str, list[PairStatistics]] = {}
        self._found: list[FrameCheck] = []
        self._corrected = 0

    def add(self, pair: tuple[RawFrame, ...]) -> None:
        """Take two flats of one filter and exposure time.

        Parameters
        ----------
        pair : tuple of RawFrame
            The flats.
        """
        planes = [self._pixels(raw) for raw in pair]
        if min(float(np.isfinite(plane).mean()) for plane in planes) < 0.5:
            return
        seconds = pair[0].info.exposure_time_s, pair[1].info.exposure_time_s
        diode = pair[0].info.lamp_monitor, pair[1].info.lamp_monitor
        statistics = self._measure.run(
            FlatPair(planes[0], planes[1], seconds, diode, pair[0].info.file_name), self._detector
        )
        self._flats.setdefault(pair[0].info.physical_filter, []).append(statistics)
        self._found += self._gains(statistics)
        self._found += self._covariances(statistics, planes, pair[0].info.file_name)

    def _pixels(self, raw: RawFrame) -> Plane:
        """Return pixels above bias, in ADU; NaN where they are full."""
        undone = Calibrations(bias=self._products.bias, crosstalk=self._products.crosstalk, ptc=self._products.ptc)
        readout = self._readout.run(raw.array, self._detector, calibrations=undone)
        counts = self._detector.trim(raw.array)
        for amplifier in self._detector.amplifiers:
            where = amplifier.bbox.slices_in(self._detector.bbox)
            readout.pixels[where][counts[where] >= amplifier.saturation] = np.nan
        readout.pixels[readout.beyond] = np.nan
        return readout.pixels

    def _gains(self, statistics: PairStatistics) -> Iterator[FrameCheck]:
        """Compare the gain of one pair with the ptc's."""
        if self._products.ptc is None:
            return
        found = MonitorGainTask().run(
            [statistics], self._products.ptc, self._detector, linearizer=self._products.linearizer,
            deferred=mean_deferral(self._products.charge_transfer, self._detector),
        )  # fmt: skip
        for one, signal in zip(found, statistics.signal, strict=True):
            if np.isfinite(one.change):
                yield FrameCheck("ptc", "gain of a pair over the curve's - 1", statistics.name, one.change,
                                 one.amplifier, level=float(signal))  # fmt: skip

    def _covariances(self, statistics: PairStatistics, planes: list[Plane], name: str) -> Iterator[FrameCheck]:
        """Correct the brighter-fatter effect, and compare the covariances of neighbours before and after."""
        products = self._products
        if products.brighter_fatter is None or products.ptc is None or self._corrected >= self._config.most_corrected:
            return
        turnoff = np.array([products.ptc[a.name].turnoff_adu for a in self._detector.amplifiers])
        level = float(np.nanmedian(statistics.signal / turnoff))
        low, high = self._config.corrected_between
        if not low <= level <= high:
            return
        self._corrected += 1
        task, corrected = CorrectBrighterFatterTask(), []
        for plane in planes:
            charge = self._times_gain(plane, 1)
            corrected.append(self._times_gain(task.run(charge, products.brighter_fatter).image, -1))
        after = self._measure.run(FlatPair(corrected[0], corrected[1], statistics.seconds, name=name), self._detector)
        left, before = (_neighbours(one) for one in (after, statistics))
        yield FrameCheck("brighter_fatter", "covariance of neighbours corrected over uncorrected", name,
                         left / before, level=float(np.nanmedian(statistics.signal)))  # fmt: skip

    def _times_gain(self, plane: Plane, power: int) -> Plane:
        assert self._products.ptc is not None
        out = plane.copy()
        for amplifier in self._detector.amplifiers:
            where = amplifier.bbox.slices_in(self._detector.bbox)
            out[where] *= np.float32(self._products.ptc[amplifier.name].gain ** power)
        return out

    def checks(self) -> Iterator[FrameCheck]:
        """Return what all pairs tell.

        Yields
        ------
        FrameCheck
            Gains by pair and amplifier, covariances by pair, linearity by flat and amplifier.
        """
        yield from self._found
        if self._products.linearizer is not None and self._flats:
            name = max(self._flats, key=lambda one: len(self._flats[one]))
            yield from self._linearity(self._flats[name], name)

    def _linearity(self, pairs: list[PairStatistics], name: str) -> Iterator[FrameCheck]:
        """Compare linearised levels with exposure times, or with what a photodiode saw."""
        linearizer, ptc = self._products.linearizer, self._products.ptc
        assert linearizer is not None
        light = np.array([np.mean(p.photodiode if np.isfinite(p.photodiode).all() else p.seconds) for p in pairs])
        if np.unique(np.round(light, 3)).size < self._config.fewest_levels:
            return
        for k, amplifier in enumerate(self._detector.amplifiers):
            level = np.array([float(p.level[k].mean()) for p in pairs])
            full = ptc[amplifier.name].turnoff_adu if ptc is not None else nan
            use = (level > self._config.faintest_adu) & ~(level > 0.9 * full)
            rate = linearizer[amplifier.name].corrected(level[use])[0] / light[use]
            for pair, signal, one in zip(np.flatnonzero(use), level[use], rate, strict=True):
                yield FrameCheck("linearizer", "linearised level over exposure time, relative to the others",
                                 pairs[pair].name, float(one / np.median(rate) - 1.0), amplifier.name,
                                 physical_filter=name, level=float(signal))  # fmt: skip


def _neighbours(statistics: PairStatistics) -> float:
    """Return the covariance of pixels with all their neighbours over the squared signal, mean of the amplifiers."""
    lags = statistics.covariance.copy()
    lags[:, 0, 0] = 0.0
    lags[:, 1:, 1:] *= 2.0  # both diagonals
    return float(np.nanmean(lags.sum(axis=(1, 2)) / statistics.signal**2))
