"""Which part of each source's light is in a profile broader than the PSF, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.psf import combine, draw_value
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_3D, I64, I64_1D

_REAL = types.Array(types.float64, 1, "C")


@njit(
    [
        types.Tuple((_REAL, _REAL))(
            F64_2D, F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_3D, F64_3D, F64_2D,
            F64, F64_1D, F64_1D, F64_1D, I64, F64, F64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def broad_fraction(
    residual, weight_variance, variance, bad, value, offset, light_x0, light_y0, width, height, narrow, broad, terms,
    step, x, y, flux, size, radius, softening,
):  # fmt: skip
    """Measure which part of each source's light follows a broader profile than the PSF.

    Two-template least squares ``I = f ((1 - e) P + e B)`` on each source alone; e is 0 for point sources.

    Parameters
    ----------
    residual, weight_variance, variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources; variance behind the weights (infinite where unusable); noise variance.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    value, offset, light_x0, light_y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    narrow, broad : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF, and the same broadened.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing [px].
    x, y, flux : ndarray, float64, shape (n,)
        Centres [px] and PSF fluxes.
    size : int
        Side of the stamps [px], odd.
    radius : float
        Radius of the pixels used [px].
    softening : float
        Relative PSF error added to the noise.

    Returns
    -------
    fraction, error : ndarray, float64, shape (n,)
        e and its 1-sigma error; NaN where not measurable.
    """
    n, half = x.size, size // 2
    fraction, error = np.full(n, np.nan), np.full(n, np.nan)
    grid = np.empty(narrow.shape[1:])
    data, unusable = np.empty((size, size)), np.empty((size, size), np.bool_)
    p, q = np.empty((size, size)), np.empty((size, size))
    for s in range(n):
        if not np.isfinite(flux[s]):
            continue
        column, row = np.int64(np.rint(x[s])), np.int64(np.rint(y[s]))
        x0, y0 = column - half, row - half
        cut_alone(
            residual, bad, value, offset[s], light_x0[s], light_y0[s], width[s], height[s], x0, y0, data, unusable
        )
        combine(narrow, terms[s], grid)
        draw_value(grid, step, x[s] - column, y[s] - row, p)
        combine(broad, terms[s], grid)
        draw_value(grid, step, x[s] - column, y[s] - row, q)
        haa = hab = hbb = ba = bb = naa = nab = nbb = 0.0
        for j in range(size):
            for i in range(size):
                if (j - half) ** 2 + (i - half) ** 2 > radius * radius or unusable[j, i]:
                    continue
                v = weight_variance[y0 + j, x0 + i]
                if not v < np.inf:
                    continue
                a, b = p[j, i], q[j, i] - p[j, i]
                soft = (softening * flux[s] * a) ** 2
                w = 1.0 / (v + soft)
                noise = w * w * (variance[y0 + j, x0 + i] + soft)
                haa, hab, hbb = haa + w * a * a, hab + w * a * b, hbb + w * b * b
                ba, bb = ba + w * a * data[j, i], bb + w * b * data[j, i]
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
