"""Picture of what becomes of sources that were added to an image."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png, styled
from etendue.qa.transfer_curve import TransferCurve


@styled
def transfer_plot(curves: Mapping[str, TransferCurve], *, label: str = "magnitude [AB]", title: str = "") -> bytes:
    """Plot completeness, bias with scatter, and pull widths.

    Parameters
    ----------
    curves : mapping of str to TransferCurve
        Up to three, by what they are of.
    label : str
        Of the axis that is common to all panels.
    title : str
        Over the first panel.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axes = new_figure(11.0, 3.2, 1, 3)
    for (name, curve), colour in zip(curves.items(), (ACCENT, SECOND, INK), strict=False):
        middle = 0.5 * (curve.low + curve.high)
        axes[0].errorbar(middle, curve.completeness, curve.completeness_err, fmt="o-", ms=3, lw=1.0, color=colour,
                         label=name)  # fmt: skip
        axes[1].errorbar(middle, curve.bias, curve.bias_err, fmt="o-", ms=3, lw=1.0, color=colour)
        axes[1].fill_between(middle, curve.bias - curve.scatter, curve.bias + curve.scatter, color=colour, alpha=0.15,
                             lw=0)  # fmt: skip
        axes[2].plot(middle, curve.pull_width, "o-", ms=3, lw=1.0, color=colour)
    _annotate(axes, curves, label)
    axes[0].set_title(title or "Completeness")
    return png(figure)


def _annotate(axes: Any, curves: Mapping[str, TransferCurve], label: str) -> None:
    for level in (0.5, 0.9):
        axes[0].axhline(level, color=INK, lw=0.5, ls=":")
    axes[0].set(xlabel=label, ylabel="completeness", ylim=(-0.02, 1.05))
    axes[0].legend(fontsize=8, loc="lower left")
    reach = [np.nanpercentile(curve.scatter, 80.0) for curve in curves.values() if np.isfinite(curve.scatter).any()]
    axes[1].axhline(0.0, color=INK, lw=0.5)
    axes[1].set(xlabel=label, ylabel="measured - true [mag], band: scatter")
    axes[1].set_title("Bias and scatter")
    if reach:
        axes[1].set_ylim(-2.0 * max(reach), 2.0 * max(reach))
    axes[2].axhline(1.0, color=INK, lw=0.5)
    axes[2].set(xlabel=label, ylabel="width of (measured - true) / error", ylim=(0.0, None))
    axes[2].set_title("Errors")
