"""Figures as PNG bytes, in one style."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, ACCENT, SECOND, THIRD = "#1b2733", "#0b6e8f", "#c8553d", "#7a9e3a"
BAND_COLOURS = {"u": "#5b3f9e", "g": "#2e7d4f", "r": "#c8553d", "i": "#8c2d19", "z": "#5a3a1e", "y": "#222222"}
_STYLE: Mapping[str, Any] = {
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "grid.alpha": 0.25,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}


styled = mpl.rc_context(dict(_STYLE))
"""Decorator of every function that draws: titles and legends take the style when they are made."""


def new_figure(
    width: float = 6.4, height: float = 4.0, rows: int = 1, columns: int = 1, **kwargs: Any
) -> tuple[Figure, Any]:
    """Return a figure and its axes, without any global state; the caller is `styled`.

    Parameters
    ----------
    width, height : float
        Size [inch].
    rows, columns : int
        Panels.
    **kwargs : object
        Passed to `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : matplotlib.axes.Axes or ndarray of them
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **kwargs)


def png(figure: Figure, dpi: int = 100) -> bytes:
    """Return the figure as PNG, the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure.
    dpi : int
        Pixels per inch.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def band_colour(band: str) -> str:
    """Return the colour of a band; bands without one of their own share the accent colour."""
    return BAND_COLOURS.get(band, ACCENT)
