"""Pictures of ensemble photometry: scatter against magnitude, differential light curves, transits, periodograms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, THIRD, new_figure, png, styled

Real = NDArray[np.float64]

_MMAG = 1e3


@dataclass(frozen=True)
class DifferentialCurve:
    """One star against the ensemble.

    Parameters
    ----------
    label : str
        Title of its panel.
    hours_utc : ndarray, float64, shape (n,)
        Hours of UTC since the midnight before the first frame [h].
    delta_mag, delta_mag_err, detrended_mag : ndarray, float64, shape (n,)
        Raw magnitudes about the mean with errors, and detrended ones [mag].
    bjd_tdb : ndarray, float64, shape (n,)
        The same times at the barycentre, for the axis above [d].
    """

    label: str
    hours_utc: Real
    delta_mag: Real
    delta_mag_err: Real
    detrended_mag: Real
    bjd_tdb: Real


@styled
def scatter_plot(
    mag: Real, rms_mag: Real, rms_detrended_mag: Real, expected_mag: Real, formal_mag: Real,
    variable: NDArray[np.bool_],
) -> bytes:  # fmt: skip
    """Plot the scatter of every star against its magnitude.

    Parameters
    ----------
    mag : ndarray, float64, shape (n,)
        Mean magnitudes.
    rms_mag, rms_detrended_mag : ndarray, float64, shape (n,)
        Scatter before and after detrending [mag].
    expected_mag, formal_mag : ndarray, float64, shape (n,)
        Scatter of like stars, and formal error [mag].
    variable : ndarray, bool, shape (n,)
        Stars that are claimed to vary.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axis = new_figure(7.0, 4.4)
    axis.semilogy(mag, _MMAG * rms_mag, ".", ms=3, color="0.7", label="raw")
    axis.semilogy(mag, _MMAG * rms_detrended_mag, ".", ms=3, color=ACCENT, label="detrended")
    order = np.argsort(mag)
    axis.semilogy(mag[order], _MMAG * expected_mag[order], "-", lw=1.2, color=SECOND, label="usual at this magnitude")
    axis.semilogy(mag[order], _MMAG * formal_mag[order], ".", ms=1, color=INK, label="formal error")
    if variable.any():
        chosen = _MMAG * rms_detrended_mag[variable]
        axis.semilogy(mag[variable], chosen, "o", ms=9, mfc="none", color=THIRD, label="variable")
    axis.set(xlabel="magnitude", ylabel="standard deviation [mmag]", title="Scatter of all light curves")
    axis.legend(loc="upper left", markerscale=2)
    return png(figure)


@styled
def differential_curves_plot(curves: list[DifferentialCurve], *, columns: int = 3) -> bytes:
    """Plot light curves against UTC, magnitudes downwards.

    Parameters
    ----------
    curves : list of DifferentialCurve
        At least one.
    columns : int
        Panels in a row.

    Returns
    -------
    bytes
        PNG.
    """
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    width = 7.0 if columns == 1 else 3.6 * columns
    figure, axes = new_figure(width, 4.0 if len(curves) == 1 else 2.6 * rows, rows, columns, squeeze=False)
    for axis, curve in zip(axes.flat, curves, strict=False):
        axis.errorbar(curve.hours_utc, _MMAG * curve.delta_mag, _MMAG * curve.delta_mag_err, fmt=".", ms=3, lw=0.5,
                      color="0.7", label="raw")  # fmt: skip
        axis.plot(curve.hours_utc, _MMAG * curve.detrended_mag, "o", ms=2.5, color=ACCENT, label="detrended")
        axis.set_title(curve.label, fontsize=8)
        axis.invert_yaxis()
        axis.tick_params(labelsize=7)
        axis.set_ylabel("Δ magnitude [mmag]", fontsize=7)
        axis.set_xlabel("UTC [h]", fontsize=7)
        _barycentric_axis(axis, curve.hours_utc, curve.bjd_tdb, size=6)
    axes.flat[0].legend(fontsize=6, loc="best")
    for axis in list(axes.flat)[len(curves) :]:
        axis.set_axis_off()
    return png(figure)


@dataclass(frozen=True)
class TransitCurve:
    """A fitted transit, ready to draw.

    Parameters
    ----------
    title, caption : str
        Above the picture, and the result in words above the second panel.
    hours_utc, delta_mag, delta_mag_err : ndarray, float64, shape (n,)
        Raw light curve [h], [mag].
    model_mag, baseline_mag : ndarray, float64, shape (n,)
        Fitted model and its baseline [mag].
    used : ndarray, bool, shape (n,)
        Points that were fitted.
    bjd_tdb : ndarray, float64, shape (n,)
        Times at the barycentre, for the axis above [d].
    """

    title: str
    caption: str
    hours_utc: Real
    delta_mag: Real
    delta_mag_err: Real
    model_mag: Real
    baseline_mag: Real
    used: NDArray[np.bool_]
    bjd_tdb: Real


