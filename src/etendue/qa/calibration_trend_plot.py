"""Numbers of amplifiers from night to night."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from etendue.qa.figure import new_figure, png, styled

_MOST_NAMES = 16


@dataclass(frozen=True, slots=True)
class TrendLine:
    """One amplifier's number.

    Parameters
    ----------
    name : str
        Detector and amplifier.
    nights : sequence of int
        ``yyyymmdd``, ascending.
    values, errors : sequence of float
        NaN where a night does not tell; an error of 0 is not drawn.
    """

    name: str
    nights: Sequence[int]
    values: Sequence[float]
    errors: Sequence[float]


@styled
def calibration_trend_plot(panels: Mapping[str, Sequence[TrendLine]]) -> bytes:
    """Draw one panel per quantity, each amplifier's values about its own median over the nights.

    Parameters
    ----------
    panels : mapping of str to sequence of TrendLine
        Lines by quantity; those without a value are left out.

    Returns
    -------
    bytes
        PNG.
    """
    figure, grid = new_figure(9.0, 1.9 * len(panels) + 0.6, len(panels), sharex=True, squeeze=False)
    axes = grid[:, 0]
    nights = sorted({night for lines in panels.values() for line in lines for night in line.nights})
    place = {night: k for k, night in enumerate(nights)}
    for axis, (label, lines) in zip(axes, panels.items(), strict=True):
        for k, line in enumerate(lines):
            values = np.asarray(line.values, float)
            if not np.isfinite(values).any():
                continue
            middle = 0.0 if label.startswith("gain") else float(np.nanmedian(values))
            shift = 0.3 * (k / max(len(lines) - 1, 1) - 0.5)  # amplifiers beside each other
            axis.errorbar(
                [place[night] + shift for night in line.nights], values - middle,
                yerr=line.errors if any(line.errors) else None, marker="o", ms=3, lw=0.8, label=line.name,
            )  # fmt: skip
        axis.axhline(0.0, color="0.7", lw=0.8, zorder=0)
        axis.set_ylabel(label if label.startswith("gain") else f"{label}\nless its median", fontsize=8)
    axes[-1].set_xticks(range(len(nights)), [str(night) for night in nights], rotation=30, ha="right", fontsize=8)
    if len(axes[0].lines) > 0 and len(next(iter(panels.values()))) <= _MOST_NAMES:
        axes[0].legend(fontsize=7, ncols=8, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return png(figure)
