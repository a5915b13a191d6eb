"""Aperture sums, template amplitudes and mask bits of many sources, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, F64, F64_1D, F64_2D, F64_3D, I32_2D, I64, I64_1D

_REAL = types.Array(types.float64, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")
_STAMPS = types.Array(types.float64, 3, "C")
_FLAGS = types.Array(types.boolean, 3, "C")
_BITS = types.Array(types.int32, 1, "C")


@njit([F64(F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def circle_overlap(dx, dy, radius):
    """Return the area that a unit pixel shares with a circle.

    The chord is integrated over 32 strips of the pixel (midpoint rule, exact in the other direction), which is good to
    1e-4 of a pixel; pixels wholly inside or outside are exact.

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
    if (dx + 0.5) ** 2 + (dy + 0.5) ** 2 <= radius * radius:
        return 1.0
    nearest = max(dx - 0.5, 0.0) ** 2 + max(dy - 0.5, 0.0) ** 2
    if nearest >= radius * radius:
        return 0.0
    area = 0.0
    for strip in range(32):
        x = dx - 0.5 + (strip + 0.5) / 32.0
        chord = np.sqrt(max(radius * radius - x * x, 0.0))
        area += max(0.0, min(dy + 0.5, chord) - max(dy - 0.5, -chord))
    return area / 32.0


