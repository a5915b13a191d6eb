"""Numbers of single frames with their limits, an amplifier in each colour."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np

from etendue.qa.figure import SECOND, new_figure, png, styled

_MOST_NAMES = 16


@dataclass(frozen=True, slots=True)
class CheckLine:
    """Numbers of one amplifier.

    Parameters
    ----------
    name : str
        Amplifier, or whatever tells the line from others.
    x, y : sequence of float
        Place (number of the frame, or level) and number; NaN is left out.
    faint : bool
        Whether it is drawn in grey: for comparison.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False


@dataclass(frozen=True, slots=True)
class CheckPanel:
    """One number of all frames.

    Parameters
    ----------
    title : str
        The number.
    xlabel : str
        What the places are.
    lines : sequence of CheckLine
        Amplifiers.
    limits : tuple of float
        Drawn dashed where they are finite and not far outside.
    """

    title: str
    xlabel: str
    lines: Sequence[CheckLine]
    limits: tuple[float, float] = field(default=(float("-inf"), float("inf")))


@styled
def frame_check_plot(panels: Sequence[CheckPanel], columns: int = 3) -> bytes:
    """Draw panels side by side.

    Parameters
    ----------
    panels : sequence of CheckPanel
        At least one.
    columns : int
        Panels in a row.

    Returns
    -------
    bytes
        PNG.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = new_figure(4.1 * columns, 2.9 * rows, rows, columns, squeeze=False)
    axes = grid.ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, panel in zip(axes, panels, strict=False):
        count = sum(not line.faint for line in panel.lines)
        colours = iter(mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(count, 1))))
        for line in panel.lines:
            shade = "0.75" if line.faint else next(colours)
            axis.plot(line.x, line.y, "o" if len(line.x) < 60 else ".", ms=3, color=shade, label=line.name,
                      zorder=1 if line.faint else 2)  # fmt: skip
        _scale(axis, panel)
        axis.set_title(textwrap.fill(panel.title, 46), fontsize=8)
        axis.set_xlabel(panel.xlabel, fontsize=8)
        axis.ticklabel_format(axis="y", scilimits=(-3, 4))
    named = [line for line in panels[0].lines if line.name]
    if 1 < len(named) <= _MOST_NAMES:
        axes[0].legend(fontsize=6, ncols=min(len(named), 4))
    return png(figure)


def _scale(axis: "mpl.axes.Axes", panel: CheckPanel) -> None:
    """Draw the limits, unless they would squeeze the numbers into a line; far numbers become triangles at the rim."""
    values = np.concatenate([np.asarray(line.y, float) for line in panel.lines] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    if not values.size:
        return
    usual = float(np.percentile(np.abs(values), 97.0))
    drawn = [limit for limit in panel.limits if limit and np.isfinite(limit) and abs(limit) < 30.0 * usual]
    for limit in drawn:
        axis.axhline(limit, color=SECOND, lw=0.9, ls="--")
    axis.axhline(0.0, color="0.6", lw=0.8, zorder=0)
    reach = 1.4 * max([usual, *(abs(limit) for limit in drawn)])
    if float(np.abs(values).max()) > 2.0 * reach:
        axis.set_ylim(min(-0.05 * reach, max(1.2 * float(values.min()), -reach)), reach)
        for line in panel.lines:
            x, y = np.asarray(line.x, float), np.asarray(line.y, float)
            for far, marker, edge in ((y > reach, "^", 0.97 * reach), (y < -reach, "v", -0.97 * reach)):
                axis.plot(x[far], np.full(int(far.sum()), edge), marker, ms=5, color=SECOND)
