"""Fit position and flux of many overlapping point sources, on plain arrays."""

import numpy as np
from numba import njit, types

from etendue.kernels.psf import combine, draw_one, draw_value
from etendue.kernels.types import BOOL, BOOL_1D, F64, F64_1D, F64_1D_OUT, F64_2D, F64_2D_OUT, F64_3D, I64

_REAL = types.Array(types.float64, 1, "C")


@njit([types.void(F64_2D_OUT, F64_2D, I64, I64, F64)], cache=True, nogil=True, error_model="numpy")
def add_stamp(image, stamp, x0, y0, factor):
    """Add a scaled stamp to an image in place, cut at the image's edges.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Changed in place.
    stamp : ndarray, float64, shape (k, k)
        What to add.
    x0, y0 : int
        Image pixel of the stamp's first sample.
    factor : float
        Scale.
    """
    ny, nx = image.shape
    size = stamp.shape[0]
    for j in range(max(0, -y0), min(size, ny - y0)):
        for i in range(max(0, -x0), min(size, nx - x0)):
            image[y0 + j, x0 + i] += factor * stamp[j, i]


@njit([_REAL(F64_2D, F64_1D)], cache=True, nogil=True, error_model="numpy")
def solved(h, b):
    """Solve a symmetric system of three equations by Cramer's rule.

    Parameters
    ----------
    h : ndarray, float64, shape (3, 3)
        Matrix.
    b : ndarray, float64, shape (3,)
        Right-hand side.

    Returns
    -------
    ndarray, float64, shape (3,)
        Zeros where it is singular.
    """
    c0 = h[1, 1] * h[2, 2] - h[1, 2] * h[1, 2]
    c1 = h[0, 2] * h[1, 2] - h[0, 1] * h[2, 2]
    c2 = h[0, 1] * h[1, 2] - h[0, 2] * h[1, 1]
    det = h[0, 0] * c0 + h[0, 1] * c1 + h[0, 2] * c2
    x = np.zeros(3)
    if det > 1e-12 * h[0, 0] * h[1, 1] * h[2, 2]:
        d0 = h[0, 0] * h[2, 2] - h[0, 2] * h[0, 2]
        d1 = h[0, 1] * h[0, 2] - h[0, 0] * h[1, 2]
        d2 = h[0, 0] * h[1, 1] - h[0, 1] * h[0, 1]
        x[0] = (c0 * b[0] + c1 * b[1] + c2 * b[2]) / det
        x[1] = (c1 * b[0] + d0 * b[1] + d1 * b[2]) / det
        x[2] = (c2 * b[0] + d1 * b[1] + d2 * b[2]) / det
    return x


