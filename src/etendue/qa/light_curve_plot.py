"""Pictures of light curves and of tracks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, band_colour, new_figure, png, styled

_NIGHT_GAP = 0.4  # days without data that separate nights
_NIGHT_SPACE = 0.5  # hours between nights on the axis
_MANY_NIGHTS = 6


@dataclass(frozen=True)
class LightCurve:
    """Fluxes of one object.

    Parameters
    ----------
    label : str
        Title of its panel.
    mjd_tai : ndarray, float64, shape (n,)
        Times [d].
    flux, flux_err : ndarray, float64, shape (n,)
        Fluxes and 1-sigma errors [nJy].
    band : ndarray, str, shape (n,)
        Bands.
    """

    label: str
    mjd_tai: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    band: NDArray[np.str_]


class _Clock:
    """Time axis: hours of one night, hours of a few nights side by side, or days."""

    def __init__(self, mjd_tai: NDArray[np.float64]):
        times = np.unique(mjd_tai)
        breaks = np.flatnonzero(np.diff(times) > _NIGHT_GAP) + 1
        self._first = times[np.concatenate([[0], breaks])]
        last = times[np.concatenate([breaks - 1, [times.size - 1]]).astype(int)]
        length = (last - self._first) * 24.0
        self._offset = np.concatenate([[0.0], np.cumsum(length + _NIGHT_SPACE)[:-1]])
        self._in_days = self._first.size > _MANY_NIGHTS
        self.borders = [] if self._in_days else list(self._offset[1:] - _NIGHT_SPACE / 2.0)
        night = f"time since MJD {times[0]:.2f}"
        self.label = f"{night} [d]" if self._in_days else f"{night} [h]"
        if self.borders:
            self.label = f"{night} [h], {self._first.size} nights side by side"

    def place(self, mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where times are on the axis."""
        if self._in_days:
            return mjd_tai - self._first[0]
        night = np.searchsorted(self._first, mjd_tai, side="right") - 1
        return np.asarray((mjd_tai - self._first[night]) * 24.0 + self._offset[night])


@styled
def light_curves_plot(curves: list[LightCurve], *, columns: int = 3) -> bytes:
    """Plot light curves, one panel each, in hours with the nights side by side, or in days.

    Parameters
    ----------
    curves : list of LightCurve
        At least one.
    columns : int
        Panels in a row.

    Returns
    -------
    bytes
        PNG.
    """
    rows = -(-len(curves) // columns)
    figure, axes = new_figure(3.2 * columns, 2.2 * rows, rows, columns, squeeze=False)
    clock = _Clock(np.concatenate([curve.mjd_tai for curve in curves]))
    for axis, curve in zip(axes.flat, curves, strict=False):
        for band in np.unique(curve.band):
            rows_of_band = curve.band == band
            axis.errorbar(
                clock.place(curve.mjd_tai[rows_of_band]), curve.flux[rows_of_band], curve.flux_err[rows_of_band],
                fmt="o", ms=3, lw=0.8, color=band_colour(str(band)), label=str(band),
            )  # fmt: skip
        axis.set_title(curve.label, fontsize=8)
        for border in clock.borders:
            axis.axvline(border, color="0.6", lw=0.8, ls=":")
        axis.set_xlabel(clock.label, fontsize=7)
        axis.set_ylabel("flux [nJy]", fontsize=7)
        axis.tick_params(labelsize=7)
        if np.unique(curve.band).size > 1:
            axis.legend(fontsize=6, loc="best")
    for axis in list(axes.flat)[len(curves) :]:
        axis.set_axis_off()
    return png(figure)


@styled
def tracks_plot(
    names: list[str], ra_deg: list[NDArray[np.float64]], dec_deg: list[NDArray[np.float64]],
    residuals_arcsec: list[NDArray[np.float64]],
) -> bytes:  # fmt: skip
    """Plot the tracks of movers on the sky and their residuals.

    Parameters
    ----------
    names : list of str
        One per track; at least one.
    ra_deg, dec_deg : list of ndarray, shape (n,)
        Positions [deg].
    residuals_arcsec : list of ndarray, shape (n, 2)
        East and north residuals about the fitted track [arcsec].

    Returns
    -------
    bytes
        PNG with two panels.
    """
    figure, (sky, scatter) = new_figure(9.0, 4.0, 1, 2)
    colours = [ACCENT, SECOND, "#7a9e3a", "#8a6bbf", "#d08c2e", "#3f6fb5", "#9c4f7c", INK]
    for index, name in enumerate(names):
        colour = colours[index % len(colours)]
        sky.plot(ra_deg[index], dec_deg[index], ".-", ms=4, lw=0.8, color=colour, label=name)
        sky.annotate(
            name, (ra_deg[index][-1], dec_deg[index][-1]), fontsize=7, xytext=(4, 4), textcoords="offset points"
        )
        scatter.plot(*residuals_arcsec[index].T, ".", ms=4, color=colour)
    sky.invert_xaxis()
    sky.set(xlabel="RA [deg]", ylabel="Dec [deg]", title="Tracks")
    sky.ticklabel_format(useOffset=False)
    sky.set_aspect(1.0 / max(float(np.cos(np.radians(dec_deg[0][0]))), 0.02), adjustable="datalim")
    scatter.axhline(0.0, color=INK, lw=0.5)
    scatter.axvline(0.0, color=INK, lw=0.5)
    reach = 1.1 * max(float(np.abs(residual).max()) for residual in residuals_arcsec) or 1.0
    scatter.set(xlim=(reach, -reach), ylim=(-reach, reach))
    scatter.set(xlabel="east [arcsec]", ylabel="north [arcsec]", title="Residuals", aspect="equal")
    return png(figure)
