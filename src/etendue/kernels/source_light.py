"""Each source's own light as a stamp of its own size, in columns, on plain arrays.

Pixel (j, i) of the stamp of source s is ``value[offset[s] + j * width[s] + i]`` and belongs to image pixel
``(y0[s] + j, x0[s] + i)``. An image minus all stamps is the residual; the residual plus one stamp is that source alone.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.psf import combine, draw_value
from etendue.kernels.types import BOOL_2D, BOOL_2D_OUT, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, F64_3D, I64, I64_1D

_LIGHT = types.Array(types.float32, 1, "C")
_IMAGE = types.Array(types.float64, 2, "C")
_STAMPS = types.Array(types.float64, 3, "C")
_FLAGS = types.Array(types.boolean, 3, "C")


@njit(
    [_LIGHT(F64_3D, F64_3D, F64_2D, F64, F64_1D, F64_1D, F64_1D, I64_1D, I64_1D, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def draw_light(wide, narrow, terms, step, x, y, flux, size, offset, wide_size):
    """Draw point sources as stamps of light.

    Parameters
    ----------
    wide, narrow : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF for stamps of ``wide_size``, and its middle for smaller ones.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing [px].
    x, y, flux : ndarray, float64, shape (n,)
        Sources [px, image unit]; stamps of fluxes that are not finite are empty of light.
    size : ndarray, int64, shape (n,)
        Sides of the stamps [px], odd; they are centred on the pixel of the source.
    offset : ndarray, int64, shape (n + 1,)
        First sample of each stamp.
    wide_size : int
        Sides from which ``wide`` is drawn.

    Returns
    -------
    ndarray, float32, shape (offset[n],)
        Stamps, one after the other.
    """
    value = np.zeros(offset[-1], np.float32)
    grid_wide, grid_narrow = np.empty(wide.shape[1:]), np.empty(narrow.shape[1:])
    for s in range(x.size):
        if not np.isfinite(flux[s]):
            continue
        is_wide = size[s] >= wide_size
        grid = grid_wide if is_wide else grid_narrow
        combine(wide if is_wide else narrow, terms[s], grid)
        stamp = np.empty((size[s], size[s]))
        draw_value(grid, step, x[s] - np.rint(x[s]), y[s] - np.rint(y[s]), stamp)
        flat = stamp.ravel()
        for k in range(flat.size):
            value[offset[s] + k] = flux[s] * flat[k]
    return value


@njit(
    [
        types.void(
            F64_2D, BOOL_2D, F32_1D, I64, I64, I64, I64, I64, I64, I64, F64_2D_OUT, BOOL_2D_OUT,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def cut_alone(residual, bad, value, start, light_x0, light_y0, width, height, x0, y0, out, unusable):
    """Cut a window around one source with all other sources taken away.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    value : ndarray, float32
        Light of all sources.
    start, light_x0, light_y0, width, height : int
        Where the source's stamp begins in ``value``, its first pixel and its sides.
    x0, y0 : int
        Image pixel of the window's first sample.
    out : ndarray, float64, shape (h, w)
        Output: residual plus own light; own light alone on bad pixels, zero outside the image.
    unusable : ndarray, bool, shape (h, w)
        Output: bad or outside the image.
    """
    ny, nx = residual.shape
    for j in range(out.shape[0]):
        row = y0 + j
        for i in range(out.shape[1]):
            inside = 0 <= row < ny and 0 <= x0 + i < nx
            unusable[j, i] = not inside or bad[row, x0 + i]
            out[j, i] = 0.0 if unusable[j, i] else residual[row, x0 + i]
        if not 0 <= row < ny or not 0 <= row - light_y0 < height:
            continue
        line = start + (row - light_y0) * width
        for i in range(max(0, light_x0 - x0, -x0), min(out.shape[1], light_x0 + width - x0, nx - x0)):
            out[j, i] += value[line + x0 + i - light_x0]


@njit(
    [
        types.Tuple((_IMAGE, _IMAGE, types.int64))(
            F64_2D, F64_2D, BOOL_2D, F32_1D, I64, I64, I64, I64, I64, I64, I64, I64
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def weighed_window(residual, variance, bad, value, start, light_x0, light_y0, width, height, x0, y0, side):
    """Cut a square window around one source with all other sources taken away, and its weights.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources, and the variance of what is modelled, infinite where unusable.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    value : ndarray, float32
        Light of all sources.
    start, light_x0, light_y0, width, height : int
        Where the source's stamp begins in ``value``, its first pixel and its sides.
    x0, y0 : int
        Image pixel of the window's first sample.
    side : int
        Of the window [px].

    Returns
    -------
    data : ndarray, float64, shape (side, side)
        As from `cut_alone`.
    weight : ndarray, float64, shape (side, side)
        Inverse variances; zero where a pixel does not count.
    used : int
        Pixels that count.
    """
    data, unusable, weight = np.empty((side, side)), np.empty((side, side), np.bool_), np.zeros((side, side))
    cut_alone(residual, bad, value, start, light_x0, light_y0, width, height, x0, y0, data, unusable)
    used = 0
    for j in range(side):
        for i in range(side):
            if not unusable[j, i] and 0.0 < variance[y0 + j, x0 + i] < np.inf:
                weight[j, i] = 1.0 / variance[y0 + j, x0 + i]
                used += 1
    return data, weight, used


@njit([types.void(F64_2D_OUT, F32_1D, I64, I64, I64, I64, I64, F64)], cache=True, nogil=True, error_model="numpy")
def add_light(image, value, start, x0, y0, width, height, factor):
    """Add one source's light to an image in place, cut at the image's edges.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Changed in place.
    value : ndarray, float32
        Light of all sources.
    start, x0, y0, width, height : int
        Where the source's stamp begins in ``value``, its first pixel and its sides.
    factor : float
        Scale.
    """
    ny, nx = image.shape
    for j in range(max(0, -y0), min(height, ny - y0)):
        line = start + j * width
        for i in range(max(0, -x0), min(width, nx - x0)):
            image[y0 + j, x0 + i] += factor * value[line + i]


@njit(
    [
        types.Tuple((_STAMPS, _FLAGS))(
            F64_2D, BOOL_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def cut_stamps(residual, bad, value, offset, light_x0, light_y0, width, height, rows, x0, y0, size):
    """Cut square windows around some sources, each with all other sources taken away.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    value, offset, light_x0, light_y0, width, height : ndarray
        Light of all sources, in columns.
    rows : ndarray, int64, shape (n,)
        Which sources.
    x0, y0 : ndarray, int64, shape (n,)
        Image pixel of each window's first sample.
    size : int
        Sides [px].

    Returns
    -------
    data : ndarray, float64, shape (n, size, size)
        As from `cut_alone`.
    unusable : ndarray, bool, shape (n, size, size)
        Bad or outside the image.
    """
    data, unusable = np.empty((rows.size, size, size)), np.empty((rows.size, size, size), np.bool_)
    for k in range(rows.size):
        s = rows[k]
        cut_alone(
            residual, bad, value, offset[s], light_x0[s], light_y0[s], width[s], height[s], x0[k], y0[k],
            data[k], unusable[k],
        )  # fmt: skip
    return data, unusable


@njit(
    [_IMAGE(F64_2D, F32_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def with_all_light(residual, value, offset, x0, y0, width, height):
    """Put the light of all sources back.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources.
    value, offset, x0, y0, width, height : ndarray
        Light of the sources, in columns.

    Returns
    -------
    ndarray, float64, shape (ny, nx)
        The image.
    """
    image = residual.copy()
    for s in range(x0.size):
        add_light(image, value, offset[s], x0[s], y0[s], width[s], height[s], 1.0)
    return image
