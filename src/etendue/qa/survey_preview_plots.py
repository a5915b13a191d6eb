"""Pictures of a simulated survey before it is processed: focal plane, cadence, counts, light curves, movers."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray
from PIL import Image as Picture

from etendue.qa.figure import ACCENT, BAND_COLOURS, INK, SECOND, THIRD, band_colour, new_figure, png, styled

Vector = NDArray[np.float64]
Plane = NDArray[np.float32]

_EMPTY = (27, 39, 51)
_SOFTENING = 0.35
_BLACK_SIGMA, _WHITE_SIGMA, _BRIGHT_SIGMA = 0.8, 250.0, 15.0
_ENOUGH_PIXELS, _BALANCE = 100, 0.7
_FEW_TRACKS = 100
_NIGHTS = (ACCENT, SECOND, THIRD, "#7b4fa3", "#b8860b", "#444444")


def lupton(red: Plane, green: Plane, blue: Plane, *, noise: Sequence[float]) -> NDArray[np.uint8]:
    """Make a colour picture by an asinh stretch that keeps colours (Lupton et al. 2004, PASP 116, 133).

    Parameters
    ----------
    red, green, blue : ndarray, float32, shape (ny, nx)
        Sky-subtracted planes on one flux scale; NaN where there is no detector.
    noise : sequence of float
        Noise of the three planes.

    Returns
    -------
    ndarray, uint8, shape (ny, nx, 3)
        Objects of the field's mean colour are nearly white; equal planes give greys.
    """
    planes = np.stack([red, green, blue], axis=-1)
    planes *= _balance(planes, float(np.mean(noise))).astype(np.float32)
    filled = np.isfinite(planes[..., 0])
    light = planes[filled] / np.float32(1.4826 * np.median(np.abs(planes[filled].mean(axis=-1))))
    intensity = np.maximum(light.mean(axis=-1, keepdims=True) + _BLACK_SIGMA, 1e-3)
    curve = np.arcsinh(intensity * _SOFTENING) / np.arcsinh(_WHITE_SIGMA * _SOFTENING)
    colours = np.clip(light + _BLACK_SIGMA, 0.0, None) / intensity * curve
    out = np.empty(planes.shape, np.uint8)
    out[:] = _EMPTY
    out[filled] = np.rint(255.0 * colours / np.maximum(colours.max(axis=-1, keepdims=True), 1.0))
    return out


def _balance(planes: Plane, noise: float) -> Vector:
    """Return factors that take most of the mean colour of bright pixels away."""
    with np.errstate(invalid="ignore"):
        bright = planes[planes.min(axis=-1) > _BRIGHT_SIGMA * noise]
    if bright.shape[0] < _ENOUGH_PIXELS:
        return np.ones(3)
    share = np.median(bright / bright.mean(axis=-1, keepdims=True), axis=0)
    return np.asarray(share**-_BALANCE, float)


def focal_plane_png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture whose first row is the lowest.

    Parameters
    ----------
    picture : ndarray, uint8, shape (ny, nx, 3)
        From `lupton`.

    Returns
    -------
    bytes
        PNG.
    """
    buffer = io.BytesIO()
    Picture.fromarray(np.ascontiguousarray(picture[::-1])).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


