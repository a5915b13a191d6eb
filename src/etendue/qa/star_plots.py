"""Pictures of repeatability: scatter against brightness, and maps of residuals."""

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png
from etendue.qa.repeatability import StarStatistics


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
    order = np.argsort(statistics.mag)
    right.semilogy(
        statistics.mag[order], statistics.mag_error_mmag[order], "-", lw=0.8, color=INK, label="formal error"
    )
    right.set(xlabel="magnitude", ylabel="scatter per visit [mmag]", title="Photometric repeatability")
    right.legend(loc="upper left", markerscale=3)
    return png(figure)


def residual_map(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    dx_mas: NDArray[np.float64],
    dy_mas: NDArray[np.float64],
    mag_residual_mmag: NDArray[np.float64],
    *,
    cells: int = 12,
) -> bytes:
    """Plot the mean residuals of single measurements over the detector.

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
        PNG: an arrow map and a colour map; cells with fewer than three measurements stay empty.
    """
    edges_x = np.linspace(x.min(), x.max() + 1e-6, cells + 1)
    edges_y = np.linspace(y.min(), y.max() + 1e-6, cells + 1)
    column, row = np.digitize(x, edges_x) - 1, np.digitize(y, edges_y) - 1
    cell = row * cells + column
    count = np.bincount(cell, minlength=cells * cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [
            np.where(count >= 3, np.bincount(cell, values, cells * cells) / count, np.nan).reshape(cells, cells)
            for values in (dx_mas, dy_mas, mag_residual_mmag)
        ]
    figure, (left, right) = new_figure(9.0, 3.9, 1, 2)
    centre_x, centre_y = 0.5 * (edges_x[1:] + edges_x[:-1]), 0.5 * (edges_y[1:] + edges_y[:-1])
    arrows = left.quiver(centre_x, centre_y, means[0], means[1], color=ACCENT, angles="xy")
    left.quiverkey(arrows, 0.85, 1.04, 5.0, "5 mas", labelpos="E", fontproperties={"size": 8})
    left.set(title="Mean position residual", xlabel="x [px]", ylabel="y [px]", aspect="equal")
    limit = np.nanmax(np.abs(means[2])) if np.isfinite(means[2]).any() else 1.0
    shown = right.imshow(
        means[2], origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit,
        extent=(edges_x[0], edges_x[-1], edges_y[0], edges_y[-1]),
    )  # fmt: skip
    right.grid(visible=False)
    right.set(title="Mean magnitude residual [mmag]", xlabel="x [px]")
    figure.colorbar(shown, ax=right, shrink=0.85)
    return png(figure)
