"""Pictures of how many objects a simulated sky has, and how they cluster, beside what others have counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, THIRD, new_figure, png, styled

Vector = NDArray[np.float64]

_COLOURS = {"stars": ACCENT, "galaxies": SECOND, "cluster": THIRD}
_STEP_MAG = 0.5
_LEAST_EXCESS = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A curve of others.

    Parameters
    ----------
    label : str
        Whose.
    x, y : ndarray, float64, shape (n,)
        Points.
    """

    label: str
    x: Vector
    y: Vector


@dataclass(frozen=True, slots=True, eq=False)
class CountsPanel:
    """Number counts in one kind of light.

    Parameters
    ----------
    title : str
        What is counted, and where.
    light : str
        Name of the magnitude.
    area_deg2 : float
        Solid angle [deg**2].
    mags : mapping of str to ndarray
        Magnitudes by kind of object.
    published : Published or None
        Objects per magnitude and square degree, of others.
    depth_mag : float
        Magnitude of a star at 5 sigma in one visit; NaN if it is not known in this light [mag].
    """

    title: str
    light: str
    area_deg2: float
    mags: Mapping[str, Vector]
    published: Published | None = None
    depth_mag: float = field(default=float("nan"))


@styled
def counts_plot(panels: Sequence[CountsPanel]) -> bytes:
    """Plot number counts.

    Parameters
    ----------
    panels : sequence of CountsPanel
        At least one.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axes = new_figure(4.6 * len(panels), 3.9, 1, len(panels), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        _counts(axis, panel)
    return png(figure, dpi=110)


def _counts(axis: Axes, panel: CountsPanel) -> None:
    for name, values in panel.mags.items():
        edges = np.arange(np.floor(values.min()), np.ceil(values.max()) + _STEP_MAG, _STEP_MAG)
        found = np.histogram(values, edges)[0]
        scale, colour = 1.0 / _STEP_MAG / panel.area_deg2, _COLOURS.get(name, INK)
        axis.stairs(found * scale, edges, color=colour, lw=1.7, label=f"{name}: {values.size}", baseline=None)
        seen = found > 0
        middle = 0.5 * (edges[1:] + edges[:-1])[seen]
        axis.errorbar(middle, found[seen] * scale, np.sqrt(found[seen]) * scale, fmt="none", ecolor=colour, lw=0.9)
    if panel.published is not None and panel.published.x.size:
        axis.plot(panel.published.x, panel.published.y, "o", ms=4.5, mfc="none", color=INK, label=panel.published.label)
    if np.isfinite(panel.depth_mag):
        axis.axvline(panel.depth_mag, color="0.45", ls="--", lw=1.0)
        axis.annotate(
            "5 sigma, one visit", (panel.depth_mag, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            fontsize=7, ha="right", va="bottom", color="0.35",
        )  # fmt: skip
    axis.set(yscale="log", xlabel=panel.light, ylabel="number per mag and deg$^2$", title=panel.title)
    axis.legend(loc="upper left", fontsize=7)


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """How galaxies cluster, and how often they overlap.

    Parameters
    ----------
    separation_arcmin, correlation, error : ndarray, float64, shape (k,)
        Two-point correlation of galaxies of one magnitude.
    published : Published
        The same, of others.
    gap_arcsec, share, even_share : ndarray, float64, shape (m,)
        Share of the galaxies that a visit sees with another one nearer than this; the same if they were spread evenly.
    seeing_arcsec : float
        Median seeing [arcsec].
    label : str
        Which galaxies the correlation is of.
    """

    separation_arcmin: Vector
    correlation: Vector
    error: Vector
    published: Published
    gap_arcsec: Vector
    share: Vector
    even_share: Vector
    seeing_arcsec: float
    label: str


@styled
def clustering_plot(found: Clustering) -> bytes:
    """Plot the correlation of galaxies and their neighbours.

    Parameters
    ----------
    found : Clustering
        What is plotted.

    Returns
    -------
    bytes
        PNG.
    """
    figure, (left, right) = new_figure(9.2, 3.9, 1, 2)
    shown = np.isfinite(found.correlation) & (found.correlation > 0.0)
    size = np.minimum(found.error, 0.999 * found.correlation)[shown]
    left.errorbar(
        found.separation_arcmin[shown], found.correlation[shown], np.stack([size, found.error[shown]]), fmt="o", ms=4,
        color=SECOND, lw=1.0, label=found.label,
    )  # fmt: skip
    above = found.published.y > 0.0
    left.plot(found.published.x[above], found.published.y[above], "-", lw=1.2, color=INK, label=found.published.label)
    left.set(xscale="log", yscale="log", xlabel="separation [arcmin]", ylabel="excess of pairs",
             title="Angular correlation of galaxies", ylim=(_LEAST_EXCESS, None))  # fmt: skip
    left.legend(fontsize=7)
    right.plot(found.gap_arcsec, found.share, "-", lw=1.6, color=SECOND, label="simulated")
    right.plot(found.gap_arcsec, found.even_share, "--", lw=1.2, color=INK, label="if spread evenly")
    right.axvline(found.seeing_arcsec, color="0.45", ls=":", lw=1.2)
    right.annotate("seeing", (found.seeing_arcsec, 0.98), xycoords=("data", "axes fraction"), rotation=90, fontsize=7,
                   ha="right", va="top", color="0.35")  # fmt: skip
    right.set(xlabel="separation [arcsec]", ylabel="share of galaxies", ylim=(0.0, None), xlim=(0.0, None),
              title="Galaxies of a visit with a neighbour")  # fmt: skip
    right.legend(fontsize=7)
    return png(figure, dpi=110)
