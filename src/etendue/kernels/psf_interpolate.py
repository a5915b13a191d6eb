"""Interpolation over narrow defects that knows how wide stars are.

Point sources anywhere and of any brightness make a random field whose covariance is the PSF's autocorrelation. The
best linear estimate of a missing pixel from the good ones around it (a Gaussian process; as kriging with an unknown
mean: Cressie 1993, Statistics for Spatial Data, section 3.2) is a weighted sum whose weights depend on the pattern of
bad pixels alone. A bad column has few patterns, so a system is solved for each pattern once.
"""

import numpy as np
from numba import njit, types, void
from numpy.typing import NDArray

from etendue.kernels.interpolate import interpolate_bad
from etendue.kernels.types import BOOL_1D_OUT, BOOL_2D, F32_2D_OUT, F64, F64_2D, F64_2D_OUT, I64_1D

_HALF, _SIDE = 3, 7
_PIXELS = _SIDE * _SIDE
_CENTRE = _PIXELS // 2
_U64_1D = types.Array(types.uint64, 1, "C", readonly=True)
_U64_1D_OUT = types.Array(types.uint64, 1, "C")
_WINGS, _WIDER = 0.2, 2.5  # a second Gaussian of this share and width stands for the wings of stars
_SIGMA = 2.3548
_MOST_PATTERNS = 30_000  # the rarer ones of an image of nothing but hits are interpolated linearly


@njit([void(BOOL_2D, I64_1D, _U64_1D_OUT)], cache=True, nogil=True, error_model="numpy")
def window_patterns(bad, places, patterns):
    """Encode which of the 7 x 7 pixels around each of some pixels are good.

    Parameters
    ----------
    bad : ndarray, bool, shape (ny, nx)
        Bad pixels; those outside count as bad.
    places : ndarray, int64, shape (n,)
        Flat indices of the pixels.
    patterns : ndarray, uint64, shape (n,)
        Filled: bit ``7 (dy + 3) + dx + 3`` is set where the pixel is good.
    """
    ny, nx = bad.shape
    for i in range(places.size):
        row, col = places[i] // nx, places[i] % nx
        pattern = np.uint64(0)
        for dy in range(-_HALF, _HALF + 1):
            for dx in range(-_HALF, _HALF + 1):
                y, x = row + dy, col + dx
                if 0 <= y < ny and 0 <= x < nx and not bad[y, x]:
                    pattern |= np.uint64(1) << np.uint64(_SIDE * (dy + _HALF) + dx + _HALF)
        patterns[i] = pattern


@njit([void(_U64_1D, F64_2D, F64, F64, F64_2D_OUT, BOOL_1D_OUT)], cache=True, nogil=True, error_model="numpy")
def pattern_weights(patterns, covariance, noise, worst, weights, usable):
    """Solve for the weights of the good pixels of each pattern.

    Slow definition: with ``K`` the covariance of the good pixels and ``k`` theirs with the centre, the weights minimise
    ``w K w - 2 w k + 1 + noise w w`` under ``sum(w) = 1``.

    Parameters
    ----------
    patterns : ndarray, uint64, shape (n,)
        From `window_patterns`.
    covariance : ndarray, float64, shape (49, 49)
        Covariance of the pixels of the window, 1 on the diagonal.
    noise : float
        Variance of the noise over that of the light of sources.
    worst : float
        Largest expected squared error, over the variance of the light, of a pattern that is used.
    weights : ndarray, float64, shape (n, 49)
        Filled; 0 for bad pixels.
    usable : ndarray, bool, shape (n,)
        Filled.
    """
    for i in range(patterns.size):
        good = np.empty(_PIXELS, np.int64)
        n = 0
        for k in range(_PIXELS):
            if k != _CENTRE and patterns[i] >> np.uint64(k) & np.uint64(1):
                good[n] = k
                n += 1
        weights[i] = 0.0
        usable[i] = False
        if n == 0:
            continue
        system, right = np.zeros((n + 1, n + 1)), np.ones(n + 1)
        for a in range(n):
            for b in range(n):
                system[a, b] = covariance[good[a], good[b]]
            system[a, a] += noise
            system[a, n] = system[n, a] = 1.0
            right[a] = covariance[good[a], _CENTRE]
        solution = np.linalg.solve(system, right)
        error = 1.0
        for a in range(n):
            error -= 2.0 * solution[a] * right[a]
            for b in range(n):
                error += solution[a] * solution[b] * covariance[good[a], good[b]]
            weights[i, good[a]] = solution[a]
        usable[i] = error <= worst


