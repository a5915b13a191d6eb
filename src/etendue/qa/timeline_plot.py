"""Which calibration is in force when, over the dates of the exposures."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from etendue.qa.figure import INK, new_figure, png, styled

_MJD_1970 = 40587.0  # where matplotlib counts its days from
_COLOURS = (
    "#0b6e8f",
    "#7a9e3a",
    "#d9a441",
    "#5b3f9e",
    "#2a9d8f",
    "#8a5a44",
    "#c77cb0",
    "#4c6a92",
    "#a3a847",
    "#6d6875",
)
_BARE, _GAP = "#c8553d", "#f3d9d2"
_ROW_IN, _BAR, _HIDDEN_BAR, _TICK = 0.34, 0.62, 0.16, 0.42
_MOST_VERSIONS = 12
_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """A stretch of time with one calibration.

    Parameters
    ----------
    begin, end : float
        MJD [TAI]; infinite where it is unbounded.
    version : int
        Index of what it comes from in the list of versions.
    """

    begin: float
    end: float
    version: int


@dataclass(frozen=True, slots=True, eq=False)
class TimelineRow:
    """Calibrations of one type, filter and group of detectors.

    Parameters
    ----------
    name : str
        What the row is called.
    bars : sequence of TimelineBar
        In force; they do not overlap.
    hidden : sequence of TimelineBar
        Valid as well, but something else goes before them.
    bare : ndarray, float64, shape (n,)
        Begins of the science exposures that find no calibration [MJD, TAI].
    """

    name: str
    bars: Sequence[TimelineBar]
    hidden: Sequence[TimelineBar]
    bare: NDArray[np.float64]


@styled
def timeline_plot(
    rows: Sequence[TimelineRow],
    versions: Sequence[str],
    exposures: NDArray[np.float64],
    *,
    begin: float,
    end: float,
    title: str,
) -> bytes:
    """Draw a bar per calibration, coloured by version; gaps are shaded, and exposures inside them red.

    Parameters
    ----------
    rows : sequence of TimelineRow
        From top to bottom.
    versions : sequence of str
        Names of what calibrations come from.
    exposures : ndarray, float64, shape (n,)
        Begins of all science exposures [MJD, TAI], drawn as ticks above the rows.
    begin, end : float
        Stretch of time to draw [MJD, TAI].
    title : str
        Above.

    Returns
    -------
    bytes
        PNG.
    """
    shown = versions[:_MOST_VERSIONS]
    legend_rows = -(-(len(shown) + 2) // 2)
    figure, axes = new_figure(9.0, 1.1 + _ROW_IN * (len(rows) + 1) + 0.22 * legend_rows)
    for place, row in enumerate(rows, 1):
        axes.barh(place, end - begin, left=_day(begin), height=_BAR, color=_GAP, lw=0, zorder=1)
        for bar in row.bars:
            _draw(axes, place, bar, (begin, end), _BAR)
        for bar in row.hidden:
            _draw(axes, place + 0.5 * (_BAR + _HIDDEN_BAR), bar, (begin, end), _HIDDEN_BAR)
        _ticks(axes, row.bare, place, _BARE)
    _ticks(axes, exposures, 0, INK)
    axes.set_yticks(range(len(rows) + 1), ["science exposures", *(row.name for row in rows)], fontsize=8)
    axes.set(xlim=(_day(begin), _day(end)), ylim=(len(rows) + 0.75, -0.6), title=title)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    handles = [Patch(color=_colour(k), label=name) for k, name in enumerate(shown)]
    handles.append(Patch(color=_GAP, label="nothing valid; red: exposures without"))
    if any(row.hidden for row in rows):
        handles.append(Patch(color="none", label="thin: valid as well, but the thick one goes before it"))
    more = len(versions) - len(shown)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5,
                  title=f"and {more} more" if more > 0 else None)  # fmt: skip
    return png(figure, dpi=110)


def _draw(axes: Axes, place: float, bar: TimelineBar, window: tuple[float, float], height: float) -> None:
    """Draw one bar inside the window; a validity that goes on beyond it ends in an arrow."""
    begin, end = max(bar.begin, window[0]), min(bar.end, window[1])
    if end <= begin:
        return
    axes.barh(place, end - begin, left=_day(begin), height=height, color=_colour(bar.version), lw=0, zorder=2)
    if height < _BAR:
        return
    for beyond, x, marker in ((bar.begin < window[0], window[0], "<"), (bar.end > window[1], window[1], ">")):
        if beyond:
            inside = x + (1 if marker == "<" else -1) * 0.006 * (window[1] - window[0])
            axes.plot(_day(inside), place, marker=marker, color="white", ms=4.5, zorder=4)
    if bar.begin > window[0]:
        axes.plot([_day(begin)] * 2, [place - 0.5 * height, place + 0.5 * height], color="white", lw=1.2, zorder=3)


def _ticks(axes: Axes, times: NDArray[np.float64], place: float, colour: str) -> None:
    if len(times):
        half = 0.5 * _TICK
        axes.vlines(times - _MJD_1970, place - half, place + half, color=colour, lw=1.4, zorder=5)


def _colour(version: int) -> str:
    return _COLOURS[version % len(_COLOURS)]


def _day(mjd: float) -> float:
    return mjd - _MJD_1970


def drawn_window(times: Sequence[float]) -> tuple[float, float]:
    """Return the stretch of time that a timeline shows unless one is asked for.

    Parameters
    ----------
    times : sequence of float
        All that must be inside [MJD]; at least one.

    Returns
    -------
    begin, end : float
        With a margin, at least two days together [MJD].
    """
    margin = max(_MARGIN * (max(times) - min(times)), 1.0)
    return min(times) - margin, max(times) + margin
