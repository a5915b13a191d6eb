"""Picture of a calibration map: its pixels in colour, and their histogram."""

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, SECOND, new_figure, png, styled

_SIDE, _BINS, _MARGIN = 260, 80, 0.25


@styled
def calibration_map_plot(
    pixels: NDArray, title: str, unit: str, *, marked: NDArray[np.bool_] | None = None, logarithmic: bool = True
) -> bytes:
    """Draw a map on a colour scale between its 0.5 and 99.5 percentiles, and how often each value occurs.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Map; NaN stays white.
    title : str
        What it is.
    unit : str
        Of the values.
    marked : ndarray, bool, shape (ny, nx), optional
        Pixels drawn red, each at least as large as a pixel of the picture.
    logarithmic : bool
        Whether the histogram counts logarithmically.

    Returns
    -------
    bytes
        PNG.
    """
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.5))) if finite.size else (0.0, 1.0)
    high = max(high, low + 1e-9)
    figure, axes = new_figure(5.5, 2.6, 1, 2, width_ratios=(1.35, 1.0))
    step = max(1, -(-max(pixels.shape) // _SIDE))
    extent = (-0.5, pixels.shape[1] - 0.5, -0.5, pixels.shape[0] - 0.5)
    image = axes[0].imshow(
        _binned(pixels, step), origin="lower", vmin=low, vmax=high, cmap="viridis", extent=extent, interpolation="none"
    )
    if marked is not None and marked.any():
        y, x = np.nonzero(_any(marked, step))
        axes[0].scatter(x * step, y * step, s=3.0, c=SECOND, marker="s", linewidths=0.0)
    axes[0].grid(visible=False)
    axes[0].set_title(title, fontsize=9)
    for axis in axes:
        axis.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes[0], fraction=0.046, extend="both").ax.tick_params(labelsize=7)
    span = _MARGIN * (high - low)
    counted = np.clip(finite, low - span, high + span)
    if finite.size:
        axes[1].hist(counted, bins=_BINS, color=ACCENT, histtype="stepfilled", log=logarithmic)
    for edge in (low, high):
        axes[1].axvline(edge, color="0.5", lw=0.8, ls=":")
    axes[1].set(xlabel=unit, ylabel="pixels")
    axes[1].set_title(f"median {np.median(finite):.4g}" if finite.size else "no value", fontsize=9)
    return png(figure)


def _binned(pixels: NDArray, step: int) -> NDArray[np.float64]:
    """Return means of cells; what does not fill one at the upper edges is left out."""
    ny, nx = max(pixels.shape[0] // step, 1), max(pixels.shape[1] // step, 1)
    cells = np.asarray(pixels[: ny * step, : nx * step], float).reshape(ny, -1, nx, min(step, pixels.shape[1]))
    known = np.isfinite(cells)
    count = known.sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, cells, 0.0).sum(axis=(1, 3)) / count)


def _any(marked: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    ny, nx = max(marked.shape[0] // step, 1), max(marked.shape[1] // step, 1)
    cells = marked[: ny * step, : nx * step].reshape(ny, -1, nx, min(step, marked.shape[1]))
    return np.asarray(cells.any(axis=(1, 3)))
