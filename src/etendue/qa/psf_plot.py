"""Pictures of point-spread functions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import SECOND, new_figure, png, styled

_HALF = 7
_FAINTEST = 1e-3


@styled
def psf_grid_plot(stamps: Sequence[NDArray[np.float64]], labels: Sequence[str], *, columns: int = 3) -> bytes:
    """Plot PSF models at several places, logarithmic from a thousandth of the peak, with the half-maximum contour.

    Parameters
    ----------
    stamps : sequence of ndarray, shape (k, k)
        Centred PSFs; the top row of panels comes first.
    labels : sequence of str
        Title of each panel.
    columns : int
        Panels in a row.

    Returns
    -------
    bytes
        PNG.
    """
    rows = -(-len(stamps) // columns)
    figure, axes = new_figure(2.2 * columns + 0.4, 2.35 * rows, rows, columns, squeeze=False)
    shown = None
    for axis, stamp, label in zip(axes.flat, stamps, labels, strict=False):
        middle = stamp.shape[0] // 2
        half = min(_HALF, middle)
        core = stamp[middle - half : middle + half + 1, middle - half : middle + half + 1] / stamp.max()
        reach = half + 0.5
        shown = axis.imshow(
            np.log10(np.maximum(core, _FAINTEST)), origin="lower", cmap="magma", vmin=np.log10(_FAINTEST), vmax=0.0,
            extent=(-reach, reach, -reach, reach), interpolation="nearest",
        )  # fmt: skip
        grid = np.arange(-half, half + 1)
        axis.contour(grid, grid, core, levels=[0.5], colors=[SECOND], linewidths=1.0)
        axis.set_title(label, fontsize=8)
        axis.grid(visible=False)
        axis.tick_params(labelsize=6)
    for axis in list(axes.flat)[len(stamps) :]:
        axis.set_axis_off()
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.6, label="log10 of the fraction of the peak")
    return png(figure)