@styled
def cadence_plot(
    visits: NDArray[np.int64],
    extent: tuple[float, float, float, float],
    mjd_tai: Vector,
    band: NDArray[np.str_],
    seeing: Vector,
    depth: Vector,
) -> bytes:
    """Plot where and when a survey looks, and how the nights are.

    Parameters
    ----------
    visits : ndarray, int64, shape (k, k)
        Visits of places, rows northwards, columns eastwards; 0 where none went.
    extent : tuple of float
        West, east, south and north end of that map, offsets from the first pointing [deg].
    mjd_tai : ndarray, float64, shape (n,)
        Begin of the exposures [day].
    band : ndarray, str, shape (n,)
        Their bands.
    seeing, depth : ndarray, float64, shape (n,)
        Seeing [arcsec], and magnitude of a star at 5 sigma [mag]; NaN where it is not shown.

    Returns
    -------
    bytes
        PNG.
    """
    figure, axes = new_figure(10.0, 5.2, 3, 2, width_ratios=[1.0, 1.25])
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, 0]:
        axis.remove()
    sky = figure.add_subplot(grid[:, 0])
    shown = np.ma.masked_equal(visits, 0)
    image = sky.imshow(shown, origin="lower", extent=extent, cmap="YlGnBu", vmin=0, vmax=max(int(visits.max()), 1),
                       interpolation="nearest")  # fmt: skip
    sky.invert_xaxis()
    figure.colorbar(image, ax=sky, label="visits", shrink=0.75)
    sky.set(title="Footprint", xlabel="east [deg]", ylabel="north [deg]", aspect="equal")
    days = mjd_tai - np.floor(mjd_tai[0])
    _visits(axes[0, 1], days, band)
    for axis, values, title in ((axes[1, 1], seeing, "seeing [arcsec]"), (axes[2, 1], depth, "5-sigma depth [mag]")):
        for name in _ordered(band):
            here = band == name
            axis.plot(days[here], values[here], "o", ms=3.5, color=band_colour(name), alpha=0.8)
        axis.set_ylabel(title)
    axes[2, 1].set_xlabel("days since the evening of the first night")
    return png(figure, dpi=110)


def _visits(axis: Axes, days: Vector, band: NDArray[np.str_]) -> None:
    names = _ordered(band)
    for row, name in enumerate(names):
        here = band == name
        axis.plot(days[here], np.full(here.sum(), row), "|", ms=11, color=band_colour(name), alpha=0.8)
        axis.annotate(
            str(here.sum()), (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=INK
        )
    axis.set_yticks(range(len(names)), names)
    axis.set(title=f"{days.size} visits", ylim=(-0.7, len(names) - 0.3))


def _ordered(band: NDArray[np.str_]) -> list[str]:
    rank = {name: place for place, name in enumerate(BAND_COLOURS)}
    return sorted({str(name) for name in band}, key=lambda name: (rank.get(name, len(rank)), name))


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """True light curve of one object; all columns of ``seen`` and of ``drawn`` are parallel.

    Parameters
    ----------
    title : str
        What it is.
    seen, drawn : dict of str to ndarray
        ``day``, ``mag``, ``band``: at the exposures, and densely.
    period_day : float
        Phases are shown instead of days; NaN for days [day].
    """

    title: str
    seen: Mapping[str, NDArray]
    drawn: Mapping[str, NDArray]
    period_day: float = float("nan")


@styled
def curves_plot(curves: Sequence[Curve]) -> bytes:
    """Plot true light curves, one panel each: dots where they are observed, lines or dust between.

    Parameters
    ----------
    curves : sequence of Curve
        At least one.

    Returns
    -------
    bytes
        PNG.
    """
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure, axes = new_figure(2.9 * columns, 2.1 * rows, rows, columns, squeeze=False)
    for axis, curve in zip(axes.flat, curves, strict=False):
        _curve(axis, curve)
    for axis in list(axes.flat)[len(curves) :]:
        axis.set_axis_off()
    names = _ordered(np.concatenate([curve.seen["band"] for curve in curves]))
    handles = [axes.flat[0].plot([], [], "o", ms=4, color=band_colour(name), label=name)[0] for name in names]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(names), fontsize=8)
    figure.supylabel("AB magnitude", fontsize=8)
    return png(figure, dpi=110)


