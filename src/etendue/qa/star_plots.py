"""Pictures of repeatability: scatter against brightness, and maps of residuals."""

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png, styled
from etendue.qa.repeatability import StarStatistics


@styled
def repeatability_plot(statistics: StarStatistics) -> bytes:
    """Plot positional and photometric scatter against magnitude, with the formal errors.

    Parameters
    ----------
    statistics : StarStatistics
        Stars.

    Returns
    -------
    bytes
        PNG with two panels.
    """
    figure, (left, right) = new_figure(9.0, 3.6, 1, 2)
    left.semilogy(statistics.mag, statistics.ra_scatter_mas, ".", ms=3, color=ACCENT, alpha=0.5, label="RA cos(Dec)")
    left.semilogy(statistics.mag, statistics.dec_scatter_mas, ".", ms=3, color=SECOND, alpha=0.5, label="Dec")
    left.set(xlabel="magnitude", ylabel="scatter per visit [mas]", title="Astrometric repeatability")
    left.legend(loc="upper left", markerscale=3)
    right.semilogy(statistics.mag, statistics.mag_scatter_mmag, ".", ms=3, color=ACCENT, alpha=0.5, label="measured")
    right.semilogy(*_running_median(statistics.mag, statistics.mag_error_mmag), "-", color=INK, label="formal error")
    right.set(xlabel="magnitude", ylabel="scatter per visit [mmag]", title="Photometric repeatability")
    right.legend(loc="upper left", markerscale=3)
    return png(figure)


def _running_median(
    x: NDArray[np.float64], y: NDArray[np.float64], width: float = 0.25
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the medians of ``y`` in bins of ``x``."""
    bins = np.floor(x / width).astype(np.int64)
    places = np.unique(bins)
    return np.asarray((places + 0.5) * width, float), np.array([np.median(y[bins == place]) for place in places])


@styled
def residual_map(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    dx_mas: NDArray[np.float64],
    dy_mas: NDArray[np.float64],
    mag_residual_mmag: NDArray[np.float64],
    *,
    cells: int = 8,
) -> bytes:
    """Plot how large the residuals of single measurements are over the detector.

    Colours are robust scatters. Arrows are mean position residuals; they vanish where no star changes its cell from
    visit to visit, because residuals are about each star's own mean.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Pixel positions.
    dx_mas, dy_mas : ndarray, float64, shape (n,)
        Position minus mean position, east and north [mas].
    mag_residual_mmag : ndarray, float64, shape (n,)
        Magnitude minus mean magnitude [mmag].
    cells : int
        Cells along either side.

    Returns
    -------
    bytes
        PNG with two panels; cells with fewer than three measurements stay empty.
    """
    edges = [np.linspace(axis.min(), axis.max() + 1e-6, cells + 1) for axis in (x, y)]
    column, row = np.digitize(x, edges[0]) - 1, np.digitize(y, edges[1]) - 1
    members = [np.flatnonzero(row * cells + column == cell) for cell in range(cells * cells)]
    position = np.hypot(dx_mas, dy_mas) / np.sqrt(2.0 * np.log(2.0))  # its median is then the scatter per axis
    magnitude = np.abs(mag_residual_mmag) * 1.4826
    figure, axes = new_figure(9.6, 4.0, 1, 2)
    extent = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
    for axis, values, title in zip(
        axes, (position, magnitude), ("Position scatter per axis [mas]", "Magnitude scatter [mmag]"), strict=True
    ):
        grid = np.array([np.median(values[m]) if m.size >= 3 else np.nan for m in members]).reshape(cells, cells)
        top = float(np.nanpercentile(grid, 95.0)) if np.isfinite(grid).any() else 1.0
        shown = axis.imshow(grid, origin="lower", cmap="viridis", vmin=0.0, vmax=max(top, 1e-9), extent=extent)
        axis.grid(visible=False)
        axis.set_title(title, loc="left")
        axis.set(xlabel="x [px]", ylabel="y [px]")
        figure.colorbar(shown, ax=axis, shrink=0.85)
    means = [[values[m].mean() if m.size >= 3 else np.nan for m in members] for values in (dx_mas, dy_mas)]
    centres = np.meshgrid(*(0.5 * (edge[1:] + edge[:-1]) for edge in edges))
    cell_size = float(edges[0][1] - edges[0][0])
    arrows = axes[0].quiver(
        *centres, *(np.reshape(mean, (cells, cells)) for mean in means), color="white", width=0.006,
        angles="xy", scale_units="xy", scale=10.0 / cell_size,
    )  # fmt: skip
    axes[0].quiverkey(arrows, 0.93, 1.04, 10.0, "10 mas", labelpos="W", color=INK, fontproperties={"size": 7})
    return png(figure)