@styled
def transit_plot(curve: TransitCurve) -> bytes:
    """Plot a transit with its baseline, the curve without the baseline, and the residuals.

    Parameters
    ----------
    curve : TransitCurve
        In order of time.

    Returns
    -------
    bytes
        PNG with three panels.
    """
    figure, (top, middle, bottom) = new_figure(7.0, 7.4, 3, 1, sharex=True, height_ratios=(3, 3, 1.6))
    t, used = curve.hours_utc, curve.used
    for axis, shift in ((top, 0.0 * t), (middle, curve.baseline_mag)):
        values = _MMAG * (curve.delta_mag - shift)
        axis.errorbar(t[used], values[used], _MMAG * curve.delta_mag_err[used], fmt="o", ms=3, lw=0.6, color=ACCENT)
        axis.plot(t[~used], values[~used], "x", ms=4, color="0.6")
        axis.plot(t, _MMAG * (curve.model_mag - shift), "-", color=SECOND, lw=1.4, label="model")
        axis.invert_yaxis()
        axis.set_ylabel("Δ magnitude [mmag]")
    top.plot(t, _MMAG * curve.baseline_mag, "--", color=INK, lw=1.0, label="baseline")
    top.set_title(curve.title)
    _barycentric_axis(top, t, curve.bjd_tdb)
    top.legend(loc="lower left", fontsize=8)
    middle.set_title(curve.caption, fontsize=8, fontweight="normal", loc="left")
    residual = _MMAG * (curve.delta_mag - curve.model_mag)
    bottom.plot(t[used], residual[used], "o", ms=3, color=ACCENT)
    bottom.axhline(0.0, color=SECOND, lw=1.0)
    bottom.invert_yaxis()
    bottom.set(xlabel="UTC [h]", ylabel="residual [mmag]")
    return png(figure)


@dataclass(frozen=True)
class FoldedCurve:
    """A periodogram and the light curve folded with its highest peak.

    Parameters
    ----------
    title : str
        Above the periodogram.
    frequency, power : ndarray, float64, shape (m,)
        Periodogram [1/d].
    level : float
        Power at a false-alarm probability of 1%.
    period_d : float
        Period of the highest peak [d].
    phase : ndarray, float64, shape (n,)
        Phases of the measurements, from 0 to 1.
    delta_mag, delta_mag_err : ndarray, float64, shape (n,)
        Light curve with errors [mag].
    """

    title: str
    frequency: Real
    power: Real
    level: float
    period_d: float
    phase: Real
    delta_mag: Real
    delta_mag_err: Real


@styled
def periodogram_plot(curve: FoldedCurve) -> bytes:
    """Plot a periodogram with its false-alarm level, and the light curve folded with its highest peak, twice.

    Parameters
    ----------
    curve : FoldedCurve
        Of one star.

    Returns
    -------
    bytes
        PNG with two panels.
    """
    figure, (left, right) = new_figure(9.0, 3.4, 1, 2)
    left.semilogx(curve.frequency, curve.power, "-", lw=0.8, color=ACCENT)
    left.axhline(curve.level, color=SECOND, lw=1.0, ls="--", label="false alarm 1%")
    left.axvline(1.0 / curve.period_d, color=THIRD, lw=4.0, alpha=0.35, zorder=0)
    left.set(xlabel="frequency [1/d]", ylabel="power", title=curve.title, ylim=(0.0, None))
    left.legend(loc="upper right", fontsize=8)
    phase, mag, err = (
        np.concatenate([values, values + shift])
        for values, shift in ((curve.phase, 1.0), (_MMAG * curve.delta_mag, 0.0), (_MMAG * curve.delta_mag_err, 0.0))
    )
    right.errorbar(phase, mag, err, fmt="o", ms=3, lw=0.5, color=ACCENT)
    right.axvline(1.0, color=INK, lw=0.5)
    right.invert_yaxis()
    title = f"Folded with {24.0 * curve.period_d:.3f} h"
    right.set(xlabel="phase (shown twice)", ylabel="Δ magnitude [mmag]", title=title)
    return png(figure)


@styled
def statistics_plot(mag: Real, statistics: dict[str, Real], variable: NDArray[np.bool_]) -> bytes:
    """Plot variability statistics of every star against its magnitude.

    Parameters
    ----------
    mag : ndarray, float64, shape (n,)
        Mean magnitudes.
    statistics : dict of str to ndarray, float64, shape (n,)
        One panel each; NaN are left out.
    variable : ndarray, bool, shape (n,)
        Stars that are claimed to vary.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axes = new_figure(3.2 * len(statistics), 3.0, 1, len(statistics), squeeze=False)
    for axis, (name, values) in zip(axes.flat, statistics.items(), strict=True):
        axis.plot(mag, values, ".", ms=2, color="0.6")
        axis.plot(mag[variable], values[variable], "o", ms=6, mfc="none", color=SECOND, label="variable")
        axis.set(xlabel="magnitude", title=name)
    if variable.any():
        axes.flat[0].legend(fontsize=8)
    return png(figure)


def _barycentric_axis(axis: Any, hours_utc: Real, bjd_tdb: Real, *, size: float = 8.0) -> None:
    """Put BJD (TDB) above an axis in hours of UTC; the light travel time counts as constant over the panel."""
    whole = np.floor(bjd_tdb[0])
    shift = float(np.median(bjd_tdb - whole - hours_utc / 24.0))
    above = axis.secondary_xaxis("top", functions=(lambda h: h / 24.0 + shift, lambda d: (d - shift) * 24.0))
    above.set_xlabel(f"BJD (TDB) − {whole:.0f}", fontsize=size)
    above.tick_params(labelsize=size)