def _curve(axis: Axes, curve: Curve) -> None:
    folded = np.isfinite(curve.period_day)
    for name in _ordered(curve.drawn["band"]):
        colour = band_colour(name)
        for columns, dense in ((curve.drawn, True), (curve.seen, False)):
            here = (columns["band"] == name) & np.isfinite(columns["mag"])
            days, mag = columns["day"][here], columns["mag"][here]
            x = np.mod(days / curve.period_day, 1.0) if folded else days
            if not dense:
                axis.plot(x, mag, "o", ms=3.0, color=colour, mec="white", mew=0.3)
            elif folded:
                axis.plot(x, mag, ".", ms=1.2, color=colour, alpha=0.5)
            else:
                axis.plot(x, mag, "-", lw=0.9, color=colour, alpha=0.6)
    axis.set_title(curve.title, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("phase" if folded else "days", fontsize=7, labelpad=1)
    axis.invert_yaxis()


@styled
def movers_plot(
    tracks: Sequence[NDArray[np.float64]], dots: Mapping[str, NDArray[np.float64]], outlines: Sequence[NDArray]
) -> bytes:
    """Plot the paths of moving objects over the field.

    Parameters
    ----------
    tracks : sequence of ndarray, float64, shape (k, 2)
        Paths through the survey, offsets east and north [arcmin].
    dots : mapping of str to ndarray, float64, shape (m, 3)
        By night: east and north [arcmin] and magnitude of every mover on a detector in an exposure.
    outlines : sequence of ndarray, float64, shape (j, 2)
        Outlines of the detectors [arcmin].

    Returns
    -------
    bytes
        PNG.
    """
    figure, axis = new_figure(6.6, 6.2)
    for outline in outlines:
        axis.fill(*outline.T, color="0.93", zorder=0)
    crowd = min(1.0, (_FEW_TRACKS / max(len(tracks), 1)) ** 0.5)
    axis.add_collection(LineCollection(list(tracks), colors="0.7", lw=0.6 * crowd, zorder=1))
    many = len(dots) > len(_NIGHTS)
    for number, (night, rows) in enumerate(dots.items()):
        size = crowd * np.clip(3.0 + 6.0 * (21.5 - rows[:, 2]), 3.0, 40.0)
        colour = _night_colours()(number / (len(dots) - 1.0)) if many else _NIGHTS[number]
        axis.scatter(rows[:, 0], rows[:, 1], s=size, color=colour, lw=0, label=night, zorder=2)
    corners = np.concatenate(outlines)
    middle, reach = corners.mean(axis=0), 0.62 * np.ptp(corners, axis=0).max()
    axis.set(xlim=(middle[0] + reach, middle[0] - reach), ylim=(middle[1] - reach, middle[1] + reach))
    axis.set(xlabel="east [arcmin]", ylabel="north [arcmin]", title="Movers", aspect="equal")
    if many:
        bar = figure.colorbar(ScalarMappable(Normalize(1, len(dots)), _night_colours()), ax=axis, shrink=0.7)
        bar.set_label("night")
    else:
        axis.legend(loc="upper right", fontsize=7, markerscale=1.5, frameon=True)
    return png(figure, dpi=110)


def _night_colours() -> Colormap:
    return colormaps["viridis"]


@styled
def psf_plot(images: Sequence[tuple[str, float, float, Plane]], title: str) -> bytes:
    """Plot PSF images at their places on the focal plane.

    Parameters
    ----------
    images : sequence of (str, float, float, ndarray)
        Name, place on the focal plane in units of the spacing, and image of each; names of empty length are not shown.
    title : str
        Title.

    Returns
    -------
    bytes
        PNG.
    """
    xs, ys = sorted({x for _, x, _, _ in images}), sorted({y for _, _, y, _ in images})
    figure, axes = new_figure(0.95 * len(xs), 0.95 * len(ys) + 0.4, len(ys), len(xs), squeeze=False)
    for name, x, y, image in images:
        axis = axes[len(ys) - 1 - ys.index(y), xs.index(x)]
        axis.imshow(np.sqrt(np.maximum(image, 0.0)), origin="lower", cmap="magma")
        axis.set_title(name, fontsize=7, pad=2)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=9)
    return png(figure, dpi=110)


