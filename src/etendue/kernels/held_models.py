"""Fluxes of galaxy profiles whose shapes are known from another band, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.galaxies import BULGE, DISC, POINT, psf_departure
from etendue.kernels.galaxy_model import draw_departure, draw_profile, merge_narrow
from etendue.kernels.noise_products import correlated_products
from etendue.kernels.source_light import weighed_window
from etendue.kernels.types import BOOL_2D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64, I64_1D

SUM = 3  # after point, disc and bulge
_CUBE = types.Array(types.float64, 3, "C")


@njit([types.void(F64_2D, F64_2D, F64_2D, F64_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _flux(data, weight, template, correlation, out):
    """Fill the least-squares flux of a template and its error; NaN where no pixel counts."""
    field, noise = np.empty((1, *data.shape)), np.empty((1, 1))
    power = product = 0.0
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            w, t = weight[j, i], template[j, i]
            power, product = power + w * t * t, product + w * t * data[j, i]
            field[0, j, i] = np.sqrt(w) * t
    correlated_products(field, correlation, noise)
    out[0, 0], out[0, 1] = (product / power, np.sqrt(noise[0, 0]) / power) if power > 0.0 else (np.nan, np.nan)


@njit(
    [types.void(F64, F64, F64_1D, F64_2D, F64_2D, F64_2D, I64, I64, _CUBE, F64_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _draw(x, y, ellipse, profile, psf, departure, shift_x, shift_y, drawn, out):
    """Fill a profile of unit flux behind the PSF."""
    draw_profile(x, y, ellipse, merge_narrow(profile, ellipse, psf), psf, drawn)
    draw_departure(ellipse, profile, departure, shift_x, shift_y, out)
    out += drawn[0]


@njit(
    [
        _CUBE(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D,
            F64_1D, F64_1D, F64_3D, F64_1D, I64_1D, F64_2D, F64_2D, F64_3D, I64_1D, F64_3D, I64_1D, I64_1D, F64_2D, I64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def held_fluxes(
    residual, weight_variance, bad, value, offset, x0, y0, width, height,
    x, y, ellipses, part, half, disc, bulge, mixtures, cell, stamps, stamp_x0, stamp_y0, correlation, first,
):  # fmt: skip
    """Fit the flux of a point source, of both profiles, and of their sum, with places, shapes and proportions held.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Pixels where the own light stands alone.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns (`etendue.kernels.source_light`).
    x, y : ndarray, float64, shape (n,)
        Centres [px].
    ellipses : ndarray, float64, shape (n, 2, 3)
        Half-light ellipses xx, xy, yy of disc and bulge [px**2].
    part : ndarray, float64, shape (n,)
        The bulge's part of the sum.
    half : ndarray, int64, shape (n,)
        Half sides of the windows [px].
    disc, bulge, mixtures, cell, stamps, stamp_x0, stamp_y0, correlation, first
        As `etendue.kernels.galaxies.fit_galaxies` takes them.

    Returns
    -------
    ndarray, float64, shape (m, 4, 2)
        Flux and error of point, disc, bulge and sum; NaN where a shape is not known or no pixel counts.
    """
    m = stamps.shape[0]
    out, departure, nothing = np.full((m, 4, 2), np.nan), np.empty(stamps.shape[1:]), np.zeros(3)
    for k in range(m):
        s = first + k
        if not (np.isfinite(x[s]) and np.isfinite(y[s])):
            continue
        left, low = int(np.rint(x[s])) - half[s], int(np.rint(y[s])) - half[s]
        data, weight, used = weighed_window(
            residual, weight_variance, bad, value, offset[s], x0[s], y0[s], width[s], height[s], left, low,
            2 * half[s] + 1,
        )  # fmt: skip
        if used < 20:
            continue
        psf, drawn, template = mixtures[cell[s]], np.empty((6, *data.shape)), np.zeros((3, *data.shape))
        psf_departure(stamps[k], x[s] - stamp_x0[k], y[s] - stamp_y0[k], psf, departure)
        for model in (POINT, DISC, BULGE):
            ellipse = nothing if model == POINT else ellipses[s, model - 1]
            if np.isfinite(ellipse).all():
                _draw(
                    x[s] - left, y[s] - low, ellipse, bulge if model == BULGE else disc, psf, departure,
                    stamp_x0[k] - left, stamp_y0[k] - low, drawn, template[model],
                )  # fmt: skip
                _flux(data, weight, template[model], correlation, out[k, model : model + 1])
        f = part[s]
        if (f == 0.0 or np.isfinite(out[k, BULGE, 0])) and (f == 1.0 or np.isfinite(out[k, DISC, 0])) and f >= 0.0:
            mixed = (1.0 - f) * template[DISC] + f * template[BULGE]
            _flux(data, weight, mixed, correlation, out[k, SUM : SUM + 1])
    return out
