"""Measure how amplifiers deviate from linearity, from flats of known exposure times."""

from collections.abc import Iterable, Mapping
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.interpolate import CubicSpline

from etendue.camera.detector import Detector
from etendue.errors import AlgorithmError, InputError
from etendue.image.linearizer import AmplifierLinearity, Kind, Linearizer
from etendue.tasks.calib.linearity_fit import Lit, fit_linearity
from etendue.tasks.calib.pair_statistics import PairStatistics
from etendue.tasks.calib.turnoff import measure_turnoff
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_ROUNDS = 4
_DROP = 0.1
_POWERS = 20.0  # coefficients of powers are larger than the bends of a curve
_LARGEST = 0.5  # deviation
_STEADIEST = 1e-5  # scatter of a lamp
_LOOKUP_NODES = 129


class MeasureLinearizerConfig(TaskConfig):
    """Configuration of `MeasureLinearizerTask`."""

    kind: Kind = "spline"
    """What describes the deviation; a lookup table is a spline written at many nodes."""

    order: int = Field(3, ge=1, le=9)
    """Highest power of a polynomial."""

    knots: int = Field(6, ge=4, le=30)
    """Nodes of the spline above 0, denser at faint signals."""

    bend: float = Field(0.005, gt=0.0)
    """Departure of a node from the line between its neighbours that is nothing unusual (a twentieth of a polynomial's
    coefficients); it matters where levels are too few."""

    faintest_adu: float = Field(50.0, ge=0.0)
    """Fainter levels are not used."""

    brightest: float = Field(0.95, gt=0.0, le=1.0)
    """Levels with a cell brighter than this fraction of the turn-off are not used."""

    lamp_scatter: float = Field(1e-3, gt=0.0)
    """How much the lamp may fluctuate between exposures; all amplifiers share it, so they measure it themselves."""

    level_err_adu: float = Field(0.05, ge=0.0)
    """Error of the bias level under a flat [ADU]."""

    shutter: bool = False
    """Whether all exposure times may be wrong by the same time."""

    outlier: float = Field(5.0, gt=0.0)
    """Exposures further from the fit are left out [sigma]."""