@styled
def psf_map_plot(
    x_mm: Vector, y_mm: Vector, fwhm: Vector, e1: Vector, e2: Vector, image: Plane, width_arcsec: float, title: str
) -> bytes:
    """Plot how wide and how elliptical the PSF is over the focal plane, and what it looks like in one place.

    Parameters
    ----------
    x_mm, y_mm : ndarray, float64, shape (n,)
        Places on the focal plane [mm].
    fwhm : ndarray, float64, shape (n,)
        Full width at half maximum, pixels included [arcsec].
    e1, e2 : ndarray, float64, shape (n,)
        Ellipticity along the focal plane's x axis and its diagonal.
    image : ndarray, float32, shape (k, k)
        PSF without pixels.
    width_arcsec : float
        Width of that image [arcsec].
    title : str
        Title.

    Returns
    -------
    bytes
        PNG.
    """
    figure, (left, right) = new_figure(9.2, 4.0, 1, 2, width_ratios=[1.2, 1.0])
    size, angle = np.hypot(e1, e2), 0.5 * np.arctan2(e2, e1)
    span = max(float(np.ptp(x_mm)), float(np.ptp(y_mm)), 1e-3)
    length = 0.07 * span * size / max(float(np.nanmax(size)), 1e-6)
    ends = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1)
    middle = np.stack([x_mm, y_mm], axis=1)
    sticks = np.stack([middle - ends, middle + ends], axis=1)
    dots = left.scatter(x_mm, y_mm, c=fwhm, cmap="viridis", s=16, zorder=2)
    left.add_collection(LineCollection(list(sticks), colors=INK, lw=1.0, zorder=1))
    figure.colorbar(dots, ax=left, label="FWHM [arcsec]", shrink=0.8)
    left.set(aspect="equal", xlabel="focal plane x [mm]", ylabel="y [mm]",
             title=f"{title}; longest stick: e = {float(np.nanmax(size)):.3f}")  # fmt: skip
    left.margins(0.1)
    half = 0.5 * width_arcsec
    shown = np.log10(np.maximum(image / image.max(), 1e-5))
    picture = right.imshow(shown, origin="lower", cmap="magma", extent=(-half, half, -half, half))
    figure.colorbar(picture, ax=right, label="log brightness", shrink=0.8)
    right.set(title="In the middle of the first detector", xlabel="arcsec", ylabel="arcsec")
    right.grid(visible=False)
    return png(figure, dpi=110)


@styled
def photon_transfer_plot(curves: Mapping[str, tuple[Vector, Vector, float]]) -> bytes:
    """Plot variance over signal of pairs of flats.

    Parameters
    ----------
    curves : mapping of str to (signal, variance, gain)
        By amplifier: signal above bias [ADU], half the variance of the differences [ADU**2], true gain [e/ADU].

    Returns
    -------
    bytes
        PNG.
    """
    figure, (left, right) = new_figure(9.6, 3.8, 1, 2)
    colours = (ACCENT, SECOND, THIRD, INK) * (1 + len(curves) // 4)
    for (name, (signal, variance, gain)), colour in zip(curves.items(), colours, strict=False):
        left.plot(signal, variance, "o", ms=3.5, color=colour, label=name)
        right.plot(signal, variance * gain / signal, "o", ms=3.5, color=colour)
        rising = slice(None, int(np.argmax(variance)) + 1)  # beyond, pixels are full
        left.plot(signal[rising], variance[rising], "-", lw=0.8, color=colour)
        right.plot(signal[rising], (variance * gain / signal)[rising], "-", lw=0.8, color=colour)
    left.set(xscale="log", yscale="log", xlabel="signal [ADU]", ylabel="variance [ADU$^2$]", title="Photon transfer")
    left.legend(fontsize=8)
    right.set(
        xscale="log", xlabel="signal [ADU]", ylabel="variance x true gain / signal", title="Departure from Poisson"
    )
    right.axhline(1.0, color="0.5", lw=0.8, ls=":")
    right.set_ylim(0.5, 1.3)
    return png(figure, dpi=110)
