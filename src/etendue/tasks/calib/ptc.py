"""Photon transfer with full covariances: gain, read noise, turn-off, changes of pixel areas."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.errors import AlgorithmError, InputError
from etendue.image.linearizer import Linearizer
from etendue.image.photon_transfer import PhotonTransfer
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.tasks.calib.covariance_fit import CovarianceFit, covariance_error, fit_covariances
from etendue.tasks.calib.pair_statistics import PairStatistics
from etendue.tasks.calib.turnoff import measure_turnoff
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_DARK_ADU = 10.0  # pairs below this are without light


class MeasurePtcConfig(TaskConfig):
    """Configuration of `MeasurePtcTask`."""

    fewest_levels: int = Field(6, ge=4)
    """Levels below which the curve is not fitted and the gain is plain photon transfer."""

    span: float = Field(4.0, gt=1.0)
    """Brightest over faintest level below which the curve is not fitted."""

    drop: float = Field(0.1, gt=0.0, lt=1.0)
    """Fraction of the variance that is missing at the turn-off."""

    brightest: float = Field(0.92, gt=0.0, le=1.0)
    """Levels with a cell brighter than this fraction of the turn-off are not fitted."""

    outlier: float = Field(4.5, gt=0.0)
    """Levels whose variance is further from the fit are left out [sigma]."""

    slope_sigma: float = Field(1e-6, gt=0.0)
    """Spread of ``b``, the relative change of ``a`` per electron, about 0 a priori [1/e]."""

    share_areas: bool = True
    """Whether the amplifiers of a detector have the same ``a``: one piece of silicon. Gains are then better known."""

    consistent_within: float = Field(0.05, gt=0.0)
    """The header's gain is consistent if it differs by less than this fraction or three errors."""


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """The pairs of one amplifier that have values: levels, covariances, pairs of pixels, brightest cells.

    ``brightest`` and ``turnoff`` are as counted, the others linear.
    """

    signal: Vector
    covariance: Vector
    pairs: Vector
    brightest: Vector
    turnoff: float


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A fit and the levels that it used."""

    fit: CovarianceFit
    used: NDArray[np.bool_]


class MeasurePtcTask(Task[MeasurePtcConfig]):
    """Fit variance and covariances of flat pairs against their level.

    The model is that of Astier et al. (2019, A&A 629, A36, eq. 20). Pairs of biases, if there are any, say most about
    the read noise. With few levels, or levels close to each other, the gain of an amplifier is the median of plain
    photon transfer, ``signal / (variance - read noise**2)``, which needs the read noise.
    """

    def run(
        self,
        statistics: Iterable[PairStatistics],
        detector: Detector,
        *,
        read_noise_adu: Mapping[str, float] | None = None,
        linearizer: Linearizer | None = None,
        deferred: Mapping[str, tuple[float, float]] | None = None,
        header_gain: float = nan,
    ) -> Ptc:
        """Measure every amplifier of a detector.

        Parameters
        ----------
        statistics : iterable of PairStatistics
            Pairs of flats at many levels, and of biases; may be made one after another (`MeasurePairTask`).
        detector : Detector
            Their detector.
        read_noise_adu : mapping of str to float, optional
            Read noise by amplifier [ADU], used where there are no pairs of biases.
        linearizer : Linearizer, optional
            Put on the statistics, if the pixels have not been corrected; the turn-off stays as counted.
        deferred : mapping of str to tuple of float, optional
            Fraction of a pixel's charge that transfer leaves for the next row and the next column, averaged over the
            amplifier, if the pixels have not been corrected: it takes twice that from the variance.
        header_gain : float
            Gain that headers claim [e/ADU].

        Returns
        -------
        Ptc
            An amplifier without usable pixels has the camera's gain and read noise, and NaN for their errors.

        Raises
        ------
        InputError
            If there is no pair with light, or nothing tells the read noise.
        AlgorithmError
            If an amplifier's flats have no more variance than the read noise.
        """
        found = list(statistics)
        names = [amplifier.name for amplifier in detector.amplifiers]
        levels = {
            name: self._levels(found, k, name, linearizer, (deferred or {}).get(name, (0.0, 0.0)))
            for k, name in enumerate(names)
        }
        noise = {name: (read_noise_adu or {}).get(name, nan) for name in names}
        levels = {name: _with_noise(entry, noise[name]) for name, entry in levels.items()}
        alive = [name for name in names if (levels[name].signal > _DARK_ADU).any()]
        if not alive:
            raise InputError("no pair of flats has usable pixels", source=detector.name,
                             remedy="give pairs of exposed flats")  # fmt: skip
        curved = [name for name in alive if self._has_curve(levels[name])]
        own = fits = {name: self._fit(levels[name]) for name in curved}
        if self.config.share_areas and len(curved) > 1:
            areas = shared_areas([entry.fit for entry in fits.values()])
            fits = {name: self._fit(levels[name], areas) for name in curved}
        return Ptc(
            tuple(
                self._entry(name, levels[name], fits[name], own[name].fit, header_gain)
                if name in fits
                else self._plain(name, levels[name], header_gain)
                if name in alive
                else _unmeasured(detector, name, header_gain)
                for name in names
            )
        )

    def _levels(
        self,
        statistics: Sequence[PairStatistics],
        k: int,
        name: str,
        linearizer: Linearizer | None,
        deferred: tuple[float, float],
    ) -> _Levels:
        """Gather the pairs of one amplifier in order of level."""
        kept = sorted((s for s in statistics if np.isfinite(s.signal[k])), key=lambda s: float(s.signal[k]))
        if not any(s.signal[k] > _DARK_ADU for s in kept):
            nothing = np.zeros((0, 1, 1))
            return _Levels(np.zeros(0), nothing, nothing, np.zeros(0), nan)
        signal, covariance, pairs = (
            np.array([getattr(s, v)[k] for s in kept]) for v in ("signal", "covariance", "pairs")
        )
        cells, spread = (np.array([getattr(s, v)[k] for s in kept]) for v in ("cell_signal", "cell_variance"))
        turnoff = measure_turnoff(cells.ravel(), spread.ravel(), drop=self.config.drop)
        brightest = np.nanmax(cells, axis=1, initial=0.0)
        covariance = without_deferral(without_deferral(covariance, deferred[0], axis=1), deferred[1], axis=2)
        if linearizer is not None:
            signal, slope = linearizer[name].corrected(signal)
            covariance = covariance * slope[:, None, None] ** 2
        return _Levels(signal, covariance, pairs, brightest, turnoff)

    def _usable(self, levels: _Levels) -> NDArray[np.bool_]:
        limit = self.config.brightest * levels.turnoff if isfinite(levels.turnoff) else np.inf
        return levels.brightest < limit

    def _has_curve(self, levels: _Levels) -> bool:
        light = levels.signal[self._usable(levels) & (levels.signal > _DARK_ADU)]
        distinct = 1 + int((np.diff(light) > 0.02 * light[1:]).sum()) if light.size else 0
        return distinct >= self.config.fewest_levels and bool(light[-1] > self.config.span * light[0])

    def _fit(self, levels: _Levels, areas: tuple[Vector, Vector] | None = None) -> _Fitted:
        """Fit, leaving out levels that stand off."""
        used = self._usable(levels)
        while True:
            fit = fit_covariances(levels.signal[used], levels.covariance[used], levels.pairs[used],
                                  slope_sigma=self.config.slope_sigma, areas=areas)  # fmt: skip
            pull = np.where(used, np.abs(_pulls(fit, levels)), 0.0)
            scatter = max(1.0, 1.4826 * float(np.median(pull[used])))
            if used.sum() <= self.config.fewest_levels or pull.max() <= self.config.outlier * scatter:
                return _Fitted(fit, used)
            used = used & (np.arange(used.size) != int(np.argmax(pull)))

    def _entry(
        self, name: str, levels: _Levels, fitted: _Fitted, own: CovarianceFit, header_gain: float
    ) -> AmplifierGain:
        """Return what was fitted; the areas are the amplifier's own, so that they may be averaged."""
        fit, used = fitted.fit, fitted.used
        pulls = _pulls(fit, levels)[used]
        chi2 = float(np.sum(pulls**2) / max(used.sum() - 4, 1))
        gain_err = fit.gain_err * sqrt(max(chi2, 1.0))
        noise, noise_err = float(fit.noise_adu2[0, 0]), float(fit.noise_err_adu2[0, 0]) * sqrt(max(chi2, 1.0))
        if not noise > 0.0:
            raise AlgorithmError("The curve does not tell the read noise: give pairs of biases", amplifier=name)
        read_noise = fit.gain * sqrt(noise)
        read_noise_err = read_noise * sqrt((gain_err / fit.gain) ** 2 + (0.5 * noise_err / noise) ** 2)
        slope = np.divide(own.bend, own.area, out=np.zeros_like(own.area), where=own.area != 0.0)
        error = covariance_error(fit.covariance(levels.signal)[:, 0, 0], levels.pairs)
        transfer = PhotonTransfer(
            levels.signal,
            levels.covariance,
            error,
            used,
            own.area,
            own.area_err,
            slope,
            fit.noise_adu2 * fit.gain**2,
            chi2,
        )
        return AmplifierGain(
            name, fit.gain, gain_err, read_noise, read_noise_err, header_gain,
            self._consistent(fit.gain, gain_err, header_gain), levels.turnoff, transfer,
        )  # fmt: skip

    def _plain(self, name: str, levels: _Levels, header_gain: float) -> AmplifierGain:
        """Return the median of what each pair says by itself."""
        dark = levels.signal <= _DARK_ADU
        if not dark.any():
            raise InputError(
                "nothing tells the read noise", source=name, remedy="give pairs of biases, or the read noise"
            )
        noise_adu = sqrt(float(np.median(levels.covariance[dark, 0, 0])))
        use = self._usable(levels) & ~dark
        photons = levels.covariance[use, 0, 0] - noise_adu**2
        if not (photons > 0.0).any():
            raise AlgorithmError("Flats are no noisier than bias frames", amplifier=name, read_noise=noise_adu)
        each = levels.signal[use] / photons
        gain, count = float(np.median(each)), int(use.sum())
        formal = gain * sqrt(2.0 / float(np.median(levels.pairs[use, 0, 0]))) / sqrt(max(count / 2.0, 1.0))
        error = max(formal, float(np.std(each)) / sqrt(count))
        size = float(np.median(levels.pairs[:, 0, 0]))
        noise_err = gain * noise_adu * sqrt((error / gain) ** 2 + 0.5 / size)
        return AmplifierGain(
            name, gain, error, gain * noise_adu, noise_err, header_gain, self._consistent(gain, error, header_gain),
            levels.turnoff,
        )  # fmt: skip

    def _consistent(self, gain: float, error: float, header_gain: float) -> bool:
        allowed = max(self.config.consistent_within * gain, 3.0 * error)
        return not isfinite(header_gain) or abs(header_gain - gain) <= allowed