@njit(
    [void(F32_2D_OUT, F32_2D_OUT, I64_1D, I64_1D, F64_2D, BOOL_2D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def apply_weights(image, variance, places, kinds, weights, bad):
    """Replace pixels, in place, by weighted sums of the good ones around them.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Image and variance; the variance becomes the mean of the good ones' by their positive weights.
    places : ndarray, int64, shape (n,)
        Flat indices.
    kinds : ndarray, int64, shape (n,)
        Row of ``weights`` of each.
    weights : ndarray, float64, shape (m, 49)
        From `pattern_weights`.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that are not read.
    """
    nx = image.shape[1]
    for i in range(places.size):
        row, col = places[i] // nx, places[i] % nx
        value = spread = positive = 0.0
        for k in range(_PIXELS):
            y, x = row + k // _SIDE - _HALF, col + k % _SIDE - _HALF
            weight = weights[kinds[i], k]
            if weight != 0.0 and not bad[y, x]:
                value += weight * image[y, x]
                spread += max(weight, 0.0) * variance[y, x]
                positive += max(weight, 0.0)
        image[row, col] = value
        variance[row, col] = spread / positive


def star_covariance(fwhm: float) -> NDArray[np.float64]:
    """Return the covariance of the pixels of a 7 x 7 window under stars at random places.

    Parameters
    ----------
    fwhm : float
        Of the stars [px].

    Returns
    -------
    ndarray, float64, shape (49, 49)
        The autocorrelation of a Gaussian with wings, 1 on the diagonal.
    """
    y, x = (axis.ravel() for axis in np.mgrid[:_SIDE, :_SIDE])
    distance2 = (y[:, None] - y) ** 2.0 + (x[:, None] - x) ** 2.0
    variance = 2.0 * (fwhm / _SIGMA) ** 2
    core, wings = (np.exp(-0.5 * distance2 / (scale**2 * variance)) for scale in (1.0, _WIDER))
    return np.asarray((1.0 - _WINGS) * core + _WINGS * wings)


def interpolate_stars(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    bad: NDArray[np.bool_],
    *,
    fwhm: float,
    wanted: NDArray[np.bool_] | None = None,
    noise: float = 1e-3,
    worst: float = 0.8,
    reach: int = 16,
) -> NDArray[np.bool_]:
    """Replace bad pixels, in place: narrow defects as stars of a width would have it, wide ones linearly.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Image and variance, changed in place.
    bad : ndarray, bool, shape (ny, nx)
        Pixels to replace; their values are never read.
    fwhm : float
        Of the stars [px].
    wanted : ndarray, bool, shape (ny, nx), optional
        The bad pixels that are replaced; all by default.
    noise : float
        Variance of the noise over that of the light of sources: small values follow bright stars.
    worst : float
        Largest expected squared error, over the variance of the light; pixels that are worse (in the middle of wide
        defects) are interpolated linearly.
    reach : int
        How far linear interpolation looks for good pixels [px].

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        The pixels replaced; the other bad ones are left as they are.
    """
    places = np.flatnonzero(bad if wanted is None else bad & wanted)
    patterns = np.empty(places.size, np.uint64)
    window_patterns(bad, places, patterns)
    distinct, kinds, counts = np.unique(patterns, return_inverse=True, return_counts=True)
    weights, usable = np.zeros((distinct.size, _PIXELS)), np.zeros(distinct.size, dtype=bool)
    common = np.sort(np.argsort(-counts, kind="stable")[:_MOST_PATTERNS])
    found, good = np.zeros((common.size, _PIXELS)), np.zeros(common.size, dtype=bool)
    pattern_weights(distinct[common], star_covariance(fwhm), noise, worst, found, good)
    weights[common], usable[common] = found, good
    near = usable[kinds]
    done = np.zeros(bad.shape, dtype=bool)
    if not near.all():
        kept = np.flatnonzero(bad)
        before = image.reshape(-1)[kept], variance.reshape(-1)[kept]
        done.reshape(-1)[places[~near]] = interpolate_bad(image, variance, bad, reach).reshape(-1)[places[~near]]
        other = ~done.reshape(-1)[kept]
        for plane, values in zip((image, variance), before, strict=True):
            plane.reshape(-1)[kept[other]] = values[other]
    apply_weights(image, variance, places[near], kinds[near].astype(np.int64), weights, bad)
    done.reshape(-1)[places[near]] = True
    return done
