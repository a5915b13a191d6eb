"""Pictures of a survey: the nights' conditions, and what the objects are."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from etendue.qa.figure import band_colour, new_figure, png, styled


@styled
def conditions_plot(mjd_tai: NDArray[np.float64], band: NDArray[np.str_], series: Mapping[str, NDArray]) -> bytes:
    """Plot quantities of visits in the order of time, one panel each.

    Visits are spaced evenly, because nights are short and the days between them are not.

    Parameters
    ----------
    mjd_tai : ndarray, float64, shape (n,)
        Times [d].
    band : ndarray, str, shape (n,)
        Bands.
    series : mapping of str to ndarray, shape (n,)
        Quantities by title; NaN is left out.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axes = new_figure(9.6, 2.5, 1, len(series), squeeze=False)
    _, place = np.unique(mjd_tai, return_inverse=True)
    nights = np.flatnonzero(np.diff(np.unique(mjd_tai)) > 0.5) + 0.5
    for axis, (title, values) in zip(axes.flat, series.items(), strict=True):
        for name in np.unique(band):
            here = band == name
            axis.plot(place[here], np.asarray(values, float)[here], "o", ms=4, color=band_colour(str(name)), label=name)
        for night in nights:
            axis.axvline(night, color="0.6", lw=0.8, ls=":")
        axis.set_title(title)
        axis.set_xlabel("visit, in order of time")
        axis.margins(x=0.08, y=0.15)
    axes.flat[0].legend(fontsize=7)
    return png(figure)


@styled
def number_counts_plot(mags: Mapping[str, NDArray], limits: Mapping[str, Sequence[float]], *, scale: str) -> bytes:
    """Plot how many objects there are per half magnitude.

    Parameters
    ----------
    mags : mapping of str to ndarray
        Magnitudes by band; NaN is left out.
    limits : mapping of str to sequence of float
        Limiting magnitudes by band, drawn as dashed lines.
    scale : str
        "absolute" or "relative", for the label.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axis = new_figure(6.4, 3.2)
    for band, values in mags.items():
        _steps(axis, np.asarray(values, float), band)
        for limit in limits.get(band, ())[:1]:
            axis.axvline(limit, color=band_colour(band), ls="--", lw=1.0)
    axis.set_yscale("log")
    axis.set(xlabel=f"PSF magnitude ({scale} scale)", ylabel="objects per 0.5 mag")
    if mags:
        axis.legend(fontsize=8, loc="upper left")
    return png(figure)


def _steps(axis: Axes, values: NDArray[np.float64], band: str) -> None:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return
    edges = np.arange(np.floor(finite.min() * 2) / 2, np.ceil(finite.max() * 2) / 2 + 0.75, 0.5)
    counts = np.histogram(finite, edges)[0]
    axis.stairs(counts, edges, color=band_colour(band), lw=1.6, label=f"{band}: {finite.size} objects", baseline=0.8)
