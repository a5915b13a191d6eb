"""Gains from a night's few flats against those of the photon-transfer curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.errors import InputError
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.tasks.calib.covariance_fit import CovarianceFit
from etendue.tasks.calib.pair_statistics import PairStatistics
from etendue.tasks.calib.ptc import without_deferral
from etendue.tasks.task import Task, TaskConfig

_ROUNDS = 20
_FAINTEST_ADU = 100.0


class MonitorGainConfig(TaskConfig):
    """Configuration of `MonitorGainTask`."""

    tolerance: float = Field(0.01, gt=0.0)
    """Relative change of a gain that is reported, if it also exceeds `sigma` errors."""

    sigma: float = Field(4.0, gt=0.0)
    """Errors that a change must exceed."""


@dataclass(frozen=True, slots=True)
class GainCheck:
    """The gain of one amplifier in one night."""

    amplifier: str
    """Name."""

    gain: float
    """Gain of the night [e/ADU]; NaN without usable pairs."""

    gain_err: float
    """Its statistical error [e/ADU]."""

    change: float
    """Relative to the curve's."""

    changed: bool
    """Whether it exceeds tolerance and error."""


class MonitorGainTask(Task[MonitorGainConfig]):
    """Solve the model of the curve for the gain that gives the variance of each pair.

    The read noise and the changes of pixel areas stay those of the curve, so one pair of any level suffices: a pair of
    a million pixels at half of the range says the gain to 0.15%.
    """

    def run(
        self,
        statistics: Sequence[PairStatistics],
        ptc: Ptc,
        detector: Detector,
        *,
        linearizer: Linearizer | None = None,
        deferred: Mapping[str, tuple[float, float]] | None = None,
    ) -> tuple[GainCheck, ...]:
        """Compare all amplifiers.

        Parameters
        ----------
        statistics : sequence of PairStatistics
            Pairs of flats of one night.
        ptc : Ptc
            The curve.
        detector : Detector
            The detector of both.
        linearizer : Linearizer, optional
            Put on the statistics, if the pixels have not been corrected.
        deferred : mapping of str to tuple of float, optional
            As for `MeasurePtcTask`.

        Returns
        -------
        tuple of GainCheck
            In the order of the detector's amplifiers.

        Raises
        ------
        InputError
            If there are no pairs.
        """
        if not statistics:
            raise InputError("no pair of flats was given", remedy="give two flats of one exposure time")
        return tuple(
            self._check(
                ptc[amplifier.name],
                [
                    _gain(one, k, ptc[amplifier.name], linearizer, (deferred or {}).get(amplifier.name, (0.0, 0.0)))
                    for one in statistics
                ],
            )
            for k, amplifier in enumerate(detector.amplifiers)
        )

    def _check(self, entry: AmplifierGain, found: Sequence[tuple[float, float]]) -> GainCheck:
        """Average the pairs of one amplifier."""
        known = [(gain, error) for gain, error in found if isfinite(gain)]
        if not known:
            return GainCheck(entry.name, nan, nan, nan, False)
        gains, errors = np.array(known).T
        gain, error = float(np.average(gains, weights=errors**-2.0)), float(np.sum(errors**-2.0) ** -0.5)
        change = gain / entry.gain - 1.0
        limit = max(self.config.tolerance, self.config.sigma * sqrt(error**2 + entry.gain_err**2) / entry.gain)
        return GainCheck(entry.name, gain, error, change, abs(change) > limit)


def _gain(
    one: PairStatistics, k: int, entry: AmplifierGain, linearizer: Linearizer | None, deferred: tuple[float, float]
) -> tuple[float, float]:
    """Return the gain of one pair and its error; NaN if it is too faint, too bright or unusable."""
    signal = float(one.signal[k])
    covariance = one.covariance[k][None]
    for fraction, axis in zip(deferred, (1, 2), strict=True):
        covariance = without_deferral(covariance, fraction, axis=axis)
    variance = float(covariance[0, 0, 0])
    if not signal > _FAINTEST_ADU or signal > 0.95 * entry.turnoff_adu:
        return nan, nan
    if linearizer is not None:
        corrected, slope = linearizer[entry.name].corrected(np.array([signal]))
        signal, variance = float(corrected[0]), variance * float(slope[0]) ** 2
    gain, photons = entry.gain, nan
    for _ in range(_ROUNDS):
        photons = variance - variance_but_photons(entry, gain, signal)
        if not photons > 0.0:
            return nan, nan
        gain = signal / photons
    return gain, gain * variance / photons * sqrt(2.0 / float(one.pairs[k, 0, 0]))


def variance_but_photons(entry: AmplifierGain, gain: float, signal: float) -> float:
    """Return what the model of a curve adds to the variance of photons.

    Parameters
    ----------
    entry : AmplifierGain
        The amplifier's curve.
    gain : float
        Gain [e/ADU].
    signal : float
        Level [ADU].

    Returns
    -------
    float
        Read noise, and what charge does to pixels' areas [ADU**2].
    """
    noise = (entry.read_noise / gain) ** 2
    curve = entry.transfer
    if curve is None:
        return noise
    zero = np.zeros_like(curve.area)
    model = CovarianceFit(gain, nan, curve.area, zero, curve.area * curve.area_slope, zero, zero)
    return float(model.covariance(np.array([signal]))[0, 0, 0]) - signal / gain + noise
