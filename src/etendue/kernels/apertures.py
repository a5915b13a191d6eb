"""Light in circles around many sources, exact at the circles' edges, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, I64_1D

_TABLE = types.Array(types.float64, 2, "C")


@njit([F64(F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _corner_area(a, b, radius):
    """Return the area that a circle around the origin shares with the rectangle from the origin to (a, b) >= 0."""
    a, b = min(a, radius), min(b, radius)
    if a * a + b * b <= radius * radius:
        return a * b
    r2 = radius * radius
    leave = np.sqrt(r2 - b * b)  # where the circle leaves through the far side
    arc = np.arcsin(min(a / radius, 1.0)) - np.arcsin(min(leave / radius, 1.0))
    return b * leave + 0.5 * (a * np.sqrt(max(r2 - a * a, 0.0)) - leave * b + r2 * arc)


@njit([F64(F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def circle_overlap(dx, dy, radius):
    """Return the area that a unit pixel shares with a circle.

    Exact: the pixel is a signed sum of four rectangles with a corner in the circle's centre, whose common area with it
    is a rectangle, a triangle and a sector.

    Parameters
    ----------
    dx, dy : float
        Pixel centre minus circle centre [px].
    radius : float
        Radius [px].

    Returns
    -------
    float
        Area, 0 to 1.
    """
    dx, dy = abs(dx), abs(dy)
    right, top = dx + 0.5, dy + 0.5
    if right * right + top * top <= radius * radius:
        return 1.0
    left, low = dx - 0.5, dy - 0.5
    if max(left, 0.0) ** 2 + max(low, 0.0) ** 2 >= radius * radius:
        return 0.0
    sign_x, sign_y = (1.0 if left > 0.0 else -1.0), (1.0 if low > 0.0 else -1.0)
    area = _corner_area(right, top, radius)
    area -= sign_x * _corner_area(abs(left), top, radius) + sign_y * _corner_area(right, abs(low), radius)
    return area + sign_x * sign_y * _corner_area(abs(left), abs(low), radius)


@njit([F64(F64, F64, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _edge_overlap(left, right, low, top, x_low, x_top, radius):
    """Return the area that a pixel in the first quadrant shares with a circle of 3 px or more around the origin.

    ``x_low`` and ``x_top`` are where the circle crosses the pixel's lower and upper side, 0 if it stays below. The arc
    over a part of the pixel is its chord and a circular segment, whose area is a series in chord over diameter.
    """
    area = max(min(right, x_top) - left, 0.0)
    begin, end = max(left, x_top), min(right, x_low)
    if end <= begin:
        return area
    r2 = radius * radius
    first, last = np.sqrt(max(r2 - begin * begin, 0.0)), np.sqrt(max(r2 - end * end, 0.0))
    q2 = ((end - begin) ** 2 + (first - last) ** 2) / (4.0 * r2)
    segment = r2 * q2 * np.sqrt(q2) * (2.0 / 3.0 + q2 * (0.2 + q2 * (3.0 / 28.0)))
    return area + (0.5 * (first + last) - low) * (end - begin) + segment


@njit([types.void(F64_2D, BOOL_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _running_sums(image, bad, out):
    """Fill sums along rows: ``out[y, x]`` is the sum of the pixels before x, bad ones left out."""
    for y in range(image.shape[0]):
        total = 0.0
        for x in range(image.shape[1]):
            out[y, x] = total
            if not bad[y, x]:
                total += image[y, x]
        out[y, image.shape[1]] = total


@njit(
    [types.UniTuple(F64, 2)(F64_2D, F64_2D, F64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _circle_sum(sums, variances, x, y, radius):
    """Return the sum of pixels weighted by their overlap with a circle, and of variances by its square.

    Pixels wholly inside come from running sums; those on the edge one by one, on what there is of the image.
    """
    ny, nx = sums.shape[0], sums.shape[1] - 1
    total = noise = 0.0
    for j in range(max(0, int(np.floor(y - radius + 0.5))), min(ny, int(np.floor(y + radius + 0.5)) + 1)):
        dy = abs(j - y)
        low, top = max(dy - 0.5, 0.0), dy + 0.5
        x_low = np.sqrt(max(radius * radius - low * low, 0.0))
        x_top = np.sqrt(max(radius * radius - top * top, 0.0))
        first, last = max(0, int(np.floor(x - x_low + 0.5))), min(nx, int(np.floor(x + x_low + 0.5)) + 1)
        whole, stop = last, last
        if top < radius:
            whole, stop = max(first, int(np.ceil(x - x_top + 0.5))), min(last, int(np.floor(x + x_top - 0.5)) + 1)
            if stop > whole:
                total += sums[j, stop] - sums[j, whole]
                noise += variances[j, stop] - variances[j, whole]
            else:
                whole = stop = last
        simple = radius >= 3.0 and dy >= 0.5
        for side in range(2):
            for i in range(first if side == 0 else stop, whole if side == 0 else last):
                dx = abs(i - x)
                if simple and dx >= 0.5:
                    area = _edge_overlap(dx - 0.5, dx + 0.5, low, top, x_low, x_top, radius)
                else:
                    area = circle_overlap(dx, dy, radius)
                total += area * (sums[j, i + 1] - sums[j, i])
                noise += area * area * (variances[j, i + 1] - variances[j, i])
    return total, noise


@njit(
    [
        types.Tuple((_TABLE, _TABLE))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_1D, F64_1D, F64_1D
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def circle_fluxes(residual, variance, bad, value, offset, x0, y0, width, height, x, y, radii):
    """Sum the light of each source in circles, with all other sources taken away.

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
    radii : ndarray, float64, shape (n_radii,)
        Rising radii [px].

    Returns
    -------
    flux, error : ndarray, float64, shape (n, n_radii)
        Flux and its error by independent pixel noise; NaN where the circle leaves the image.
    """
    ny, nx = residual.shape
    none = np.zeros(residual.shape, np.bool_)
    flux, error = np.full((x.size, radii.size), np.nan), np.full((x.size, radii.size), np.nan)
    sums, variances = np.empty((ny, nx + 1)), np.empty((ny, nx + 1))
    _running_sums(residual, bad, sums)
    _running_sums(variance, none, variances)
    for s in range(x.size):
        room = min(min(x[s], nx - 1 - x[s]), min(y[s], ny - 1 - y[s])) + 0.5
        if not room >= radii[0]:
            continue
        own = np.zeros((height[s], width[s] + 1))
        for j in range(height[s]):
            for i in range(width[s]):
                own[j, i + 1] = own[j, i] + value[offset[s] + j * width[s] + i]
        for r in range(radii.size):
            if radii[r] > room:
                break
            total, noise = _circle_sum(sums, variances, x[s], y[s], radii[r])
            light, _ = _circle_sum(own, own, x[s] - x0[s], y[s] - y0[s], radii[r])
            flux[s, r], error[s, r] = total + light, np.sqrt(noise)
    return flux, error
