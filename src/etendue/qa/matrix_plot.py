"""Small matrices in colour with their numbers: crosstalk, changes of areas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import new_figure, png, styled

_MOST_WRITTEN = 9


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """One matrix.

    Parameters
    ----------
    title : str
        What it is.
    values : ndarray, shape (n, m)
        Numbers; NaN stays white.
    unit : str
        Unit, with the power of ten by which the numbers were divided.
    rows, columns : sequence of str
        Names.
    axes : tuple of str
        What rows and columns are.
    """

    title: str
    values: NDArray[np.float64]
    unit: str
    rows: Sequence[str]
    columns: Sequence[str]
    axes: tuple[str, str]


@styled
def matrix_plot(matrices: Sequence[Matrix], *, share_scale: bool = True) -> bytes:
    """Draw matrices side by side on a scale that is white at 0.

    Parameters
    ----------
    matrices : sequence of Matrix
        At least one.
    share_scale : bool
        Whether all have one scale: before and after.

    Returns
    -------
    bytes
        PNG.
    """
    figure, grid = new_figure(4.2 * len(matrices), 3.6, 1, len(matrices), squeeze=False)
    tops = [float(np.nanmax(np.abs(m.values), initial=0.0)) or 1.0 for m in matrices]
    for axis, matrix, own in zip(grid[0], matrices, tops, strict=True):
        top = max(tops) if share_scale else own
        image = axis.imshow(matrix.values, cmap="RdBu_r", vmin=-top, vmax=top)
        axis.grid(visible=False)
        axis.set_xticks(range(len(matrix.columns)), matrix.columns, fontsize=7)
        axis.set_yticks(range(len(matrix.rows)), matrix.rows, fontsize=7)
        axis.set(ylabel=matrix.axes[0], xlabel=matrix.axes[1])
        axis.set_title(matrix.title, fontsize=9)
        if max(matrix.values.shape) <= _MOST_WRITTEN:
            for (row, column), value in np.ndenumerate(matrix.values):
                if np.isfinite(value):
                    shade = "white" if abs(value) > 0.6 * top else "black"
                    text = f"{value:.{3 if abs(value) < 1e3 else 4}g}"
                    axis.text(column, row, text, ha="center", va="center", fontsize=6, color=shade)
        figure.colorbar(image, ax=axis, label=matrix.unit, fraction=0.046)
    return png(figure)