def _unmeasured(detector: Detector, name: str, header_gain: float) -> AmplifierGain:
    """Return what the camera says of a dead amplifier."""
    amplifier = next(a for a in detector.amplifiers if a.name == name)
    return AmplifierGain(amplifier.name, amplifier.gain, nan, amplifier.read_noise, nan, header_gain, False)


def _with_noise(levels: _Levels, noise_adu: float) -> _Levels:
    """Add a read noise that is known [ADU], where no pair of biases tells it, as a pair without light."""
    if not isfinite(noise_adu) or levels.signal.size == 0 or (levels.signal <= _DARK_ADU).any():
        return levels
    covariance = np.zeros((1, *levels.covariance.shape[1:]))
    covariance[0, 0, 0] = noise_adu**2
    return _Levels(
        np.append(0.0, levels.signal), np.concatenate([covariance, levels.covariance]),
        np.concatenate([levels.pairs[:1], levels.pairs]), np.append(0.0, levels.brightest), levels.turnoff,
    )  # fmt: skip


def _pulls(fit: CovarianceFit, levels: _Levels) -> Vector:
    """Return how far the variances are from the fit, in errors."""
    model = fit.covariance(levels.signal)[:, 0, 0]
    return np.asarray((levels.covariance[:, 0, 0] - model) / covariance_error(model, levels.pairs)[:, 0, 0])


