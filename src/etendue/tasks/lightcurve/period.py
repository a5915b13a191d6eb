"""Periods by the Lomb-Scargle periodogram."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]

_LEVEL = 0.01


class PeriodConfig(TaskConfig):
    """Which frequencies are searched."""

    max_cycles_per_span: float = Field(1.0, gt=0.0)
    """Longest period, in spans of the series."""

    steps_per_sample: float = Field(0.5, gt=0.0, le=2.0)
    """Highest frequency, in cycles per median time step: 0.5 is Nyquist's."""

    oversampling: float = Field(8.0, ge=1.0)
    """Frequencies per width of a peak."""

    max_frequencies: int = Field(200_000, ge=10)
    """At most this many frequencies; the highest are left out where there are more."""


@dataclass(frozen=True, slots=True, eq=False)
class Periodogram:
    """Lomb-Scargle periodogram.

    Parameters
    ----------
    frequency : ndarray, float64, shape (n,)
        Frequencies [1/d].
    power : ndarray, float64, shape (n,)
        Standard normalisation, 0 to 1.
    period_d : float
        Period of the highest peak [d]; NaN with too few measurements.
    false_alarm : float
        Probability of so high a peak anywhere for white noise (Baluev 2008, MNRAS 385, 1279).
    level : float
        Power that the highest peak of white noise exceeds in 1% of all series.
    """

    frequency: Real
    power: Real
    period_d: float
    false_alarm: float
    level: float


class PeriodTask(Task[PeriodConfig]):
    """Generalised Lomb-Scargle periodogram with a floating mean (Zechmeister & Kuerster 2009), by astropy."""

    def run(self, *, time_d: Real, mag: Real, weight: Real) -> Periodogram:
        """Compute the periodogram of one star.

        Parameters
        ----------
        time_d, mag : ndarray, float64, shape (n,)
            Times [d] and magnitudes, finite.
        weight : ndarray, float64, shape (n,)
            Inverse variances, positive.

        Returns
        -------
        Periodogram
        """
        from astropy.timeseries import LombScargle

        nothing = Periodogram(np.zeros(0), np.zeros(0), float("nan"), float("nan"), float("nan"))
        span = float(np.ptp(time_d)) if time_d.size else 0.0
        if time_d.size < 6 or not span > 0.0 or not np.ptp(mag) > 0.0:
            return nothing
        steps = np.diff(np.sort(time_d))
        step = float(np.median(steps[steps > 0.0]))
        low = 1.0 / (self.config.max_cycles_per_span * span)
        spacing = 1.0 / (self.config.oversampling * span)
        high = min(self.config.steps_per_sample / step, low + spacing * self.config.max_frequencies)
        if not high > low:
            return nothing
        frequency = np.arange(low, high, spacing)
        engine = LombScargle(time_d - time_d[0], mag, 1.0 / np.sqrt(weight))
        power = np.asarray(engine.power(frequency, method="cython" if time_d.size < 200 else "auto",
                                        assume_regular_frequency=True))  # fmt: skip
        best = int(np.argmax(power))
        alarm = float(engine.false_alarm_probability(power[best], maximum_frequency=high, method="baluev"))
        level = float(engine.false_alarm_level(_LEVEL, maximum_frequency=high, method="baluev"))
        period = 1.0 / (frequency[best] + spacing * _vertex(power, best))
        return Periodogram(frequency, power, float(period), min(max(alarm, 0.0), 1.0), level)


def _vertex(power: Real, peak: int) -> float:
    """Return how far from the highest value the vertex of the parabola through it and its neighbours is [steps]."""
    if not 0 < peak < power.size - 1:
        return 0.0
    before, top, after = power[peak - 1 : peak + 2]
    bend = before - 2.0 * top + after
    return float(0.5 * (before - after) / bend) if bend < 0.0 else 0.0


def sinusoid(time: Real, known_time: Real, value: Real, weight: Real, period: float) -> Real:
    """Return a sinusoid of given period fitted to some measurements, at other times.

    Parameters
    ----------
    time : ndarray, float64, shape (m,)
        Where it is wanted.
    known_time, value, weight : ndarray, float64, shape (n,)
        Measurements and their inverse variances.
    period : float
        Period in the unit of the times; NaN gives NaN.

    Returns
    -------
    ndarray, float64, shape (m,)
    """
    if not period > 0.0:
        return np.full(time.size, np.nan)

    def columns(at: Real) -> Real:
        angle = 2.0 * np.pi * (at - known_time[0]) / period
        return np.stack([np.ones(at.size), np.cos(angle), np.sin(angle)], axis=-1)

    root = np.sqrt(weight)
    coefficients = np.linalg.lstsq(columns(known_time) * root[:, None], value * root, rcond=None)[0]
    return np.asarray(columns(time) @ coefficients)