@njit(
    [BOOL(F64_2D, F64_2D, F64_2D, F64_2D, F64_2D, I64, I64, F64, F64, F64, F64_2D_OUT, F64_1D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def normal_equations(residual, variance, p, px, py, x0, y0, radius, flux, softening, h, b):
    """Fill the normal equations of the change in (flux, flux x, flux y) of one point source.

    Parameters
    ----------
    residual, variance : ndarray, float64, shape (ny, nx)
        Image minus the model; variance to weight by, infinite where unusable.
    p, px, py : ndarray, float64, shape (k, k)
        PSF and its derivatives by the source position [1/px].
    x0, y0 : int
        Image pixel of the stamps' first sample.
    radius : float
        Radius of the pixels used [px].
    flux, softening : float
        Flux so far, and the relative PSF error added to the noise.
    h, b : ndarray, float64, shapes (3, 3) and (3,)
        Output: matrix and right-hand side.

    Returns
    -------
    bool
        Whether a tenth of the PSF's power lies on usable pixels.
    """
    ny, nx = residual.shape
    size = p.shape[0]
    half = size // 2
    h[:, :] = 0.0
    b[:] = 0.0
    reach = int(radius)
    used = 0.0
    for j in range(max(0, -y0, half - reach), min(size, ny - y0, half + reach + 1)):
        for i in range(max(0, -x0, half - reach), min(size, nx - x0, half + reach + 1)):
            v = variance[y0 + j, x0 + i]
            if (j - half) ** 2 + (i - half) ** 2 > radius * radius or not v < np.inf:
                continue
            mismatch = softening * flux * p[j, i]
            w = 1.0 / (v + mismatch * mismatch)
            r, a, c, d = residual[y0 + j, x0 + i], p[j, i], px[j, i], py[j, i]
            b[0] += w * a * r
            b[1] += w * c * r
            b[2] += w * d * r
            used += a * a
            h[0, 0] += w * a * a
            h[0, 1] += w * a * c
            h[0, 2] += w * a * d
            h[1, 1] += w * c * c
            h[1, 2] += w * c * d
            h[2, 2] += w * d * d
    h[1, 0], h[2, 0], h[2, 1] = h[0, 1], h[0, 2], h[1, 2]
    return used > 0.1 * np.sum(p * p)


@njit(
    [
        types.void(
            F64_2D_OUT, F64_2D, F64_3D, F64_3D, F64_2D, F64, F64_1D_OUT, F64_1D_OUT, F64_1D_OUT, F64_1D, F64_1D,
            BOOL_1D, I64, I64, I64, F64, F64, F64, I64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def fit_sources(
    residual, variance, wide, narrow, terms, step, x, y, flux, x_start, y_start,
    free, n_wide, wide_size, narrow_size, radius, softening, max_shift, sweeps,
):  # fmt: skip
    """Fit point sources one after the other, each on the image minus all others, until they agree.

    Block Gauss-Seidel on the joint least-squares problem of all sources: every visit puts back one source, makes one
    Newton step in (flux, x, y) and subtracts it again. Its limit is the simultaneous fit; the error shrinks per sweep
    by the square of the overlap of neighbouring PSFs.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus the sources as given; on return minus the fitted ones.
    variance : ndarray, float64, shape (ny, nx)
        Variances that set the weights (not the errors); infinite where a pixel must not be used.
    wide, narrow : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF for stamps of ``wide_size``, and its middle for stamps of ``narrow_size``.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing [px].
    x, y, flux : ndarray, float64, shape (n,)
        Sources [px, image unit], brightest first; changed in place.
    x_start, y_start : ndarray, float64, shape (n,)
        Positions from which a source may move by ``max_shift`` along each axis.
    free : ndarray, bool, shape (n,)
        Whether the position is fitted; the flux always is.
    n_wide : int
        How many sources, from the first, are subtracted with the wide stamp.
    wide_size, narrow_size : int
        Stamp sides, odd.
    radius : float
        Radius of the pixels fitted [px].
    softening : float
        Relative PSF error added to the noise when weighting, so that bright stars do not hang on their peak pixel.
    max_shift : float
        Largest move [px].
    sweeps : int
        Visits of every source.
    """
    stamps_wide = np.zeros((3, wide_size, wide_size))
    stamps_narrow = np.zeros((3, narrow_size, narrow_size))
    grid_wide, grid_narrow = np.empty(wide.shape[1:]), np.empty(narrow.shape[1:])
    h, b = np.empty((3, 3)), np.empty(3)
    for _ in range(sweeps):
        for i in range(x.size):
            components = wide if i < n_wide else narrow
            grid = grid_wide if i < n_wide else grid_narrow
            stamps = stamps_wide if i < n_wide else stamps_narrow
            half = stamps.shape[1] // 2
            x0, y0 = int(np.rint(x[i])) - half, int(np.rint(y[i])) - half
            combine(components, terms[i], grid)
            draw_one(grid, step, x[i] - x0 - half, y[i] - y0 - half, stamps[0], stamps[1], stamps[2])
            enough = normal_equations(
                residual, variance, stamps[0], stamps[1], stamps[2], x0, y0, radius, flux[i], softening, h, b
            )
            if not enough:
                continue
            add_stamp(residual, stamps[0], x0, y0, flux[i])
            significant = flux[i] * np.sqrt(h[0, 0]) > 2.0
            if free[i] and significant:
                change = solved(h, b)
                total = flux[i] + change[0]
                if total > 0.0:
                    move_x = max(-0.3, min(0.3, change[1] / total))
                    move_y = max(-0.3, min(0.3, change[2] / total))
                    x[i] = max(x_start[i] - max_shift, min(x_start[i] + max_shift, x[i] + move_x))
                    y[i] = max(y_start[i] - max_shift, min(y_start[i] + max_shift, y[i] + move_y))
                flux[i] = total
            else:
                flux[i] += b[0] / h[0, 0]
            x0, y0 = int(np.rint(x[i])) - half, int(np.rint(y[i])) - half
            draw_value(grid, step, x[i] - x0 - half, y[i] - y0 - half, stamps[0])
            add_stamp(residual, stamps[0], x0, y0, -flux[i])
