"""Profiles of galaxies as sums of Gaussians, convolved with PSFs, on plain arrays.

A profile of half-light ellipse S (matrix, px^2) is a sum of Gaussians of covariance ``v_k S``; the PSF is a sum of a
few Gaussians plus the departure of the true, pixelised PSF from them (Hogg & Lang 2013, PASP 125, 719, for the sums).
"""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F64, F64_1D, F64_2D, F64_2D_OUT, I64

_INDEX = 0xFFFFFFF  # what an index is masked with to prove to the compiler that it is not negative
WIDEST = 512  # px, widest window
KERNEL_HALF, KERNEL_FLOOR = 12, 1e-4  # px and light per pixel to which profiles meet the PSF's departure
NARROW = 0.15  # part of the PSF's narrowest Gaussian below which those of profiles are not told apart
REACH = 5.0  # sigmas to which a Gaussian is drawn: 4e-6 of its light lies outside

_CUBE_OUT = types.Array(types.float64, 3, "C")
_LINE = types.Array(types.float64, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")


@njit([types.void(F64, F64, F64, I64, I64, _LINE)], cache=True, nogil=True, error_model="numpy")
def _curve(offset, curvature, slope, first, stop, out):
    """Fill ``exp(-curvature d^2 / 2 - slope d)`` for d = i - offset, from the middle outwards by ratios."""
    middle = min(max(int(np.rint(offset)), first), stop - 1)
    d = middle - offset
    peak, bend = np.exp(-0.5 * curvature * d * d - slope * d), np.exp(-curvature)
    value, ratio = peak, np.exp(-curvature * (d + 0.5) - slope)
    for i in range(middle, stop):
        out[i] = value
        value *= ratio
        ratio *= bend
    value, ratio = peak, np.exp(curvature * (d - 0.5) + slope)
    for i in range(middle, first - 1, -1):
        out[i] = value
        value *= ratio
        ratio *= bend


@njit(
    [types.void(_LINE, F64_2D, _TABLE, I64, I64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract"},
)
def _add_row(row, gaussians, lines, k, turned, dy):
    """Add one row of a Gaussian and of its derivatives to ``row``, and step its line to the next row.

    ``row`` holds value, derivatives and offsets dx, each a constant stride apart: that lets the loop use vectors.
    """
    qxx, qxy, qyy, growth = gaussians[k, 0], gaussians[k, 1], gaussians[k, 2], gaussians[k, 3]
    half, across, down, factor = 0.5 * growth, qxy * dy, qyy * dy, gaussians[k, 4]
    left, right = int(gaussians[k, 5]) & _INDEX, int(gaussians[k, 6]) & _INDEX
    line, turn, cells = lines[k, left:right], lines[turned, left:right], row[left:]
    for i in range(right - left):
        g, dx = line[i], cells[6 * WIDEST + i]
        p, r = qxx * dx + across, qxy * dx + down
        cells[i] += g
        cells[WIDEST + i] += g * p
        cells[2 * WIDEST + i] += g * r
        cells[3 * WIDEST + i] += half * g * (p * p - qxx)
        cells[4 * WIDEST + i] += growth * g * (p * r - qxy)
        cells[5 * WIDEST + i] += half * g * (r * r - qyy)
        line[i] = g * factor * turn[i]


@njit([types.void(F64, F64, F64_1D, F64_2D, F64_2D, I64, I64, _TABLE)], cache=True, nogil=True, error_model="numpy")
def _prepare(x, y, ellipse, profile, psf, h, w, gaussians):
    """Fill what describes each Gaussian: inverse covariance, growth, row factor, columns and rows where it matters."""
    k = 0
    for a in range(profile.shape[0]):
        growth = profile[a, 1]
        for b in range(psf.shape[0]):
            xx, yy = growth * ellipse[0] + psf[b, 1], growth * ellipse[2] + psf[b, 3]
            xy = growth * ellipse[1] + psf[b, 2]
            det = xx * yy - xy * xy
            reach_x, reach_y = REACH * np.sqrt(xx), REACH * np.sqrt(yy)
            gaussians[k, 0], gaussians[k, 1], gaussians[k, 2], gaussians[k, 3] = yy / det, -xy / det, xx / det, growth
            gaussians[k, 5] = max(0, int(np.ceil(x - reach_x)))
            gaussians[k, 6] = max(gaussians[k, 5], min(w, int(np.floor(x + reach_x)) + 1))
            gaussians[k, 7] = max(0, int(np.ceil(y - reach_y)))
            gaussians[k, 8] = min(h, int(np.floor(y + reach_y)) + 1)
            gaussians[k, 9] = profile[a, 0] * psf[b, 0] / (2.0 * np.pi * np.sqrt(det))
            gaussians[k, 10] = np.exp(-gaussians[k, 2])
            k += 1


@njit([types.void(_TABLE, I64, F64, F64, I64, _TABLE)], cache=True, nogil=True, error_model="numpy")
def _start(gaussians, k, x, dy, sign, lines):
    """Fill one Gaussian's line in the row at dy, and the ratios by which it turns into the next row's."""
    qxx, qxy, qyy = gaussians[k, 0], gaussians[k, 1], gaussians[k, 2]
    left, right = int(gaussians[k, 5]), int(gaussians[k, 6])
    if right <= left:
        return
    _curve(x, qxx, qxy * dy, left, right, lines[k])
    _curve(x, 0.0, sign * qxy, left, right, lines[lines.shape[0] // 2 + k])
    scale = gaussians[k, 9] * np.exp(-0.5 * qyy * dy * dy)
    for i in range(left, right):
        lines[k, i] *= scale
    gaussians[k, 4] = np.exp(-qyy * (0.5 + sign * dy))


@njit([types.void(F64, F64, F64_1D, F64_2D, F64_2D, _CUBE_OUT)], cache=True, nogil=True, error_model="numpy")
def draw_profile(x, y, ellipse, profile, psf, out):
    """Draw a profile of unit flux convolved with a sum of Gaussians, and its derivatives.

    Rows follow from the middle one by a ratio per pixel, so that one Gaussian takes a handful of exponentials.

    Parameters
    ----------
    x, y : float
        Centre [window px].
    ellipse : ndarray, float64, shape (3,)
        Half-light ellipse xx, xy, yy [px**2].
    profile : ndarray, float64, shape (m, 2)
        Amplitudes and variances in units of the ellipse.
    psf : ndarray, float64, shape (k, 4)
        Amplitudes and covariances xx, xy, yy [px**2], pixel response included.
    out : ndarray, float64, shape (6, h, w)
        Output: value and derivatives by x, y, and by the ellipse's xx, xy, yy; w at most WIDEST.
    """
    h, w = out.shape[1], out.shape[2]
    count = profile.shape[0] * psf.shape[0]
    gaussians, lines = np.empty((count, 11)), np.empty((2 * count, w))
    _prepare(x, y, ellipse, profile, psf, h, w, gaussians)
    row = np.zeros(7 * WIDEST)
    for i in range(w):
        row[6 * WIDEST + i] = i - x
    middle = min(max(int(np.rint(y)), 0), h - 1)
    for side in range(2):
        sign = 1 if side == 0 else -1
        first = middle if side == 0 else middle - 1
        for k in range(count):
            _start(gaussians, k, x, first - y, sign, lines)
        j = first
        while 0 <= j < h:
            for c in range(6):
                row[c * WIDEST : c * WIDEST + w] = 0.0
            for k in range(count):
                if (side == 0 and j < gaussians[k, 8]) or (side == 1 and j >= gaussians[k, 7]):
                    _add_row(row, gaussians, lines, k, count + k, j - y)
                    gaussians[k, 4] *= gaussians[k, 10]
            for c in range(6):
                out[c, j, :] = row[c * WIDEST : c * WIDEST + w]
            j += sign


@njit([_TABLE(F64_2D, F64_1D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def merge_narrow(profile, ellipse, psf):
    """Merge the Gaussians of a profile that the PSF makes alike: those narrower than a part of it.

    Parameters
    ----------
    profile : ndarray, float64, shape (m, 2)
        Amplitudes and variances in units of the ellipse, variances rising.
    ellipse : ndarray, float64, shape (3,)
        Half-light ellipse xx, xy, yy [px**2].
    psf : ndarray, float64, shape (k, 4)
        Amplitudes and covariances xx, xy, yy [px**2].

    Returns
    -------
    ndarray, float64, shape (up to m, 2)
        One Gaussian of their light and mean variance instead, then the others.
    """
    limit = NARROW * np.min(psf[:, 1] + psf[:, 3]) / max(ellipse[0] + ellipse[2], 1e-300)
    narrow = 1
    while narrow < profile.shape[0] and profile[narrow, 1] < limit:
        narrow += 1
    merged = np.empty((profile.shape[0] - narrow + 1, 2))
    merged[1:] = profile[narrow:]
    merged[0, 0] = profile[:narrow, 0].sum()
    merged[0, 1] = np.sum(profile[:narrow, 0] * profile[:narrow, 1]) / merged[0, 0]
    return merged


@njit([types.void(F64_1D, F64_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _draw_kernel(ellipse, profile, kernel):
    """Fill a profile without PSF, centred on the middle pixel; Gaussians narrower than pixels keep their light."""
    half = kernel.shape[0] // 2
    kernel[:, :] = 0.0
    one = np.empty(kernel.shape)
    for k in range(profile.shape[0]):
        xx, xy, yy = profile[k, 1] * ellipse[0] + 1e-6, profile[k, 1] * ellipse[1], profile[k, 1] * ellipse[2] + 1e-6
        det = xx * yy - xy * xy
        total = 0.0
        for j in range(kernel.shape[0]):
            for i in range(kernel.shape[1]):
                dx, dy = i - half, j - half
                one[j, i] = np.exp(-0.5 * (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / det)
                total += one[j, i]
        whole = 2.0 * np.pi * np.sqrt(det)
        if REACH * np.sqrt(max(xx, yy)) < half or total > whole:
            whole = total
        kernel += profile[k, 0] / whole * one


@njit([types.void(F64_1D, F64_2D, F64_2D, I64, I64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def draw_departure(ellipse, profile, departure, shift_x, shift_y, out):
    """Convolve a profile with the departure of the true PSF from its sum of Gaussians.

    The departure is small, so the profile is sampled at pixel centres, and cut where little of it is left.

    Parameters
    ----------
    ellipse : ndarray, float64, shape (3,)
        Half-light ellipse xx, xy, yy [px**2].
    profile : ndarray, float64, shape (m, 2)
        Amplitudes and variances in units of the ellipse.
    departure : ndarray, float64, shape (k, k)
        True PSF minus the sum of Gaussians at the phase of the source.
    shift_x, shift_y : int
        Window pixel of the departure's first sample.
    out : ndarray, float64, shape (h, w)
        Output.
    """
    out[:, :] = 0.0
    h, w = out.shape
    half = int(min(KERNEL_HALF, np.ceil(2.5 * np.sqrt(max(ellipse[0], ellipse[2])))))
    kernel = np.empty((2 * half + 1, 2 * half + 1))
    _draw_kernel(ellipse, profile, kernel)
    for b in range(-half, half + 1):
        for a in range(-half, half + 1):
            factor = kernel[half + b, half + a]
            if factor < KERNEL_FLOOR:
                continue
            x0, y0 = shift_x + a, shift_y + b
            first, stop = max(0, -x0), min(departure.shape[1], w - x0)
            if stop <= first:
                continue
            for j in range(max(0, -y0), min(departure.shape[0], h - y0)):
                line, target = departure[j, first:stop], out[y0 + j, x0 + first : x0 + stop]
                for i in range(line.size):
                    target[i] += factor * line[i]