def shared_areas(fits: Sequence[CovarianceFit]) -> tuple[Vector, Vector]:
    """Average the changes of pixel areas over amplifiers.

    Parameters
    ----------
    fits : sequence of CovarianceFit
        At least one.

    Returns
    -------
    area, area_err : ndarray, float64, shape (lag + 1, lag + 1)
        Weighted mean and its error [1/e].
    """
    area, weight = np.array([fit.area for fit in fits]), np.array([fit.area_err**-2.0 for fit in fits])
    return np.average(area, axis=0, weights=weight), weight.sum(axis=0) ** -0.5


def without_deferral(covariance: Vector, fraction: float, axis: int) -> Vector:
    """Undo, to first order, what charge left behind in every pixel does to covariances along one axis.

    A pixel that keeps ``1 - f`` of its charge and gets ``f`` of the one before has the covariances
    ``c_k + f (c_{k-1} + c_{k+1} - 2 c_k)``.

    Parameters
    ----------
    covariance : ndarray, float64, shape (n, lag + 1, lag + 1)
        As measured.
    fraction : float
        ``f``, averaged over the pixels.
    axis : int
        1 for charge left to the next row, 2 for the next column.

    Returns
    -------
    ndarray, float64, shape (n, lag + 1, lag + 1)
    """
    c = np.moveaxis(covariance, axis, 0)
    padded = np.concatenate([c[1:2], c, c[-1:]])
    return np.moveaxis(c - fraction * (padded[:-2] + padded[2:] - 2.0 * c), 0, axis)
