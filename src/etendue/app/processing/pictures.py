"""The check pictures of one frame."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.app.processing.reference_match import ReferenceMatch
from etendue.app.processing.residual_image import residual_image
from etendue.image.exposure import Exposure
from etendue.qa.frame_plots import magnitude_error_plot, reference_residual_plot
from etendue.qa.image_panel import PLANE_COLOURS, image_panel, linear_levels
from etendue.qa.psf_plot import psf_grid_plot
from etendue.qa.thumbnail import stretch
from etendue.table.table import Table

_NJY_ZERO_POINT_MAG = 31.4
_MAG_PER_LN = 2.5 / np.log(10.0)
_SIGMAS = 6.0
_LONGEST_SIDE = 2200


def check_pictures(exposure: Exposure, sources: Table, match: ReferenceMatch | None) -> dict[str, bytes]:
    """Draw everything that shows whether a frame came out right.

    Parameters
    ----------
    exposure : Exposure
        Calibrated.
    sources : Table
        Its sources.
    match : ReferenceMatch, optional
        Comparison with a reference catalog.

    Returns
    -------
    dict of str to bytes
        PNG by name: ``sources``, ``psf``, ``residual``, ``magnitudes``, and with a reference ``astrometry``.
    """
    pictures = {
        "sources": _sources(exposure, sources),
        "psf": _psf(exposure),
        "residual": _residual(exposure, sources),
        "magnitudes": _magnitudes(exposure, sources),
    }
    if match is not None:
        pictures["astrometry"] = reference_residual_plot(
            match.x, match.y, match.east_mas, match.north_mas, match.mag, match.mag_residual, match.bright,
            rms_mas=match.rms_mas,
        )  # fmt: skip
    return pictures


def _sources(exposure: Exposure, sources: Table) -> bytes:
    step = _step(exposure)
    x = (np.asarray(sources["x"], float) - exposure.bbox.x.start) / step
    y = (np.asarray(sources["y"], float) - exposure.bbox.y.start) / step
    placed = np.isfinite(x) & np.isfinite(y)
    stars = np.asarray(sources["calib_psf_used"], bool) & placed
    planes = {name: _thinned(exposure.mask.any_of((name,)), step, np.any)
              for name in PLANE_COLOURS if name in exposure.mask.planes}  # fmt: skip
    notes = (f"{len(sources)} sources", "orange: sources", "blue: PSF stars")
    return image_panel(
        stretch(_thinned(exposure.image.array, step, np.mean)), planes=planes,
        circles=[(x[placed & ~stars], y[placed & ~stars]), (x[stars], y[stars])], radius=max(4.0, 6.0 / step),
        notes=notes, zoom=1 if max(exposure.bbox.shape) / step > 900 else 2,
    )  # fmt: skip


def _psf(exposure: Exposure) -> bytes:
    assert exposure.psf is not None
    box = exposure.bbox
    thirds = np.array([1.0, 3.0, 5.0]) / 6.0
    places = [(x, y) for y in box.y.start + box.y.size * thirds for x in box.x.start + box.x.size * thirds]
    stamps = [exposure.psf.stamp(x=x, y=y) for x, y in places]
    widths = [float(np.squeeze(exposure.psf.fwhm(x=x, y=y))) for x, y in places]
    labels = [f"({x:.0f}, {y:.0f}): {fwhm:.2f} px" for (x, y), fwhm in zip(places, widths, strict=True)]
    order = [*range(6, 9), *range(3, 6), *range(3)]  # the top row of panels is the top of the image
    return psf_grid_plot([stamps[k] for k in order], [labels[k] for k in order])


def _residual(exposure: Exposure, sources: Table) -> bytes:
    step = _step(exposure)
    left = np.array(residual_image(exposure, sources))
    left[exposure.mask.any_of(("NO_DATA", "BAD", "SAT"))] = np.nan
    finite = left[np.isfinite(left)]
    width = 1.4826 * float(np.median(np.abs(finite))) if finite.size else math.nan
    notes = (f"white: +{_SIGMAS:.0f} sigma", f"black: -{_SIGMAS:.0f} sigma", f"width: {width:.2f}", "flat grey: masked")
    shown = linear_levels(_thinned(left, step, _farthest), -_SIGMAS, _SIGMAS)
    return image_panel(shown, notes=notes, zoom=1 if max(shown.shape) > 900 else 2)


def _magnitudes(exposure: Exposure, sources: Table) -> bytes:
    assert exposure.photo_calib is not None
    flux, err = np.asarray(sources["psfFlux"], float), np.asarray(sources["psfFluxErr"], float)
    positive = np.where(flux > 0.0, flux, np.nan)
    kind = "AB" if exposure.photo_calib.kind == "absolute" else "relative scale"
    return magnitude_error_plot(
        _NJY_ZERO_POINT_MAG - 2.5 * np.log10(positive), _MAG_PER_LN * err / positive,
        np.asarray(sources["extendedness"], float) > 0.5, label=f"{exposure.band or 'magnitude'} ({kind})",
    )  # fmt: skip


def _step(exposure: Exposure) -> int:
    return max(1, math.ceil(max(exposure.bbox.shape) / _LONGEST_SIDE))


def _farthest(cells: NDArray, axis: tuple[int, int]) -> NDArray:
    """Return of every cell the value farthest from zero."""
    high, low = cells.max(axis=axis), cells.min(axis=axis)
    return np.where(high > -low, high, low)


def _thinned(pixels: NDArray, step: int, how: Callable[..., Any]) -> NDArray:
    """Return the image with cells of step x step pixels made one."""
    if step == 1:
        return pixels
    ny, nx = pixels.shape[0] // step, pixels.shape[1] // step
    cells = pixels[: ny * step, : nx * step].reshape(ny, step, nx, step)
    return np.asarray(how(cells, axis=(1, 3)))
