"""Pictures of ensemble photometry: scatter against magnitude, differential light curves, transits, periodograms."""

from dataclasses import dataclass

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
    """

    label: str
    hours_utc: Real
    delta_mag: Real
    delta_mag_err: Real
    detrended_mag: Real


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
    figure, axes = new_figure(width, 4.0 if len(curves) == 1 else 2.4 * rows, rows, columns, squeeze=False)
    for axis, curve in zip(axes.flat, curves, strict=False):
        axis.errorbar(curve.hours_utc, _MMAG * curve.delta_mag, _MMAG * curve.delta_mag_err, fmt=".", ms=3, lw=0.5,
                      color="0.7", label="raw")  # fmt: skip
        axis.plot(curve.hours_utc, _MMAG * curve.detrended_mag, "o", ms=2.5, color=ACCENT, label="detrended")
        axis.set_title(curve.label, fontsize=8)
        axis.invert_yaxis()
        axis.tick_params(labelsize=7)
        axis.set_ylabel("Δ magnitude [mmag]", fontsize=7)
        axis.set_xlabel("UTC [h]", fontsize=7)
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
        Above the picture, and the result in words inside it.
    hours_utc, delta_mag, delta_mag_err : ndarray, float64, shape (n,)
        Raw light curve [h], [mag].
    model_mag, baseline_mag : ndarray, float64, shape (n,)
        Fitted model and its baseline [mag].
    used : ndarray, bool, shape (n,)
        Points that were fitted.
    """

    title: str
    caption: str
    hours_utc: Real
    delta_mag: Real
    delta_mag_err: Real
    model_mag: Real
    baseline_mag: Real
    used: NDArray[np.bool_]


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
    figure, (top, middle, bottom) = new_figure(7.0, 7.0, 3, 1, sharex=True, height_ratios=(3, 3, 1.6))
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
    top.legend(loc="lower left", fontsize=8)
    middle.text(0.99, 0.04, curve.caption, transform=middle.transAxes, fontsize=7.5, ha="right", va="bottom")
    residual = _MMAG * (curve.delta_mag - curve.model_mag)
    bottom.plot(t[used], residual[used], "o", ms=3, color=ACCENT)
    bottom.axhline(0.0, color=SECOND, lw=1.0)
    bottom.invert_yaxis()
    bottom.set(xlabel="UTC [h]", ylabel="residual [mmag]")
    return png(figure)


@styled
def periodogram_plot(frequency: Real, power: Real, title: str, phase: Real, delta_mag: Real) -> bytes:
    """Plot a periodogram and the light curve folded with its highest peak.

    Parameters
    ----------
    frequency, power : ndarray, float64, shape (m,)
        Periodogram [1/d].
    title : str
        Above it.
    phase, delta_mag : ndarray, float64, shape (n,)
        Folded light curve, phases from 0 to 1 [mag].

    Returns
    -------
    bytes
        PNG with two panels.
    """
    figure, (left, right) = new_figure(9.0, 3.4, 1, 2)
    left.plot(frequency, power, "-", lw=0.8, color=ACCENT)
    left.set(xlabel="frequency [1/d]", ylabel="power", title=title)
    right.plot(
        np.concatenate([phase, phase + 1.0]), _MMAG * np.concatenate([delta_mag, delta_mag]), "o", ms=3, color=ACCENT
    )
    right.invert_yaxis()
    right.set(xlabel="phase", ylabel="Δ magnitude [mmag]", title="Folded with the highest peak")
    return png(figure)
