"""Which stars vary: statistics against those of like stars, and a claim that the frames must confirm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.lightcurve import dip_significance, predict_smooth, variability_statistics
from etendue.tasks.lightcurve.columns import reduce_frames
from etendue.tasks.lightcurve.period import PeriodConfig, PeriodTask, sinusoid
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MAD = 1.4826


class VariabilityConfig(TaskConfig):
    """Thresholds of a claim."""

    neighbours: int = Field(60, ge=10)
    """Stars of like magnitude with which each is compared."""

    significance: float = Field(6.0, gt=0.0)
    """Robust deviation of a statistic from those of like stars from which a star is a candidate [sigma]."""

    min_measurements: int = Field(15, ge=6)
    """Fewest usable measurements of a candidate."""

    widths: tuple[float, ...] = (0.02, 0.05, 0.12)
    """Widths of the smoothing by which one half of the frames predicts the other, in spans of the series."""

    dip_fractions: tuple[float, ...] = (0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7)
    """Lengths of the dips that are looked for, in spans of the series."""

    min_dip: int = Field(4, ge=2)
    """Fewest measurements inside and outside of a dip."""

    min_gain: float = Field(30.0, ge=0.0)
    """Fall of the chi-square of each half, predicted from the other, against a straight line: slow trends of one star
    (colour and airmass, flat field) are no variability."""

    min_confirmed: float = Field(0.5, ge=0.0, le=1.0)
    """Fraction of all frames that must be nearer to the predicted curve than to a straight line."""

    period: PeriodConfig = PeriodConfig()
    """Periodogram, the other kind of prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class VariabilityResult:
    """One entry per star.

    Parameters
    ----------
    rms_expected : ndarray, float64, shape (n_stars,)
        Scatter of stars of like magnitude [mag].
    chi2_per_dof, stetson_j, von_neumann : ndarray, float64, shape (n_stars,)
        Statistics with ``rms_expected`` as the error; NaN with too few measurements.
    dip_snr : ndarray, float64, shape (n_stars,)
        Depth over error of the best dip on a straight line, errors as above.
    significance : ndarray, float64, shape (n_stars,)
        Largest robust deviation of scatter and of the four from like stars [sigma].
    confirmed_fraction : ndarray, float64, shape (n_stars,)
        Fraction of all frames that confirm; NaN for stars that are no candidates.
    period_d, false_alarm : ndarray, float64, shape (n_stars,)
        Highest peak of the periodogram of candidates and its false-alarm probability; NaN for others.
    is_variable : ndarray, bool, shape (n_stars,)
        Significant and confirmed.
    """

    rms_expected: Real
    chi2_per_dof: Real
    stetson_j: Real
    von_neumann: Real
    dip_snr: Real
    significance: Real
    confirmed_fraction: Real
    period_d: Real
    false_alarm: Real
    is_variable: Flags


