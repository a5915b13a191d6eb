"""The noise of blank sky against the variance plane, from differences of successive frames: stars and ghosts cancel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter

LAGS = {"row": (0, 1), "row_2": (0, 2), "column": (1, 0), "column_2": (2, 0), "diagonal": (1, 1)}
FROM_OBJECT = 9.0  # [px]
FROM_MASK = 5.0  # [px]
SMOOTH = 31  # what is left of the sky is subtracted on this scale [px]
PLANES = ("BAD", "SAT", "CR", "INTRP", "NO_DATA", "EDGE", "VIGNETTED")


def blank_sky(exposure: Any, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the pixels far from objects of the coadd, whatever the frame itself shows there."""
    ny, nx = exposure.bbox.shape
    x, y = exposure.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    empty = np.ones((ny, nx), bool)
    empty[row[inside], column[inside]] = False
    masked = exposure.mask.any_of(PLANES) | ~np.isfinite(exposure.image.array)
    far: NDArray[np.bool_] = distance_transform_edt(empty) > FROM_OBJECT
    return far & (distance_transform_edt(~masked) > FROM_MASK)


def pair_noise(first: Any, second: Any, blank: NDArray[np.bool_]) -> dict[str, float]:
    """Return the variance of the difference of two frames over the propagated one, and correlations of neighbours.

    The variance planes contain the noise of their own pixels, which cancels in the mean over many.
    """
    a, b = (np.nan_to_num(e.image.array.astype(np.float64)) for e in (first, second))
    weight = uniform_filter(blank.astype(np.float64), SMOOTH)
    difference = np.where(blank, a - b, 0.0)
    difference -= uniform_filter(difference, SMOOTH) / np.maximum(weight, 1e-9)
    expected = first.variance.array.astype(np.float64) + second.variance.array
    usable = blank & (weight > 0.3)
    expected = np.where(usable, expected, 0.0)
    expected = uniform_filter(expected, SMOOTH) / np.maximum(uniform_filter(usable.astype(np.float64), SMOOTH), 1e-9)
    pull = np.where(usable, difference / np.sqrt(np.where(usable, expected, 1.0)), np.nan)
    limit = 4.2 * 1.4826 * np.nanmedian(np.abs(pull))
    pull = np.where(np.abs(pull) < limit, pull, np.nan)
    variance = float(np.nanmean(pull**2))
    correlation = {}
    for name, (dy, dx) in LAGS.items():
        product = pull[dy:, dx:] * pull[: pull.shape[0] - dy, : pull.shape[1] - dx]
        correlation[name] = float(np.nanmean(product)) / variance
    return {"variance_ratio": variance, "pixels": int(np.isfinite(pull).sum()), **correlation}


def sky_noise(frames: Sequence[Any], ra: NDArray[np.float64], dec: NDArray[np.float64]) -> dict[str, float]:
    """Average `pair_noise` over pairs of frames (first with second, third with fourth, ...)."""
    found = []
    for first, second in zip(frames[::2], frames[1::2], strict=False):
        found.append(pair_noise(first, second, blank_sky(first, ra, dec) & blank_sky(second, ra, dec)))
    weight = [one["pixels"] for one in found]
    return {name: float(np.average([one[name] for one in found], weights=weight)) for name in found[0]}
