"""Light in elliptical apertures scaled by the first moment of the light itself (Kron 1980), on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.noise_products import correlated_products
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64_1D

STRIPS = 16  # of a pixel on the edge of an ellipse: the area is good to 1e-3 of a pixel
LARGEST_HALF = 400  # px

_TABLE = types.Array(types.float64, 2, "C")


@njit([F64(F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def ellipse_overlap(dx, dy, axx, axy, ayy, radius):
    """Return the area that a unit pixel shares with an ellipse.

    Chords are integrated over strips of the pixel (midpoint rule, exact in the other direction).

    Parameters
    ----------
    dx, dy : float
        Pixel centre minus ellipse centre [px].
    axx, axy, ayy : float
        Quadratic form: the ellipse is ``axx x^2 + 2 axy x y + ayy y^2 < radius^2``.
    radius : float
        Its radius.

    Returns
    -------
    float
        Area, 0 to 1.
    """
    area = 0.0
    for strip in range(STRIPS):
        y = dy - 0.5 + (strip + 0.5) / STRIPS
        root = (axy * y) ** 2 - axx * (ayy * y * y - radius * radius)
        if root > 0.0:
            root = np.sqrt(root)
            left, right = (-axy * y - root) / axx, (-axy * y + root) / axx
            area += max(0.0, min(right, dx + 0.5) - max(left, dx - 0.5))
    return area / STRIPS


@njit([F64(F64_2D, F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def first_radius(window, x, y, axx, axy, ayy, limit):
    """Return the Kron radius: the mean elliptical radius of the light within a limit; NaN if there is none.

    Parameters
    ----------
    window : ndarray, float64, shape (h, w)
        The source alone.
    x, y : float
        Centre [window px].
    axx, axy, ayy : float
        Quadratic form of unit determinant, whose root is the elliptical radius [px].
    limit : float
        Largest radius that counts [px].

    Returns
    -------
    float
        Radius [px].
    """
    light = moment = 0.0
    for j in range(window.shape[0]):
        for i in range(window.shape[1]):
            dx, dy = i - x, j - y
            r2 = axx * dx * dx + 2.0 * axy * dx * dy + ayy * dy * dy
            if r2 < limit * limit:
                light += window[j, i]
                moment += window[j, i] * np.sqrt(r2)
    return moment / light if light > 0.0 and moment > 0.0 else np.nan


@njit([F64(F64_2D, F64, F64, F64, F64, F64, F64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _ellipse_sum(window, x, y, axx, axy, ayy, radius, areas):
    """Return the light in an ellipse, and fill which part of each pixel lies in it."""
    areas[:, :] = 0.0
    reach_x, reach_y = radius * np.sqrt(ayy), radius * np.sqrt(axx)  # the form has unit determinant
    rim = 0.7072 * np.sqrt(axx + ayy)  # no farther from a pixel's centre is any of it
    total = 0.0
    for j in range(max(0, int(np.floor(y - reach_y))), min(window.shape[0], int(np.ceil(y + reach_y)) + 1)):
        for i in range(max(0, int(np.floor(x - reach_x))), min(window.shape[1], int(np.ceil(x + reach_x)) + 1)):
            dx, dy = i - x, j - y
            r = np.sqrt(axx * dx * dx + 2.0 * axy * dx * dy + ayy * dy * dy)
            if r < radius + rim:
                areas[j, i] = 1.0 if r <= radius - rim else ellipse_overlap(dx, dy, axx, axy, ayy, radius)
                total += areas[j, i] * window[j, i]
    return total


@njit(
    [types.UniTuple(F64, 2)(F64_2D, F64_2D, F64_2D, F64, F64, F64, F64, F64, F64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _flux_and_error(window, variance, correlation, x, y, axx, axy, ayy, radius, factor, limit):
    """Return the light within ``factor`` Kron radii and its error; ``limit`` is 0 where the radius was given.

    The noise of the radius moves the rim of the aperture: by the slope of the light there.
    """
    areas, noise = np.empty(window.shape), np.empty((1, 1))
    wider = _ellipse_sum(window, x, y, axx, axy, ayy, 1.1 * factor * radius, areas)
    narrower = _ellipse_sum(window, x, y, axx, axy, ayy, 0.9 * factor * radius, areas)
    total = _ellipse_sum(window, x, y, axx, axy, ayy, factor * radius, areas)
    field, light = areas.copy().reshape((1, *areas.shape)), 0.0
    for attempt in range(2 if limit > 0.0 else 0):
        for j in range(window.shape[0]):
            for i in range(window.shape[1]):
                dx, dy = i - x, j - y
                r = np.sqrt(axx * dx * dx + 2.0 * axy * dx * dy + ayy * dy * dy)
                if r < limit and attempt == 0:
                    light += window[j, i]
                elif r < limit and light > 0.0:
                    field[0, j, i] += (wider - narrower) / (0.2 * radius) * (r - radius) / light
    for j in range(window.shape[0]):
        for i in range(window.shape[1]):
            field[0, j, i] *= np.sqrt(variance[j, i])
    correlated_products(field, correlation, noise)
    return total, np.sqrt(noise[0, 0])


@njit(
    [
        _TABLE(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D,
            F64_1D, F64_1D, F64_2D, F64_1D, F64, F64, F64_2D,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def kron_fluxes(
    residual, variance, bad, value, offset, x0, y0, width, height,
    x, y, moments, smallest, limit, factor, correlation,
):  # fmt: skip
    """Measure the light within a multiple of the Kron radius, in ellipses of the moments' shape.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the noise variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    x, y : ndarray, float64, shape (n,)
        Centres [px].
    moments : ndarray, float64, shape (n, 3)
        Second moments xx, xy, yy [px**2].
    smallest : ndarray, float64, shape (n,)
        Least Kron radius [px]: that of the PSF.
    limit : float
        Radius within which the first moment is taken, in widths (fourth root of the moments' determinant).
    factor : float
        Kron radii of the aperture.
    correlation : ndarray, float64, shape (k, k)
        Noise autocorrelation against pixel lag; (1, 1) for white noise.

    Returns
    -------
    ndarray, float64, shape (n, 4)
        Flux, error, Kron radius [px], and the light's own Kron radius before the least one was enforced; NaN where the
        aperture leaves the image or the moments are not known. Of a source without positive light the least radius is
        taken.
    """
    ny, nx = residual.shape
    out = np.full((x.size, 4), np.nan)
    for s in range(x.size):
        xx, xy, yy = moments[s, 0], moments[s, 1], moments[s, 2]
        det = xx * yy - xy * xy
        if not (det > 0.0 and np.isfinite(x[s]) and smallest[s] > 0.0):
            continue
        root = np.sqrt(det)
        axx, axy, ayy = yy / root, -xy / root, xx / root
        reach = np.sqrt(max(axx, ayy))
        width_s = np.sqrt(root)
        half = int(min(reach * max(limit * width_s, 1.1 * factor * smallest[s]) + 2.0, LARGEST_HALF))
        for attempt in range(2):
            left, low = int(np.rint(x[s])) - half, int(np.rint(y[s])) - half
            window, unusable = np.empty((2 * half + 1, 2 * half + 1)), np.empty((2 * half + 1, 2 * half + 1), np.bool_)
            cut_alone(residual, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low, window, unusable)
            own = first_radius(window, x[s] - left, y[s] - low, axx, axy, ayy, limit * width_s)
            radius = max(own, smallest[s]) if np.isfinite(own) else smallest[s]
            needed = int(1.1 * reach * factor * radius + 2.0)
            if needed <= half or attempt == 1:
                break
            half = min(needed, LARGEST_HALF)
        out[s, 2], out[s, 3] = radius, own
        wide_x, wide_y = factor * radius * np.sqrt(ayy), factor * radius * np.sqrt(axx)
        if x[s] - wide_x < -0.5 or y[s] - wide_y < -0.5 or x[s] + wide_x > nx - 0.5 or y[s] + wide_y > ny - 0.5:
            continue
        noise = np.zeros(window.shape)
        for j in range(max(0, -low), min(window.shape[0], ny - low)):
            for i in range(max(0, -left), min(window.shape[1], nx - left)):
                noise[j, i] = variance[low + j, left + i]
        reached = limit * width_s if own > smallest[s] else 0.0
        flux, error = _flux_and_error(
            window, noise, correlation, x[s] - left, y[s] - low, axx, axy, ayy, radius, factor, reached
        )
        if error > 0.0:  # otherwise no pixel of it was good
            out[s, 0], out[s, 1] = flux, error
    return out


@njit(
    [types.Array(types.float64, 1, "C")(F64_3D, F64_2D, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def psf_kron_radii(stamps, moments, limit):
    """Return the Kron radii of centred PSF stamps.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSFs.
    moments : ndarray, float64, shape (n, 3)
        Their moments xx, xy, yy [px**2].
    limit : float
        As for `kron_fluxes`.

    Returns
    -------
    ndarray, float64, shape (n,)
        Radii [px].
    """
    out, middle = np.full(stamps.shape[0], np.nan), float(stamps.shape[1] // 2)
    for s in range(stamps.shape[0]):
        xx, xy, yy = moments[s, 0], moments[s, 1], moments[s, 2]
        root = np.sqrt(xx * yy - xy * xy)
        if root > 0.0:
            out[s] = first_radius(stamps[s], middle, middle, yy / root, -xy / root, xx / root, limit * np.sqrt(root))
    return out
