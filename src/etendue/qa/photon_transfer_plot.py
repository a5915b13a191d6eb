"""Picture of photon transfer, of the areas that charge changes, and of linearity."""

from typing import Any

import numpy as np

from etendue.image.linearizer import Linearizer
from etendue.image.photon_transfer import PhotonTransfer
from etendue.image.ptc import Ptc
from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png, styled

_PER_MILLION = 1e6
_SHOWN_FROM = 0.02  # of the highest signal: below it read noise hides the photons


@styled
def photon_transfer_plot(ptc: Ptc, linearizer: Linearizer | None = None) -> bytes:
    """Plot what flats said about one detector.

    Parameters
    ----------
    ptc : Ptc
        With curves of at least one amplifier; others are left out.
    linearizer : Linearizer, optional
        Gets a third panel.

    Returns
    -------
    bytes
        PNG: variance of photons over signal times gain, with the turn-offs; relative change of pixel areas against the
        distance of the charge, averaged over amplifiers; deviations from linearity.
    """
    panels = 3 if linearizer is not None else 2
    figure, axes = new_figure(4.0 * panels, 3.2, 1, panels)
    curves = [(entry, entry.transfer) for entry in ptc.amplifiers if entry.transfer is not None]
    colours = _shades(len(curves))
    for (entry, curve), colour in zip(curves, colours, strict=True):
        known = curve.signal_adu > _SHOWN_FROM * curve.signal_adu.max()
        signal = curve.signal_adu[known]
        photons = curve.covariance_adu2[known, 0, 0] - curve.noise_e2[0, 0] / entry.gain**2
        axes[0].plot(signal / 1e3, photons * entry.gain / signal, ".-", color=colour, lw=0.6, ms=4, label=entry.name)
        if np.isfinite(entry.turnoff_adu):
            axes[0].axvline(entry.turnoff_adu / 1e3, color=colour, lw=0.8, ls=":")
    axes[0].set(xlabel="signal [1,000 ADU]", ylabel="variance of photons x gain / signal", ylim=(0.0, 1.1))
    axes[0].set_title("Photon transfer")
    if len(curves) <= 8:
        axes[0].legend(fontsize=7, ncols=2)
    _plot_areas(axes[1], [curve for _, curve in curves])
    if linearizer is not None:
        for amplifier, colour in zip(linearizer.amplifiers, _shades(len(linearizer.amplifiers)), strict=True):
            signal = np.linspace(0.0, amplifier.top, 200)
            axes[2].plot(signal / 1e3, 100.0 * amplifier.deviation(signal), color=colour, lw=1.2, label=amplifier.name)
        axes[2].set(xlabel="signal [1,000 ADU]", ylabel="correction [%]")
        axes[2].set_title("Linearity")
    return png(figure)


def _plot_areas(axis: Any, curves: list[PhotonTransfer]) -> None:
    weight = np.array([curve.area_err**-2.0 for curve in curves])
    area = np.average([curve.area for curve in curves], axis=0, weights=weight) * _PER_MILLION
    error = weight.sum(axis=0) ** -0.5 * _PER_MILLION
    rows, columns = np.indices(area.shape)
    distance = np.hypot(rows, columns)
    kinds = {
        "in the column": (columns == 0) & (rows > 0),
        "in the row": (rows == 0) & (columns > 0),
        "else": (rows > 0) & (columns > 0),
    }
    for (name, chosen), colour in zip(kinds.items(), (ACCENT, SECOND, INK), strict=True):
        axis.errorbar(distance[chosen], area[chosen], error[chosen], fmt="o", ms=3, lw=0.8, color=colour, label=name)
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set(xlabel="distance from the charge [px]", ylabel="change of area [1e-6 per e]")
    axis.set_title(f"Own pixel: {area[0, 0]:.3f} +- {error[0, 0]:.3f} e-6")
    axis.legend(fontsize=7)


def _shades(count: int) -> list[Any]:
    import matplotlib as mpl

    return [mpl.colormaps["viridis"](0.85 * k / max(count - 1, 1)) for k in range(count)]