@njit(
    [types.Tuple((_TABLE, _TABLE))(F64_2D, F64_2D, BOOL_2D, F64_3D, I64_1D, I64_1D, F64_1D, F64_1D, F64_1D, F64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def aperture_sums(residual, variance, bad, stamps, x0, y0, flux, x, y, radii):
    """Sum the light of each source in circles, with all other sources subtracted.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus every fitted source, and the noise variance.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that stand in the model instead of the data.
    stamps : ndarray, float64, shape (n, k, k)
        PSF at each source; zero outside.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each stamp's first sample.
    flux : ndarray, float64, shape (n,)
        Fitted fluxes: data = residual + flux * stamp.
    x, y : ndarray, float64, shape (n,)
        Centres [px].
    radii : ndarray, float64, shape (n_radii,)
        Rising radii [px].

    Returns
    -------
    sums, errors : ndarray, float64, shape (n, n_radii)
        Flux and its error by pixel noise; NaN where the circle leaves the image.
    """
    ny, nx = residual.shape
    n, size = x.size, stamps.shape[1]
    sums, errors = np.full((n, radii.size), np.nan), np.full((n, radii.size), np.nan)
    for s in range(n):
        for r in range(radii.size):
            left, right = int(np.floor(x[s] - radii[r] + 0.5)), int(np.floor(x[s] + radii[r] + 0.5))
            low, high = int(np.floor(y[s] - radii[r] + 0.5)), int(np.floor(y[s] + radii[r] + 0.5))
            if left < 0 or low < 0 or right >= nx or high >= ny or not np.isfinite(flux[s]):
                break
            total = noise = 0.0
            for j in range(low, high + 1):
                for i in range(left, right + 1):
                    area = circle_overlap(i - x[s], j - y[s], radii[r])
                    if area == 0.0:
                        continue
                    value = 0.0 if bad[j, i] else residual[j, i]
                    if 0 <= j - y0[s] < size and 0 <= i - x0[s] < size:
                        value += flux[s] * stamps[s, j - y0[s], i - x0[s]]
                    total += area * value
                    noise += area * area * variance[j, i]
            sums[s, r], errors[s, r] = total, np.sqrt(noise)
    return sums, errors


@njit(
    [types.Tuple((_REAL, _REAL))(F64_2D, F64_2D, F64_2D, F64_3D, F64_3D, I64_1D, I64_1D, F64_1D, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def broad_fraction(residual, weight_variance, variance, narrow, broad, x0, y0, flux, radius, softening):
    """Measure which part of each source's light follows a broader profile than the PSF.

    Two-template least squares ``I = f ((1 - e) P + e B)`` on image minus other sources; e is 0 for point sources.

    Parameters
    ----------
    residual, weight_variance, variance : ndarray, float64, shape (ny, nx)
        Image minus every fitted source; variance behind the weights (infinite where unusable); noise variance.
    narrow, broad : ndarray, float64, shape (n, k, k)
        PSF and broadened PSF at each source.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each stamp's first sample.
    flux : ndarray, float64, shape (n,)
        Fitted PSF fluxes.
    radius : float
        Radius of the pixels used [px].
    softening : float
        Relative PSF error added to the noise.

    Returns
    -------
    fraction, error : ndarray, float64, shape (n,)
        e and its 1-sigma error; NaN where not measurable.
    """
    ny, nx = residual.shape
    n, size = flux.size, narrow.shape[1]
    half = size // 2
    fraction, error = np.full(n, np.nan), np.full(n, np.nan)
    for s in range(n):
        haa = hab = hbb = ba = bb = naa = nab = nbb = 0.0
        for j in range(max(0, -y0[s]), min(size, ny - y0[s])):
            for i in range(max(0, -x0[s]), min(size, nx - x0[s])):
                v = weight_variance[y0[s] + j, x0[s] + i]
                if (j - half) ** 2 + (i - half) ** 2 > radius * radius or not v < np.inf:
                    continue
                a, b = narrow[s, j, i], broad[s, j, i] - narrow[s, j, i]
                w = 1.0 / (v + (softening * flux[s] * a) ** 2)
                noise = w * w * (variance[y0[s] + j, x0[s] + i] + (softening * flux[s] * a) ** 2)
                data = residual[y0[s] + j, x0[s] + i] + flux[s] * a
                haa, hab, hbb = haa + w * a * a, hab + w * a * b, hbb + w * b * b
                ba, bb = ba + w * a * data, bb + w * b * data
                naa, nab, nbb = naa + noise * a * a, nab + noise * a * b, nbb + noise * b * b
        det = haa * hbb - hab * hab
        amplitude, excess = (hbb * ba - hab * bb) / det, (haa * bb - hab * ba) / det
        if det > 0.0 and amplitude > 0.0:
            fraction[s] = excess / amplitude
            # e = excess / amplitude: gradient of e by the two right-hand sides.
            e = fraction[s]
            ga, gb = -hab - e * hbb, haa + e * hab
            error[s] = np.sqrt(ga * ga * naa + 2.0 * ga * gb * nab + gb * gb * nbb) / det / amplitude
    return fraction, error


@njit(
    [types.Tuple((_STAMPS, _FLAGS))(F64_2D, BOOL_2D, F64_3D, I64_1D, I64_1D, F64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def isolated_stamps(residual, bad, stamps, x0, y0, flux):
    """Cut a stamp of each source with all other sources subtracted.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus every fitted source.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    stamps : ndarray, float64, shape (n, k, k)
        PSF at each source.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each stamp's first sample.
    flux : ndarray, float64, shape (n,)
        Fitted fluxes.

    Returns
    -------
    data : ndarray, float64, shape (n, k, k)
        ``residual + flux * stamp``; zero outside the image.
    unusable : ndarray, bool, shape (n, k, k)
        Bad or outside the image.
    """
    ny, nx = residual.shape
    data, unusable = np.zeros(stamps.shape), np.ones(stamps.shape, np.bool_)
    size = stamps.shape[1]
    for s in range(flux.size):
        for j in range(max(0, -y0[s]), min(size, ny - y0[s])):
            for i in range(max(0, -x0[s]), min(size, nx - x0[s])):
                data[s, j, i] = residual[y0[s] + j, x0[s] + i] + flux[s] * stamps[s, j, i]
                unusable[s, j, i] = bad[y0[s] + j, x0[s] + i]
    return data, unusable


@njit([_BITS(I32_2D, I64_1D, I64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def mask_bits(mask, x, y, half):
    """Collect the mask bits set anywhere in a square around each source.

    Parameters
    ----------
    mask : ndarray, int32, shape (ny, nx)
        Bit planes.
    x, y : ndarray, int64, shape (n,)
        Middle pixels.
    half : int
        Half side of the square [px].

    Returns
    -------
    ndarray, int32, shape (n,)
        Bitwise or; 0 where the square misses the image.
    """
    ny, nx = mask.shape
    bits = np.zeros(x.size, np.int32)
    for s in range(x.size):
        for j in range(max(0, y[s] - half), min(ny, y[s] + half + 1)):
            for i in range(max(0, x[s] - half), min(nx, x[s] + half + 1)):
                bits[s] |= mask[j, i]
    return bits


@njit([_REAL(F64_2D, F64_2D, I64_1D, I64_1D, I64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def stamp_chi2(residual, variance, x0, y0, size, radius, parameters):
    """Compute the reduced chi-square of each source's fit.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus every fitted source; variance, infinite where unusable.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each stamp's first sample.
    size : int
        Stamp side, odd.
    radius : float
        Radius of the pixels used [px].
    parameters : float
        Fitted parameters per source.

    Returns
    -------
    ndarray, float64, shape (n,)
        Chi-square per degree of freedom; NaN with no degree of freedom.
    """
    ny, nx = residual.shape
    half = size // 2
    chi2 = np.full(x0.size, np.nan)
    for s in range(x0.size):
        total, count = 0.0, -parameters
        for j in range(max(0, -y0[s]), min(size, ny - y0[s])):
            for i in range(max(0, -x0[s]), min(size, nx - x0[s])):
                v = variance[y0[s] + j, x0[s] + i]
                if (j - half) ** 2 + (i - half) ** 2 <= radius * radius and v < np.inf:
                    total += residual[y0[s] + j, x0[s] + i] ** 2 / v
                    count += 1.0
        if count > 0.0:
            chi2[s] = total / count
    return chi2
