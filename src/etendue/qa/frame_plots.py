"""Pictures of one calibrated frame: errors against magnitude, and residuals from a reference catalog."""

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png, styled

Vector = NDArray[np.float64]
_MAG_PER_LN = 2.5 / np.log(10.0)
_MOST_ARROWS, _CELLS = 200, 12


@styled
def magnitude_error_plot(mag: Vector, mag_err: Vector, extended: NDArray[np.bool_], *, label: str) -> bytes:
    """Plot formal errors and counts against magnitude.

    Parameters
    ----------
    mag, mag_err : ndarray, float64, shape (n,)
        Magnitudes and their errors [mag]; NaN is left out.
    extended : ndarray, bool, shape (n,)
        Sources that are wider than the PSF.
    label : str
        What the magnitudes are.

    Returns
    -------
    bytes
        PNG with two panels.
    """
    good = np.isfinite(mag) & np.isfinite(mag_err) & (mag_err > 0.0)
    figure, (left, right) = new_figure(9.0, 3.6, 1, 2)
    for which, colour, name in ((~extended, ACCENT, "point-like"), (extended, SECOND, "extended")):
        left.semilogy(mag[good & which], mag_err[good & which], ".", ms=3, color=colour, alpha=0.6, label=name)
    left.axhline(_MAG_PER_LN / 5.0, color=INK, lw=0.8, ls="--", label="S/N 5")
    left.set(xlabel=label, ylabel="formal error of the PSF magnitude [mag]", title="Errors")
    left.legend(loc="upper left", markerscale=3)
    right.hist(mag[good], bins=40, color=ACCENT, alpha=0.8)
    right.set(xlabel=label, ylabel="sources", title="Counts")
    return png(figure)


@styled
def reference_residual_plot(
    x: Vector, y: Vector, east_mas: Vector, north_mas: Vector, mag: Vector, mag_residual: Vector,
    bright: NDArray[np.bool_], *, rms_mas: float,
) -> bytes:  # fmt: skip
    """Plot position and magnitude residuals of matched reference stars.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Pixel positions.
    east_mas, north_mas : ndarray, float64, shape (n,)
        Source minus reference [mas].
    mag, mag_residual : ndarray, float64, shape (n,)
        Reference magnitude and source minus reference [mag]; NaN where not known.
    bright : ndarray, bool, shape (n,)
        Bright stars in the fit of the WCS; their map is averaged in cells where they are many.
    rms_mas : float
        Scatter per axis of the bright ones [mas], which sets the scale.

    Returns
    -------
    bytes
        PNG with three panels: residuals, their map, magnitudes.
    """
    figure, (left, middle, right) = new_figure(12.6, 3.9, 1, 3)
    reach = 5.0 * rms_mas if rms_mas > 0.0 else 1000.0
    left.plot(
        east_mas[~bright], north_mas[~bright], ".", ms=3, color=SECOND, alpha=0.6, label=f"others ({(~bright).sum()})"
    )
    left.plot(east_mas[bright], north_mas[bright], ".", ms=3, color=ACCENT, alpha=0.6, label=f"bright ({bright.sum()})")
    left.set(xlim=(reach, -reach), ylim=(-reach, reach), xlabel="east [mas]", ylabel="north [mas]", aspect="equal")
    left.set_title(f"Source minus reference: {rms_mas:.0f} mas per axis")
    left.legend(loc="upper right", markerscale=3, fontsize=7)
    places = _cell_means(*(values[bright] for values in (x, y, east_mas, north_mas)))
    size = float(np.median(np.hypot(places[2], places[3]))) if places[0].size else rms_mas
    arrows = middle.quiver(
        places[0], places[1], -places[2], places[3], color=ACCENT, width=0.003, angles="uv",
        scale=20.0 * max(size, 1e-9),
    )  # fmt: skip
    middle.quiverkey(arrows, 0.9, 1.04, 2.0 * size, f"{2.0 * size:.0f} mas", labelpos="W", fontproperties={"size": 8})
    middle.set(xlabel="x [px]", ylabel="y [px]", aspect="equal")
    middle.set_title("Map, N up, E left", loc="left")
    good = np.isfinite(mag) & np.isfinite(mag_residual)
    if good.any():
        right.plot(mag[good], mag_residual[good], ".", ms=3, color=ACCENT, alpha=0.6)
        right.axhline(0.0, color=INK, lw=0.8)
        right.set(xlabel="reference magnitude (AB)", ylabel="source minus reference [mag]", ylim=(-0.5, 0.5))
        right.set_title("Magnitudes")
    else:
        right.set_axis_off()
        right.text(0.5, 0.5, "no reference magnitudes in this band", ha="center", transform=right.transAxes)
    return png(figure)


def _cell_means(x: Vector, y: Vector, east: Vector, north: Vector) -> tuple[Vector, ...]:
    """Return all four as they are, or their means in cells where there are more than can be told apart."""
    if x.size <= _MOST_ARROWS:
        return x, y, east, north
    edges = [np.linspace(axis.min(), axis.max() + 1e-6, _CELLS + 1) for axis in (x, y)]
    cell = (np.digitize(x, edges[0]) - 1) * _CELLS + np.digitize(y, edges[1]) - 1
    count = np.bincount(cell, minlength=_CELLS**2)
    filled = count >= 3
    return tuple((np.bincount(cell, values, _CELLS**2)[filled] / count[filled]) for values in (x, y, east, north))
