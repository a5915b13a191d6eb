"""Fit the PSF again to sources whose neighbours were taken away, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.centroid import normal_equations, solved
from etendue.kernels.psf import combine, draw_one, draw_value
from etendue.kernels.source_light import cut_alone
from etendue.kernels.types import (
    BOOL,
    BOOL_2D,
    F32_1D,
    F64,
    F64_1D_OUT,
    F64_2D,
    F64_2D_OUT,
    F64_3D,
    I64,
    I64_1D,
)


@njit([types.void(F64_2D, I64, I64, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def _cut(image, x0, y0, out):
    """Cut a window; infinite outside the image."""
    ny, nx = image.shape
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            inside = 0 <= y0 + j < ny and 0 <= x0 + i < nx
            out[j, i] = image[y0 + j, x0 + i] if inside else np.inf


@njit([F64(F64_2D, F64_2D, F64)], cache=True, nogil=True, error_model="numpy")
def _misfit(left, variance, radius):
    """Return the reduced chi-square within a radius around the middle."""
    half, total, count = left.shape[0] // 2, 0.0, -3.0
    for j in range(left.shape[0]):
        for i in range(left.shape[1]):
            if (j - half) ** 2 + (i - half) ** 2 <= radius * radius and variance[j, i] < np.inf:
                total, count = total + left[j, i] ** 2 / variance[j, i], count + 1.0
    return total / count if count > 0.0 else np.nan


@njit(
    [
        types.void(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, F64_3D, F64_2D, F64, I64_1D,
            F64_1D_OUT, F64_1D_OUT, F64_1D_OUT, F64_1D_OUT, BOOL, I64, F64, F64, F64, I64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def refit_alone(
    residual, weight_variance, bad, value, offset, light_x0, light_y0, width, height, components, terms, step, rows, x,
    y, flux, chi2, free, size, radius, softening, max_shift, steps,
):  # fmt: skip
    """Fit flux and position of the PSF to each of some sources alone, in place.

    Parameters
    ----------
    residual, weight_variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources; variance to weight by, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    value, offset, light_x0, light_y0, width, height : ndarray
        Light of all sources, in columns (`etendue.kernels.source_light`).
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing [px].
    rows : ndarray, int64
        Which sources.
    x, y, flux : ndarray, float64, shape (n,)
        Sources; changed in place.
    chi2 : ndarray, float64, shape (n,)
        Output: reduced chi-square of the fit, three parameters each; NaN without a degree of freedom.
    free : bool
        Whether positions move.
    size : int
        Side of the stamps [px], odd.
    radius, softening : float
        As in `etendue.kernels.centroid.fit_sources`.
    max_shift : float
        Largest move from the position given [px].
    steps : int
        Newton steps.
    """
    half = size // 2
    alone, unusable = np.empty((size, size)), np.empty((size, size), np.bool_)
    variance = np.empty((size, size))
    p, px, py = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
    grid, h, b = np.empty(components.shape[1:]), np.empty((3, 3)), np.empty(3)
    for s in rows:
        x0, y0 = int(np.rint(x[s])) - half, int(np.rint(y[s])) - half
        start_x, start_y = x[s], y[s]
        cut_alone(
            residual, bad, value, offset[s], light_x0[s], light_y0[s], width[s], height[s], x0, y0, alone, unusable
        )
        _cut(weight_variance, x0, y0, variance)
        combine(components, terms[s], grid)
        for _ in range(steps):
            draw_one(grid, step, x[s] - x0 - half, y[s] - y0 - half, p, px, py)
            left = alone - flux[s] * p
            if not normal_equations(left, variance, p, px, py, 0, 0, radius, flux[s], softening, h, b):
                break
            if free and flux[s] * np.sqrt(h[0, 0]) > 2.0:
                change = solved(h, b)
                total = flux[s] + change[0]
                if total > 0.0:
                    move_x = max(-0.3, min(0.3, change[1] / total))
                    move_y = max(-0.3, min(0.3, change[2] / total))
                    x[s] = max(start_x - max_shift, min(start_x + max_shift, x[s] + move_x))
                    y[s] = max(start_y - max_shift, min(start_y + max_shift, y[s] + move_y))
                flux[s] = total
            else:
                flux[s] += b[0] / h[0, 0]
        draw_value(grid, step, x[s] - x0 - half, y[s] - y0 - half, p)
        chi2[s] = _misfit(alone - flux[s] * p, variance, radius)