class VariabilityTask(Task[VariabilityConfig]):
    """Compare scatter and its correlation in time with those of like stars, then let half the frames test the others.

    A candidate is claimed to vary only if the curve predicted from the even frames (smoothed, or a sinusoid of the
    period that these frames have) lowers the chi-square of the odd frames below that of a straight line, and the other
    way round, and if at least half of all frames of the series are nearer to the curve than to that line. The noise in
    these tests is at least that of successive differences, so that a star that merely jumps confirms nothing.
    """

    def run(self, *, time_d: Real, residual: Real, mag: Real, mag_err: Real) -> VariabilityResult:
        """Judge every star.

        Parameters
        ----------
        time_d : ndarray, float64, shape (n_frames,)
            Rising times [d].
        residual : ndarray, float64, shape (n_frames, n_stars)
            Detrended magnitudes about the mean [mag]; NaN where there is none.
        mag : ndarray, float64, shape (n_stars,)
            Mean magnitudes, which tell like stars.
        mag_err : ndarray, float64, shape (n_frames, n_stars)
            Formal errors [mag].

        Returns
        -------
        VariabilityResult
        """
        known = np.isfinite(residual)
        value = np.where(known, residual - reduce_frames(np.nanmedian, residual), 0.0)
        rms = _MAD * reduce_frames(np.nanmedian, np.where(known, np.abs(value), np.nan))
        enough = known.sum(axis=0) >= self.config.min_measurements
        expected = np.exp(_like(mag, np.log(np.maximum(rms, 1e-6)), enough, self.config.neighbours)[0])
        typical = reduce_frames(np.nanmedian, np.where(known, mag_err, np.nan))
        error2 = mag_err**2 + np.maximum(expected**2 - typical**2, 0.0)
        weight = np.where(known, 1.0 / np.where(known, error2, 1.0), 0.0)
        chi2, stetson, eta = variability_statistics(time_d, value, weight)
        dip = np.where(
            enough, dip_significance(time_d, value, weight, *self._dips(time_d), self.config.min_dip), np.nan
        )
        significance = self._significance(mag, (rms, chi2, stetson, eta, dip), enough)
        confirmed, period, alarm = (np.full(mag.size, np.nan) for _ in range(3))
        variable = np.zeros(mag.size, bool)
        for s in np.flatnonzero(enough & (significance >= self.config.significance)):
            rows = np.flatnonzero(known[:, s])
            found = PeriodTask(self.config.period).run(time_d=time_d[rows], mag=value[rows, s], weight=weight[rows, s])
            period[s], alarm[s] = found.period_d, found.false_alarm
            gains, fraction = self._confirm(time_d[rows], value[rows, s], _no_more(weight[rows, s], value[rows, s]))
            confirmed[s] = fraction * rows.size / time_d.size
            variable[s] = min(gains) >= self.config.min_gain and confirmed[s] >= self.config.min_confirmed
        return VariabilityResult(
            np.where(enough, expected, np.nan), chi2, stetson, eta, dip, significance, confirmed, period, alarm,
            variable,
        )  # fmt: skip

    def _dips(self, time: Real) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return first frames and those after the last of the dips that are tried."""
        span = float(time[-1] - time[0])
        pairs: set[tuple[int, int]] = set()
        for fraction in self.config.dip_fractions:
            starts = np.arange(time[0] - 0.5 * fraction * span, time[-1], 0.1 * fraction * span)
            ends = np.searchsorted(time, [starts, starts + fraction * span])
            pairs |= {(int(a), int(b)) for a, b in ends.T if b > a}
        first, last = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
        return np.ascontiguousarray(first), np.ascontiguousarray(last)

    def _significance(self, mag: Real, statistics: tuple[Real, ...], enough: Flags) -> Real:
        rms, chi2, stetson, eta, dip = statistics
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = [np.log(np.maximum(rms, 1e-6)), np.log(chi2), stetson, -np.log(eta), dip]
        deviations = []
        for score in scores:
            usable = enough & np.isfinite(score)
            middle, spread = _like(mag, score, usable, self.config.neighbours)
            deviations.append(np.where(usable, (score - middle) / np.where(spread > 0.0, spread, np.inf), -np.inf))
        best = np.max(deviations, axis=0)
        return np.where(np.isfinite(best), best, np.nan)

    def _confirm(self, time: Real, value: Real, weight: Real) -> tuple[tuple[float, float], float]:
        """Return the gains of both halves by the better kind of prediction, and the fraction of frames that agree."""
        half = np.arange(time.size) % 2 == 0
        trend = np.where(half, _line(time, value, weight, ~half), _line(time, value, weight, half))
        best: tuple[tuple[float, float], float] = ((0.0, 0.0), 0.0)
        for predicted in self._predictions(time, value, weight, half):
            known = np.isfinite(predicted)
            plain, curve = (value - trend) ** 2, (value - np.where(known, predicted, trend)) ** 2
            gain = [float((weight * (plain - curve))[which].sum()) for which in (half, ~half)]
            fraction = float((known & (curve < plain)).mean())
            if min(gain) > min(best[0]):
                best = ((gain[0], gain[1]), fraction)
        return best

    def _predictions(self, time: Real, value: Real, weight: Real, half: Flags) -> list[Real]:
        span = float(time[-1] - time[0])
        found = []
        for width in self.config.widths:
            parts = [predict_smooth(time, value, weight, known, width * span) for known in (~half, half)]
            found.append(np.where(half, *parts))
        parts = []
        for known in (~half, half):
            rows = np.flatnonzero(known)
            peak = PeriodTask(self.config.period).run(time_d=time[rows], mag=value[rows], weight=weight[rows])
            parts.append(sinusoid(time, time[rows], value[rows], weight[rows], peak.period_d))
        found.append(np.where(half, *parts))
        return found


def _like(mag: Real, score: Real, usable: Flags, number: int) -> tuple[Real, Real]:
    """Return median and robust spread of a score among the stars nearest in magnitude."""
    middle, spread = np.full(mag.size, np.nan), np.full(mag.size, np.nan)
    order = np.flatnonzero(usable & np.isfinite(mag))
    order = order[np.argsort(mag[order], kind="stable")]
    ranked, n = score[order], order.size
    for position, star in enumerate(order):
        first = min(max(position - number // 2, 0), max(n - number, 0))
        like = ranked[first : first + number]
        middle[star] = np.median(like)
        low, high = np.percentile(like, [15.87, 50.0])
        spread[star] = max(float(high - low), 1e-12)  # of the lower half: variables are in the upper
    return middle, spread


def _no_more(weight: Real, value: Real) -> Real:
    """Return weights of errors that are no smaller than the noise of successive differences."""
    steps = np.diff(value)
    noise = float(np.median(np.abs(steps))) / 0.6745 / np.sqrt(2.0)
    return 1.0 / (np.maximum(1.0 / weight, noise**2))


def _line(time: Real, value: Real, weight: Real, which: Flags) -> Real:
    """Return the straight line fitted to some measurements, at all times."""
    design = np.column_stack([np.ones(time.size), (time - time[0]) / np.ptp(time)])
    root = np.sqrt(weight[which])
    return np.asarray(design @ np.linalg.lstsq(design[which] * root[:, None], value[which] * root, rcond=None)[0])