class MeasureLinearizerTask(Task[MeasureLinearizerConfig]):
    """Fit ``log(level) + D(level) = log(time) + log(response of the amplifier) + log(lamp)``.

    ``D`` is 0 without light, so gains stay what they are for faint signals. It is linear in all unknowns: the curve and
    the response of each amplifier, and one lamp level per exposure, held to 1 by its scatter, which is found from the
    exposures themselves. With readings of a photodiode these stand in place of the exposure times.
    """

    def run(
        self,
        statistics: Iterable[PairStatistics],
        detector: Detector,
        *,
        turnoff_adu: Mapping[str, float] | None = None,
    ) -> Linearizer:
        """Measure all amplifiers of a detector together.

        Parameters
        ----------
        statistics : iterable of PairStatistics
            Pairs of flats of one lamp at many exposure times, not linearised.
        detector : Detector
            Their detector.
        turnoff_adu : mapping of str to float, optional
            Signal above which pixels are full, by amplifier [ADU]; found from the variances if left out.

        Returns
        -------
        Linearizer
            An amplifier without usable pixels is taken for linear, with a residual of NaN.

        Raises
        ------
        InputError
            If there are too few levels, or exposure times are not known.
        AlgorithmError
            If the deviation found exceeds 50%: times and levels do not belong together.
        """
        found = [s for s in statistics if min(s.seconds) > 0.0 or isfinite(min(s.photodiode))]
        if len(found) < 4:
            raise InputError("pairs of flats are too few for linearity", value=len(found),
                             remedy="give pairs of known exposure times at several levels")  # fmt: skip
        lit, used = self._gather(found, detector, turnoff_adu or {})
        dead = ~np.isfinite(lit.level).any(axis=0)
        tops = np.where(dead, 1.0, np.max(np.where(used, lit.level, 0.0), axis=0))
        short = (used.sum(axis=0) < 2 * (self._size() + 1)) & ~dead
        if short.any() or dead.all():
            name = detector.amplifiers[int(np.argmax(short))].name
            raise InputError("usable exposures are too few for linearity", source=name,
                             value=int(used.sum(axis=0).min()),
                             remedy="give more levels, or lower `knots` or `order`")  # fmt: skip
        curves, residual = self._solve(lit, used, tops)
        largest = float(np.abs(curves).max())
        if not largest < _LARGEST:
            raise AlgorithmError("Levels and exposure times do not belong together", largest_deviation=largest)
        return Linearizer(
            tuple(
                self._entry(amplifier.name, tops[k], curves[k], residual[k])
                for k, amplifier in enumerate(detector.amplifiers)
            )
        )

    def _gather(
        self, found: list[PairStatistics], detector: Detector, turnoff: Mapping[str, float]
    ) -> tuple[Lit, NDArray[np.bool_]]:
        """Return the levels of single exposures, and which may be used."""
        config = self.config
        level = np.concatenate([s.level.T for s in found])
        seconds, diode = (np.ravel([getattr(s, name) for s in found]) for name in ("seconds", "photodiode"))
        light = diode if np.isfinite(diode).all() else seconds
        if not (light > 0.0).all():
            raise InputError("a flat has neither exposure time nor photodiode reading")
        noise = np.sqrt([s.covariance[:, 0, 0] / s.pairs[:, 0, 0] for s in found]).repeat(2, axis=0)
        cells = np.array([s.cell_signal for s in found])  # pairs, amplifiers, cells
        spread = np.array([s.cell_variance for s in found])
        limits = [
            turnoff[a.name]
            if a.name in turnoff
            else measure_turnoff(cells[:, k].ravel(), spread[:, k].ravel(), drop=_DROP)
            for k, a in enumerate(detector.amplifiers)
        ]
        brightest = np.nanmax(cells, axis=2, initial=0.0).repeat(2, axis=0)
        top = np.where(np.isfinite(limits), limits, np.inf) * config.brightest
        used = np.isfinite(level) & (level > config.faintest_adu) & (brightest < top)
        return Lit(level, np.hypot(noise, config.level_err_adu), light, seconds), used

    def _size(self) -> int:
        return self.config.order if self.config.kind == "polynomial" else self.config.knots

    def _basis(self, share: Vector) -> Vector:
        """Return the functions whose sum is the deviation at shares of the highest signal; the last axis is theirs."""
        size, x = self._size(), np.clip(share, 0.0, 1.0)
        if self.config.kind == "polynomial":
            return np.asarray(x[..., None] ** np.arange(1, size + 1))
        return np.asarray(CubicSpline(_nodes(size), np.eye(size + 1)[:, 1:])(x))

    def _stiffness(self) -> Vector:
        """Return what is expected of the coefficients: a spline nearly straight, powers not large."""
        size = self._size()
        if self.config.kind == "polynomial":
            return np.eye(size) / (_POWERS * self.config.bend)
        nodes, rows = _nodes(size), np.zeros((size - 1, size + 1))
        for k in range(1, size):
            part = (nodes[k] - nodes[k - 1]) / (nodes[k + 1] - nodes[k - 1])
            rows[k - 1, k - 1 : k + 2] = part - 1.0, 1.0, -part
        return rows[:, 1:] / self.config.bend  # without light the deviation is 0

    def _solve(self, lit: Lit, used: NDArray[np.bool_], tops: Vector) -> tuple[Vector, Vector]:
        """Return the coefficients of the curves, shape (n, size), and the scatter about them, shape (n,)."""
        basis = self._basis(np.where(used, lit.level, 0.0) / tops)
        lamp_sigma, kept = self.config.lamp_scatter, used
        for _ in range(_ROUNDS):
            fit = fit_linearity(
                lit, kept, basis, stiffness=self._stiffness(), lamp_sigma=lamp_sigma, shutter=self.config.shutter
            )
            columns = zip(fit.left.T, kept.T, strict=True)
            scatter = np.array([np.std(left[known]) if known.any() else np.nan for left, known in columns])
            lamp_sigma = max(1.4826 * float(np.median(np.abs(fit.lamp[kept.any(axis=1)]))), _STEADIEST)
            limit = self.config.outlier * np.fmax(scatter, lit.error / lit.level)
            with np.errstate(invalid="ignore"):
                odd = np.abs(fit.left) > limit
            odd |= (np.abs(fit.lamp) > 2.0 * self.config.outlier * lamp_sigma)[:, None]
            if not (odd & kept).any():
                break
            kept = kept & ~odd
        return fit.curves, scatter

    def _entry(self, name: str, top: float, curve: Vector, residual: float) -> AmplifierLinearity:
        """Turn a logarithmic deviation into factors."""
        size = self._size()
        if self.config.kind == "polynomial":
            x = np.linspace(0.0, 1.0, 40 * size)[1:]
            powers = x[:, None] ** np.arange(1, size + 1)
            values = np.asarray(np.linalg.lstsq(powers, np.expm1(self._basis(x) @ curve), rcond=None)[0], np.float64)
            return AmplifierLinearity(name, "polynomial", np.array([top]), values, residual)
        nodes = _nodes(size) if self.config.kind == "spline" else np.linspace(0.0, 1.0, _LOOKUP_NODES)
        signals = np.asarray(top * nodes, np.float64)
        return AmplifierLinearity(name, self.config.kind, signals, np.expm1(self._basis(nodes) @ curve), residual)


def _nodes(size: int) -> Vector:
    """Return nodes of a spline from 0 to 1, denser near 0."""
    return np.asarray(np.linspace(0.0, 1.0, size + 1) ** 1.5, np.float64)
